"""Tables and figure of `lts system simplemem`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from lts_jax.evaluation.statistics import (
    Cell,
    Interval,
    difference_interval,
    mean_interval,
    minimum_detectable_effect,
    pair_cells,
)
from lts_jax.reports.axes import Frame
from lts_jax.reports.point_chart import Point, PointSeries, point_chart
from lts_jax.reports.svg import Figure
from lts_jax.reports.tables_page import one_table
from lts_jax.reports.text import interval
from lts_jax.systems.simplemem_settings import SimplememSettings

RAW_ROWS = ("full context", "full context, own task", "raw bank", "raw bank, whole values", "raw bank, cosine")
FACT_ROWS = ("facts", "no gate", "no merge", "no hybrid", "no depth by need", "no reflection", "random")
REFERENCE = "raw bank"

Facts = Mapping[int, Sequence[Any]]  # by stream: a block for each seed


@dataclass(frozen=True, slots=True)
class Row:
    """Answers of one arm: (task, seed, 0) -> what was measured."""

    cells: Mapping[Cell, Mapping[str, Any]]

    def values(self, name: str) -> dict[Cell, float]:
        """One measure by cell."""
        return {cell: float(asked[name]) for cell, asked in self.cells.items()}

    def mean(self, name: str) -> float:
        """Its mean."""
        return fmean(self.values(name).values())


def rows_of(raw: Sequence[Any], facts: Facts) -> dict[str, Row]:
    """Every arm's answers; raw arms, which no seed changes, stand once for each seed."""
    found: dict[str, Row] = {}
    num_seeds = len(next(iter(facts.values())))
    for name in RAW_ROWS:
        asked = [(one, seed) for block in raw for one in block["rows"][name] for seed in range(num_seeds)]
        found[name] = Row({(one["task"], seed, 0): one for one, seed in asked})
    for name in FACT_ROWS:
        found[name] = Row(
            {
                (one["task"], seed, 0): one
                for blocks in facts.values()
                for seed, block in enumerate(blocks)
                for one in block["rows"][name]
            }
        )
    return found


def document_of(
    settings: SimplememSettings,
    raw: Sequence[Any],
    facts: Facts,
    slips: Mapping[float, Sequence[Any]],
    upkeep: Sequence[Any],
    teams: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """The study as tables; see `reports.tables_page`."""
    rows = rows_of(raw, facts)
    ratio = _over_streams(raw, facts, "facts", lambda block, stored: block["tokens"] / stored["tokens"])
    kept = _over_streams(raw, facts, "facts", lambda block, stored: stored["kept"] / stored["needed"])
    gain, least = _against(rows[REFERENCE], rows["facts"])
    clean = [block["stored"]["facts"] for block in slips.get(0.0, ())]
    whole = sum(one["kept"] for one in clean) / max(1, sum(one["needed"] for one in clean))
    fewer = rows["full context"].mean("prompt_tokens") / rows["facts"].mean("prompt_tokens")
    headline = (
        f"Simulated. Facts take {ratio.estimate:.1f} times fewer tokens than the raw values (goal 8) and keep "
        f"{100 * kept.estimate:.1f} % of the needed values (goal 95; {100 * whole:.1f} % where the extractor makes no "
        f"slips). A question costs {fewer:.0f} times fewer tokens "
        f"than the whole context (goal 10) and scores {_signed(gain)} against the raw bank; resolvable {least:.3f}."
    )
    tables = [
        _stored_table(raw, facts),
        _asked_table(rows),
        _switches_table(rows),
        _slips_table(raw, facts, slips, settings.slips),
        _upkeep_table(facts, upkeep),
        *teams,
    ]
    return {
        "name": "simplemem",
        "title": "SimpleMem: facts in place of raw values",
        "headline": headline,
        "tables": tables,
        "foot": (
            f"{settings.num_streams} memories of {settings.stream_tasks} tasks of the {settings.split} split, "
            f"{settings.num_seeds} seeds of the extractor. Brackets are 95 % over tasks, of what is stored over "
            "memories. Extractor and reader are the simulated model; the reader makes no mistakes, so that what is "
            "measured is the memory. Published beside it: ratio 8 (a survey), 30 times fewer tokens, F1 43.2 against "
            "34.2 (Mem0) on LoCoMo."
        ),
    }


def figures_of(raw: Sequence[Any], facts: Facts) -> list[Figure]:
    """Score over tokens of a question, an arm a point; two that lie on the facts' own are left out."""
    rows = {name: row for name, row in rows_of(raw, facts).items() if name not in ("no gate", "no depth by need")}
    series = [
        PointSeries(
            name,
            (
                Point(
                    _mean(row.values("prompt_tokens")),
                    _mean(row.values("score"), (0.0, 1.0)),
                    f"{name}: {row.mean('score'):.3f} at {row.mean('prompt_tokens'):,.0f} tokens",
                    name in ("facts", REFERENCE),
                ),
            ),
        )
        for name, row in rows.items()
    ]
    frame = Frame("Score over tokens a question (simulated)", "prompt tokens a question", 820, 540)
    return [point_chart(series, frame, named=True)]


def _stored_table(raw: Sequence[Any], facts: Facts) -> dict[str, Any]:
    whole = sum(block["kept"] for block in raw) / sum(block["needed"] for block in raw)
    refused: dict[str, int] = {}
    for blocks in facts.values():
        for block in blocks:
            for reason, count in block["stored"]["facts"]["refused"].items():
                refused[reason] = refused.get(reason, 0) + count
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(refused.items()) if count) or "none"
    return one_table(
        "What is stored, a memory",
        ["", "facts", "entries", "dropped", "tokens", "ratio", "distinct", "kept"],
        [_stored_line(raw, facts, name) for name in ("facts", "no gate", "no merge")],
        f"Ratio: tokens of all raw values of a memory ({fmean(block['tokens'] for block in raw):,.0f} on average) over "
        "tokens of its living entries; distinct: of raw values without those that were shown again. Dropped: share of "
        "windows that the gate kept out. Kept: share of needed values that the entries give, of those on the needed "
        f"pages; the raw values, shown in portions, give {whole:.3f} of them. Refused facts of all memories: {told}.",
    )


def _stored_line(raw: Sequence[Any], facts: Facts, name: str) -> list[str]:
    def over(measure: Callable[[Any, Any], float]) -> Interval:
        return _over_streams(raw, facts, name, measure)

    return [
        name,
        f"{over(lambda _, stored: stored['num_facts']).estimate:.0f}",
        f"{over(lambda _, stored: stored['num_entries']).estimate:.0f}",
        f"{over(lambda _, stored: stored['num_dropped'] / stored['num_windows']).estimate:.2f}",
        f"{over(lambda _, stored: stored['tokens']).estimate:,.0f}",
        _told(over(lambda block, stored: block["tokens"] / stored["tokens"]), 2),
        f"{over(lambda block, stored: block['distinct_tokens'] / stored['tokens']).estimate:.2f}",
        _told(over(lambda _, stored: stored["kept"] / stored["needed"]), 3),
    ]


def _asked_table(rows: Mapping[str, Row]) -> dict[str, Any]:
    full = rows["full context"].mean("prompt_tokens")

    def line(name: str, row: Row) -> list[str]:
        gain, least = _against(rows[REFERENCE], row)
        tokens = row.mean("prompt_tokens")
        told = ["reference", ""] if name == REFERENCE else [_signed(gain), f"{least:.3f}"]
        times = f"{full / tokens:.0f}"
        milliseconds = 1000 * median(row.values("seconds").values())
        return [
            name,
            f"{row.mean('score'):.3f}",
            *told,
            f"{tokens:,.0f}",
            times,
            f"{row.mean('num_read'):.1f}",
            f"{milliseconds:.1f}",
        ]

    return one_table(
        "What a question scores and costs",
        ["", "score", "against the raw bank", "resolvable", "tokens", "fewer", "read", "ms"],
        [line(name, row) for name, row in rows.items()],
        "Full context: all that the tools showed in a memory's life; own task: what they showed for this question. "
        "Tokens: of the prompts of reflection and answer together; fewer: full context over it. Read: entries. "
        "Random, the chance level: as many entries of the facts at random. ms: choosing, median, without the model.",
    )


def _switches_table(rows: Mapping[str, Row]) -> dict[str, Any]:
    def line(name: str) -> list[str]:
        gain, least = _against(rows[name], rows["facts"])
        return [
            name,
            _signed(gain),
            f"{least:.3f}",
            f"{rows['facts'].mean('prompt_tokens') - rows[name].mean('prompt_tokens'):+,.0f}",
        ]

    arms = [name for name in FACT_ROWS if name not in ("facts", "random")]
    return one_table(
        "What each switch is worth",
        ["", "score of facts over it", "resolvable", "tokens"],
        [line(name) for name in (*arms, "raw bank, whole values")],
        "The facts with everything on less the arm without it; tokens a question likewise.",
    )


def _slips_table(
    raw: Sequence[Any], facts: Facts, slips: Mapping[float, Sequence[Any]], usual: float
) -> dict[str, Any]:
    num = min((len(blocks) for blocks in slips.values()), default=0)
    levels: dict[float, list[Any]] = {level: list(blocks) for level, blocks in slips.items()}
    levels[usual] = [facts[number][0] for number in range(num)]

    def line(level: float) -> list[str]:
        blocks = levels[level]
        kept = sum(block["stored"]["facts"]["kept"] for block in blocks)
        needed = sum(block["stored"]["facts"]["needed"] for block in blocks)
        scores = [one["score"] for block in blocks for one in block["rows"]["facts"]]
        tokens = [part["tokens"] / block["stored"]["facts"]["tokens"] for part, block in zip(raw, blocks, strict=False)]
        return [f"{level:g}", f"{fmean(tokens):.2f}", f"{kept / max(1, needed):.3f}", f"{fmean(scores):.3f}"]

    return one_table(
        "How careless the extractor is",
        ["slips", "ratio", "kept", "score"],
        [line(level) for level in sorted(levels)],
        f"Share of statements overlooked, and of the others misread, {num} memories and one seed. Without slips "
        "what is lost is lost by gate, merging and refusals.",
    )


def _upkeep_table(facts: Facts, upkeep: Sequence[Any]) -> dict[str, Any]:
    before = [facts[number][0]["stored"]["facts"] for number in range(len(upkeep))]
    after = [block["stored"]["facts"] for block in upkeep]

    def line(name: str, stored: Sequence[Any], row: str) -> list[str]:
        kept = sum(one["kept"] for one in stored) / max(1, sum(one["needed"] for one in stored))
        scores = [one["score"] for block in upkeep for one in block["rows"][row]]
        return [name, f"{fmean(one['num_entries'] for one in stored):.0f}", f"{kept:.3f}", f"{fmean(scores):.3f}"]

    return one_table(
        "One pass of upkeep",
        ["", "entries", "kept", "score"],
        [line("before", before, "before"), line("after", after, "facts")],
        f"At the end of {len(upkeep)} memories, whose lives are hours: nothing is old, so a pass hides what another "
        "entry nearly repeats.",
    )


def _over_streams(raw: Sequence[Any], facts: Facts, name: str, measure: Callable[[Any, Any], float]) -> Interval:
    """Mean over memories and seeds of a measure of what is stored, the memory as the unit."""
    values = [
        (measure(raw[number], block["stored"][name]), str(number))
        for number, blocks in facts.items()
        for block in blocks
    ]
    return mean_interval([value for value, _ in values], [label for _, label in values])


def _against(reference: Row, row: Row) -> tuple[Interval, float]:
    paired = pair_cells(reference.values("score"), row.values("score"))
    least = minimum_detectable_effect(paired.policy - paired.reference, paired.tasks)
    return difference_interval(paired, within=(-1.0, 1.0)), least


def _mean(values: Mapping[Cell, float], within: tuple[float, float] | None = None) -> Interval:
    tasks = [cell[0] for cell in values]
    return mean_interval(list(values.values()), tasks, within=within or (0.0, float("inf")))


def _told(value: Interval, digits: int) -> str:
    return interval(value, f".{digits}f")


def _signed(value: Interval) -> str:
    return interval(value, "+.3f")
