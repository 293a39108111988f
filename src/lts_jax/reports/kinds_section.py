"""The section on kinds of steps: how often they come, who reads them, what admitting one does."""

import math
from collections.abc import Callable, Sequence

from lts_jax.evaluation.statistics import Interval
from lts_jax.evaluation.step_effects import KindRow
from lts_jax.reports.charts import Dot, DotAxis, dot_plot
from lts_jax.reports.page import grid, section, stack, table
from lts_jax.reports.palette import ACCENT, SOFT
from lts_jax.reports.svg import Figure, quote
from lts_jax.reports.text import interval, number

TITLE = "What an admission is worth, by kind of step"
WORSE, BETTER, UNRESOLVED = "#d55e00", ACCENT, SOFT


def kinds_section(rows: Sequence[KindRow]) -> str:
    """A figure and the table behind it; nothing without rows."""
    if not rows:
        return ""
    intro = (
        "From rollouts in which a coin decided what was admitted, so that what one admission does to its rollout can "
        "be fitted; effects are taken to add up. New: no entry stored before is about the same. Bars and brackets: "
        "95 % intervals, tasks are resampled. Coloured: resolved, blue for the better and orange for the worse."
    )
    figures = [
        _effects(rows, "Seconds per admission: left of zero is saved", lambda row: row.seconds, "+.1f", sign=-1),
        _effects(rows, "Score per admission", lambda row: row.score, "+.3f", sign=1),
    ]
    known = any(math.isfinite(row.seconds.estimate) for row in rows)
    said = f"<p>{quote(finding(rows))}</p>"
    return section(TITLE, said, grid(figures, pair=True) if known else "", _table(rows), intro=intro)


def finding(rows: Sequence[KindRow]) -> str:
    """What the table says, in words: the most read kind, and the effects that are resolved."""
    read = [row for row in rows if math.isfinite(row.read_rate)]
    parts = []
    if read:
        most = max(read, key=lambda row: row.read_rate)
        parts.append(f"Read most often: {_name(most)} ({100 * most.read_rate:.0f} % of its entries).")
    seconds = [f"{_name(row)} {row.seconds.estimate:+.0f} s" for row in rows if _resolved(row.seconds)]
    scores = [f"{_name(row)} {row.score.estimate:+.3f}" for row in rows if _resolved(row.score)]
    parts.append(f"Resolved in time: {', '.join(seconds) or 'nothing'}; in score: {', '.join(scores) or 'nothing'}.")
    return " ".join(parts)


def _effects(
    rows: Sequence[KindRow], title: str, value: Callable[[KindRow], Interval], form: str, *, sign: int
) -> Figure:
    dots = [
        Dot(
            _name(row),
            value(row),
            color=_color(value(row), sign),
            text=number(value(row).estimate, form, "–"),
            tip=f"{_name(row)}\n{title}: {interval(value(row), form)}",
            strong=_resolved(value(row)),
        )
        for row in rows
    ]
    return dot_plot(dots, DotAxis(title, zero_line=True, label_width=270, plot_width=230, text_width=62))


def _table(rows: Sequence[KindRow]) -> str:
    heads = [
        ("kind of step", ""),
        ("decisions", ""),
        ("share<br>of steps", ""),
        ("admitted", ""),
        ("read,<br>if admitted", ""),
        ("seconds<br>per admission", "group"),
        ("score<br>per admission", ""),
    ]
    cells = [
        [
            quote(_name(row)),
            f"{row.num_decisions:,}",
            f"{row.share:.2f}",
            f"{row.admitted:.2f}",
            number(row.read_rate, ".2f", "–"),
            stack(row.seconds, "+.1f"),
            stack(row.score, "+.3f"),
        ]
        for row in rows
    ]
    return table(heads, [(each, False) for each in cells])


def _name(row: KindRow) -> str:
    return f"{row.kind}, {'new' if row.is_new else 'repeat'}"


def _resolved(effect: Interval) -> bool:
    return math.isfinite(effect.low) and not effect.low <= 0 <= effect.high


def _color(effect: Interval, sign: int) -> str:
    if not _resolved(effect):
        return UNRESOLVED
    return BETTER if sign * effect.estimate > 0 else WORSE
