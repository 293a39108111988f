"""The report of a sweep as a record: its ranking by one measure, by runtime, the other measures' means, and notes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from lts_jax.errors import UserError
from lts_jax.evaluation.ranking import RankedRow, Ranking, Value, columns_of, pivot, rank, value_text
from lts_jax.evaluation.statistics import MIN_TASKS, num_flip_patterns
from lts_jax.reports.report import json_plain

ALPHA = 0.05
PROVEN = f" (Holm-adjusted p < {ALPHA})"
DEFAULT_MEASURE = "reward"
RUNTIME = "runtime_seconds"


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What is printed, stored and drawn of a sweep."""

    header: Mapping[str, str]
    ranking: Ranking
    runtime: Ranking | None  # by runtime, where there is one and the ranking is not by it
    means: Mapping[str, tuple[float, ...]]  # of every other measure, in the order of the ranking's rows
    notes: tuple[str, ...]
    settings: Mapping[str, Any]  # of the sweep, as stored
    values: tuple[tuple[float, ...], ...] = ()  # of the measure by seed, in the order of the ranking's rows


def build_sweep_report(
    table: Any,
    document: Mapping[str, Any],
    *,
    name: str = "",
    measure: str | None = None,
    reference: str | None = None,
    seed: int = 0,
) -> SweepReport:
    """Rank a sweep's results. `document` is its sweep.json: fields, measures, side, settings and versions.

    `measure` defaults to the reward, or to the first measure where there is no reward; `reference` is a text such as
    "credit=reinforce,learning.sparsity_weight=0.1", by default the best configuration. Raises UserError for an unknown
    measure or reference, and as `rank` does.
    """
    fields, measures = _names(document, "fields"), _names(document, "measures")
    if not measures:
        raise UserError("the sweep has no measure to rank by")
    measure = measure or (DEFAULT_MEASURE if DEFAULT_MEASURE in measures else measures[0])
    if measure not in measures:
        raise UserError(f"measure: expected one of {', '.join(measures)}, got {measure!r}")
    columns = columns_of(table)
    wanted = None if reference is None else parse_reference(reference, columns, fields)
    ranking = rank(columns, measure, fields, wanted, seed=seed)
    timed = RUNTIME in measures and measure != RUNTIME and any(map(_is_finite, columns.get(RUNTIME, ())))
    return SweepReport(
        header=_header(document, ranking, name),
        ranking=ranking,
        runtime=rank(columns, RUNTIME, fields, wanted, seed=seed) if timed else None,
        means={other: _means(columns, other, ranking) for other in measures if other != measure},
        notes=_notes(ranking, document),
        settings=document.get("settings") or {},
        values=_values(columns, measure, ranking),
    )


def sweep_report_json(report: SweepReport) -> dict[str, Any]:
    """The report as JSON values; NaN and infinities become null."""
    return {name: json_plain(getattr(report, name)) for name in SweepReport.__slots__}


def top_rows(ranking: Ranking, count: int) -> list[RankedRow]:
    """The first rows, and the reference wherever it is."""
    return [row for place, row in enumerate(ranking.rows) if place < count or row.is_reference]


def parse_reference(said: str, columns: Mapping[str, Sequence[Any]], fields: Sequence[str]) -> dict[str, Value]:
    """Fields and values out of "field=value,field=value"; a value is the one of the table that is written like it."""
    wanted: dict[str, Value] = {}
    for part in said.split(","):
        name, equals, text = (one.strip() for one in part.partition("="))
        if not equals or name not in fields:
            raise UserError(
                f"reference: expected field=value with a field of {', '.join(fields)}, got {part.strip()!r}"
            )
        known = list(dict.fromkeys(columns.get(name, ())))
        same = [value for value in known if text in {str(value), value_text(value)} or _same_number(text, value)]
        if not same:
            raise UserError(f"reference: {name} took {', '.join(map(value_text, known[:12]))}; got {text!r}")
        wanted[name] = same[0]
    return wanted


def sweep_headline(ranking: Ranking) -> str:
    """What the ranking says, in words, and how much of it the data can tell."""
    best, count = ranking.rows[0], len(ranking.rows) - 1
    form = number_form(ranking)
    said = f"{best.label}: {ranking.measure} {format(best.iqm.estimate, form)}"
    if not count:
        return f"One configuration was run: {ranking.measure} {format(best.iqm.estimate, form)}."
    told = [row for row in ranking.rows if row.p_holm < ALPHA]
    if not any(math.isfinite(row.difference.low) for row in ranking.rows):
        return f"First of {count + 1} configurations is {said}; fewer than {MIN_TASKS} shared seeds tell little."
    if ranking.reference_is_best:
        which = f"all {count}" if len(told) == count else f"{len(told)} of the {count}"
        return f"First of {count + 1} configurations is {said}. It differs from {which} others{PROVEN}."
    if not told:
        whose = "The other one does not differ" if count == 1 else f"None of the {count} others differs"
        return f"{whose} from {ranking.reference}{PROVEN}. First is {said}."
    sign = 1 if ranking.better == "up" else -1
    higher = sum(sign * row.difference.estimate > 0 for row in told)
    return (
        f"Of {count} configurations, {_count(higher)} better than {ranking.reference} and {_count(len(told) - higher)} "
        f"worse{PROVEN}; the rest cannot be told apart from it. First is {said}."
    )


def _count(number: int) -> str:
    return f"{number} {'is' if number == 1 else 'are'}"


def number_form(ranking: Ranking) -> str:
    """The format of a measure's values: one decimal finer than the width of a typical interval needs."""
    widths = [row.iqm.high - row.iqm.low for row in ranking.rows if row.iqm.high > row.iqm.low]
    values = [abs(row.iqm.estimate) for row in ranking.rows if row.iqm.estimate]
    scale = median(widths) if widths else (max(filter(math.isfinite, values), default=1.0) / 10)
    return f",.{min(6, max(0, 1 - math.floor(math.log10(scale))))}f"


def _names(document: Mapping[str, Any], name: str) -> list[str]:
    names = document.get(name)
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise UserError(f"sweep.json: {name}: expected a list of names, got {names!r}")
    return names


def _values(columns: Mapping[str, Sequence[Any]], measure: str, ranking: Ranking) -> tuple[tuple[float, ...], ...]:
    settings, _, value_cs, _ = pivot(columns, measure, ranking.fields)
    by_setting = {tuple(setting.values()): values for setting, values in zip(settings, value_cs, strict=True)}
    rows = (by_setting[tuple(row.setting[field] for field in ranking.fields)] for row in ranking.rows)
    return tuple(tuple(map(float, row)) for row in rows)


def _means(columns: Mapping[str, Sequence[Any]], measure: str, ranking: Ranking) -> tuple[float, ...]:
    rows = _values(columns, measure, ranking)
    finite = [[float(value) for value in values if math.isfinite(value)] for values in rows]
    return tuple(math.fsum(values) / len(values) if values else math.nan for values in finite)


def _header(document: Mapping[str, Any], ranking: Ranking, name: str) -> dict[str, str]:
    versions = document.get("versions") or {}
    counts = {field: len({str(row.setting[field]) for row in ranking.rows}) for field in ranking.fields}
    facts = {
        "sweep": name,
        "side": _side(document),
        "swept (values)": ", ".join(f"{field} ({count})" for field, count in counts.items()),
        "configurations": f"{len(ranking.rows):,}",
        "seeds": str(ranking.num_seeds),
        "compared with": ranking.reference + (", the best" if ranking.reference_is_best else ""),
        "versions": ", ".join(f"{package} {version}" for package, version in versions.items()),
    }
    return {fact: value for fact, value in facts.items() if value}


def _side(document: Mapping[str, Any]) -> str:
    side = str(document.get("side") or "")
    return {"simulator": "simulator (all figures are simulated)", "text": "teams that read and write text"}.get(
        side, side
    )


def _notes(ranking: Ranking, document: Mapping[str, Any]) -> tuple[str, ...]:
    count, more = len(ranking.rows) - 1, "more" if ranking.better == "up" else "less"
    notes = []
    if document.get("side") == "simulator":
        notes.append("All figures are simulated: they say how schemes rank in the simulator, not how real teams would.")
    notes.append(
        f"Rows are in order of the interquartile mean of {ranking.measure}, the mean of the middle half of "
        f"{ranking.num_seeds} seeds; {more} is better. The same seed is the same tasks and random "
        "numbers everywhere, so differences (of plain means) are paired over seeds. Brackets are 95 % intervals."
    )
    if count:
        notes.append(
            "P(better) is the share of seeds on which a row beats the reference, ties counted half. p is from sign "
            f"flips of the paired differences, adjusted by Holm for {count} comparisons."
        )
    if count and ranking.reference_is_best:
        notes.append(
            "The reference was chosen for being first on these very seeds: its own figure is too good on average and "
            "differences from it come out too large. To test a claim, name the reference beforehand, or run new seeds."
        )
    resolutions = [row.resolution for row in ranking.rows if math.isfinite(row.resolution)]
    if resolutions:
        notes.append(
            f"A true difference of {format(median(resolutions), number_form(ranking))} is found with 80 % power in a "
            "single comparison at 5 % (median over the rows); smaller ones mostly stay unseen."
        )
    return (*notes, *_warnings(ranking))


def _warnings(ranking: Ranking) -> list[str]:
    """What is missing, and what too few seeds cannot show."""
    warnings = [_missing_note(row, ranking.num_seeds) for row in ranking.rows if row.num_nan or row.num_absent]
    if len(warnings) > 8:
        warnings = [*warnings[:7], f"{len(warnings) - 7} more configurations have seeds without a value."]
    pairs = max(row.num_pairs for row in ranking.rows)
    if pairs < MIN_TASKS:
        warnings.append(f"There are no intervals: they need at least {MIN_TASKS} seeds.")
    elif len(ranking.rows) > 1:
        others = len(ranking.rows) - 1
        floor = others / num_flip_patterns(others, ranking.num_seeds)
        if floor > ALPHA:
            warnings.append(
                f"With {ranking.num_seeds} seeds and {others} comparisons no adjusted p can be below "
                f"{min(1, floor):.2g}: nothing can be told apart; run more seeds."
            )
    return warnings


def _missing_note(row: RankedRow, num_seeds: int) -> str:
    said = [f"{row.num_nan} of its values are not numbers"] * bool(row.num_nan)
    said += [f"{row.num_absent} seeds were not run"] * bool(row.num_absent)
    return f"{row.label} counts {row.num_seeds} of {num_seeds} seeds: {' and '.join(said)}."


def _is_finite(value: Any) -> bool:
    return value is not None and math.isfinite(value)


def _same_number(text: str, value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and float(text) == float(value)
    except ValueError:
        return False
