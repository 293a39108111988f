"""One row's numbers beside the paper's: paired with M1-Parallel, reductions relative to it, chance and resolution."""

import math
from pathlib import Path
from typing import Any

from rows import Row

from lts_jax.evaluation.comparison import compare, measure_policy
from lts_jax.reports.report import json_plain
from lts_jax.rollouts.store import read_folder
from lts_jax.systems.comparison import REFERENCE

KEPT = (
    "num_tasks", "num_rollouts", "num_unscored", "score", "score_difference", "score_resolution", "answered",
    "precision", "exact_match", "runtime_seconds", "runtime_reduction_percent", "runtime_resolution_percent",
    "speed_up", "admission_fraction", "read_rate", "read_rate_chance", "cross_share", "cross_share_chance", "tokens",
    "usd",
)  # fmt: skip


def result_of(row: Row, evaluation: Path) -> dict[str, Any]:
    """What was measured of a row, and what the paper reports."""
    measured = {
        name: measure_policy(name, [one for group in read_folder(evaluation / name) for one in group.rollouts])
        for name in dict.fromkeys((REFERENCE, row.policy, *_yardstick(evaluation)))
    }
    found = compare(row.policy, measured, reference=REFERENCE)
    kept = {name: json_plain(getattr(found, name)) for name in KEPT}
    paper = {backbone: {"score_percent": score, "seconds": seconds} for backbone, (score, seconds) in row.paper.items()}
    bank = dict(zip(("stored_percent", "read_percent", "cross_percent"), row.bank or (), strict=False))
    return {"table": row.table, "setup": row.setup, "policy": row.policy, "measured": kept, "paper": paper} | (
        {"paper_bank": bank} if bank else {}
    )


def _yardstick(evaluation: Path) -> tuple[str, ...]:
    """Where everything is admitted, the pull rate of chance is taken from."""
    return ("all",) if any((evaluation / "all").glob("*.parquet")) else ()


def table_text(document: dict[str, Any]) -> str:
    """All rows of a model: what was measured first, what the paper reports last."""
    head = (
        f"{'row':<26}{'score %':>18}{'vs M1-Parallel':>22}{'seconds':>9}{'saved %':>22}{'admitted':>10}"
        f"{'read (chance)':>15}{'cross (chance)':>16}{'tokens':>9}{'usd':>8}   the paper: score %, seconds"
    )
    lines = [f"model: {document['model']}", head, "-" * len(head)]
    lines += [_line(name, result) for name, result in document["rows"].items()]
    worst = [result["measured"] for result in document["rows"].values()]
    score = max((one["score_resolution"] or 0 for one in worst), default=0)
    runtime = max((one["runtime_resolution_percent"] or 0 for one in worst), default=0)
    lines += [
        "Brackets: 95 % intervals, paired with M1-Parallel over tasks. Parentheses: by chance. "
        "Saved = 100 * (M1-Parallel - row) / M1-Parallel.",
        f"Smallest effect that every row could resolve (80 % power): {100 * score:.1f} points of score, "
        f"{runtime:.1f} % of time.",
    ]
    return "\n".join(lines)


def _line(name: str, result: dict[str, Any]) -> str:
    one = result["measured"]
    paper = "; ".join(f"{each} {given['score_percent']}, {given['seconds']}" for each, given in result["paper"].items())
    if "paper_bank" in result:
        bank = result["paper_bank"]
        paper += f"; stored {bank['stored_percent']}, read {bank['read_percent']}, cross {bank['cross_percent']} %"
    is_reference = result["policy"] == REFERENCE
    return (
        f"{name:<26}{_interval(one['score'], 100, '.1f'):>18}"
        f"{'reference' if is_reference else _interval(one['score_difference'], 100, '+.1f'):>22}"
        f"{_number(one['runtime_seconds']['estimate'], '.0f'):>9}"
        f"{'reference' if is_reference else _interval(one['runtime_reduction_percent'], 1, '+.1f'):>22}"
        f"{_number(one['admission_fraction'], '.2f'):>10}"
        f"{_chance(one['read_rate'], one['read_rate_chance']):>15}"
        f"{_chance(one['cross_share'], one['cross_share_chance']):>16}"
        f"{_number(one['tokens'], '.0f'):>9}{_number(one['usd'] or None, '.3f'):>8}   {paper}"
    )


def _interval(value: dict[str, Any], scale: float, form: str) -> str:
    if value["estimate"] is None:
        return "-"
    if value["low"] is None:
        return format(scale * value["estimate"], form)
    return f"{scale * value['estimate']:{form}} [{scale * value['low']:{form}}, {scale * value['high']:{form}}]"


def _chance(value: float | None, chance: float | None) -> str:
    return "-" if value is None else f"{value:.2f} ({_number(chance, '.2f')})"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None or math.isnan(value) else format(value, form)
