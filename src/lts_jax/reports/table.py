"""The report as text for a terminal: two tables of at most 100 columns and the notes."""

import math
import textwrap
from collections.abc import Sequence

from lts_jax.evaluation.comparison import ComparisonRow
from lts_jax.evaluation.statistics import Interval
from lts_jax.reports.report import Report, headline

WIDTH = 100
MIN_POLICY_WIDTH = 8


def report_text(report: Report) -> str:
    """The comparison as plain text, no line longer than `WIDTH` characters. A dash means nothing to measure."""
    outcome: list[tuple[str, ...]] = [("policy", "score", "vs reference", "seconds", "saved %")]
    outcome += [_outcome_cells(row, report.reference) for row in report.rows]
    sharing: list[tuple[str, ...]] = [
        (
            "policy",
            "admitted",
            "read (chance)",
            "cross (chance)",
            "reach (chance)",
            "steps",
            "tokens",
            "usd",
            "answered",
        )
    ]
    sharing += [_sharing_cells(row) for row in report.rows]
    blocks = [_wrap(headline(report)), _table(outcome), _table(sharing)]
    blocks.append("\n".join(_wrap(note) for note in report.notes))
    return "\n\n".join(blocks) + "\n"


def number(value: float, form: str = ".2f", none: str = "-") -> str:
    """A number in a format, or a dash where there is none."""
    return format(value, form) if math.isfinite(value) else none


def interval(value: Interval, form: str = ".2f", bounds_form: str | None = None) -> str:
    """An estimate with its interval, as "0.41 [0.36, 0.47]"; the estimate alone where bounds are unknown."""
    estimate = number(value.estimate, form)
    if not math.isfinite(value.low):
        return estimate
    bounds = bounds_form or form
    return f"{estimate} [{value.low:{bounds}}, {value.high:{bounds}}]"


def short_count(value: float) -> str:
    """A count in at most five characters: 950, 12.3k, 1.24M."""
    if not math.isfinite(value):
        return "-"
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _outcome_cells(row: ComparisonRow, reference: str) -> tuple[str, ...]:
    reference_row = row.policy == reference
    return (
        row.policy,
        interval(row.score, ".3f", ".2f"),
        "reference" if reference_row else interval(row.score_difference, "+.3f", "+.2f"),
        interval(row.runtime_seconds, ".0f"),
        "reference" if reference_row else interval(row.runtime_reduction_percent, "+.1f"),
    )


def _sharing_cells(row: ComparisonRow) -> tuple[str, ...]:
    return (
        row.policy,
        number(row.admission_fraction),
        _with_chance(row.read_rate, row.read_rate_chance),
        _with_chance(row.cross_share, row.cross_share_chance),
        _with_chance(row.reach, row.reach_chance),
        number(row.steps_per_team, ".1f"),
        short_count(row.tokens),
        number(row.usd or math.nan, ".3f"),
        number(row.answered),
    )


def _with_chance(value: float, chance: float) -> str:
    return f"{value:.2f} ({number(chance)})" if math.isfinite(value) else "-"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned, the first to the left and shortened where the whole would be too wide."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    gap = 2 if sum(widths) + 2 * (len(widths) - 1) <= WIDTH else 1
    excess = sum(widths) + gap * (len(widths) - 1) - WIDTH
    widths[0] = max(MIN_POLICY_WIDTH, widths[0] - max(0, excess))
    lines = [
        (" " * gap).join(
            [_shorten(row[0], widths[0]).ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _wrap(text: str) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent="  ")
