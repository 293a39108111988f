"""The ranking of a sweep: one row per configuration, best first, each compared with a reference on the same seeds.

A table has one row per (configuration, seed): a column per swept field, `seed`, and a column per measure. The same seed
means the same tasks and random numbers in every configuration, so that all comparisons are paired over seeds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lts_jax.errors import UserError
from lts_jax.evaluation.measures import MEASURES
from lts_jax.evaluation.statistics import (
    LEVEL,
    MIN_TASKS,
    UNKNOWN,
    Interval,
    bootstrap,
    holm,
    improvement_interval,
    interquartile_mean,
    mean_intervals,
    minimum_detectable_effect,
    percentile_interval,
    resample_count,
    sign_flip_p_values,
)

Value = str | float | int | bool | None
LESS_IS_BETTER = ("seconds", "tokens", "usd", "loss", "error")  # parts of a measure's name


@dataclass(frozen=True, slots=True)
class RankedRow:
    """One configuration of a sweep. Differences are this row minus the reference, in the unit of the measure."""

    rank: int  # 1 is best; configurations that came out the same share the rank of the first of them
    setting: Mapping[str, Value]  # every swept field
    label: str  # the fields that differ, in short
    num_seeds: int  # with a finite value
    num_nan: int  # rows whose value is not finite
    num_absent: int  # seeds of the table without a row here
    iqm: Interval  # interquartile mean over seeds
    mean: float
    rank_low: int | None  # 95 % of the resamples, and the seeds as run, rank it from here; None below MIN_TASKS seeds
    rank_high: int | None
    num_pairs: int  # seeds with a finite value here and in the reference
    difference: Interval  # mean paired difference
    resolution: float  # smallest true mean difference found with 80 % power at 5 %, not adjusted
    improvement: Interval  # P(better) + P(equal) / 2 over paired seeds
    p_value: float  # sign flips of the paired differences
    p_holm: float  # adjusted for all configurations of the table
    is_reference: bool  # the row that all are compared with


@dataclass(frozen=True, slots=True)
class Ranking:
    """All configurations by one measure, best first."""

    measure: str
    better: str  # "up" or "down"
    fields: tuple[str, ...]
    varied: tuple[str, ...]  # fields with more than one value
    reference: str  # label of the row that all are compared with
    reference_rank: int
    reference_is_best: bool  # chosen for being first, on the same seeds
    num_seeds: int  # distinct seeds of the table
    num_resamples: int
    rows: tuple[RankedRow, ...]


def rank(
    table: Any,
    measure: str,
    fields: Sequence[str],
    reference: Mapping[str, Value] | None = None,
    *,
    better: str | None = None,
    seed: int = 0,
) -> Ranking:
    """Rank the configurations of a sweep by the interquartile mean of a measure over seeds.

    `table` is a mapping of columns, or something with `to_pydict` such as a pyarrow table. `reference` names a
    configuration by some of its fields, enough to tell it from all others; by default it is the best one. `better` is
    "up" or "down", by default as the measure's name says (`better_direction`). Values that are not finite are left out
    and counted. Intervals of interquartile means are percentile bootstraps over seeds with tails expanded for few
    seeds, the same resamples for all configurations, those of differences Hall's transformed t (`skewness`); below
    `MIN_TASKS` seeds there are none.

    Raises:
        UserError: a missing column, no row, a (configuration, seed) twice, no finite value, or no such reference.
    """
    if better not in {None, "up", "down"}:
        raise UserError(f'better: expected "up" or "down", got {better!r}')
    settings, seeds, value_cs, present_cs = pivot(table, measure, fields)
    if not np.isfinite(value_cs).any():
        raise UserError(f"{measure}: no finite value in the table; nothing can be ranked by it")
    better = better or better_direction(measure)
    sign = 1.0 if better == "up" else -1.0
    iqm_c = interquartile_mean(value_cs)
    order = np.argsort(np.where(np.isfinite(iqm_c), -sign * iqm_c, np.inf), kind="stable")
    settings = [settings[one] for one in order]
    chosen = 0 if reference is None else find_setting(settings, reference)
    varied = tuple(field for field in fields if len({str(setting[field]) for setting in settings}) > 1)
    figures = _figures(value_cs[order], chosen=chosen, sign=sign, seed=seed)
    rows = tuple(
        RankedRow(
            setting=setting,
            label=_label(setting, varied),
            num_nan=int(present.sum() - own["num_seeds"]),
            num_absent=int((~present).sum()),
            is_reference=number == chosen,
            **own,
        )
        for number, (setting, present, own) in enumerate(zip(settings, present_cs[order], figures, strict=True))
    )
    return Ranking(
        measure=measure,
        better=better,
        fields=tuple(fields),
        varied=varied,
        reference=rows[chosen].label,
        reference_rank=rows[chosen].rank,
        reference_is_best=reference is None,
        num_seeds=len(seeds),
        num_resamples=resample_count(len(settings)),
        rows=rows,
    )


def pivot(
    table: Any, measure: str, fields: Sequence[str]
) -> tuple[list[dict[str, Value]], list[int], np.ndarray, np.ndarray]:
    """Configurations in order of appearance, seeds in order, values f64[configurations, seeds], and where a row exists.

    A configuration's seed without a row, and a null value, are NaN. Raises UserError as `rank` does.
    """
    columns = columns_of(table)
    for name in (*fields, "seed", measure):
        if name not in columns:
            raise UserError(f"no column {name!r} in the results; they have {', '.join(columns)}")
    lengths = {len(column) for column in columns.values()}
    if len(lengths) != 1 or not lengths.pop():
        raise UserError("the results have no rows" if not lengths else "the columns of the results differ in length")
    keys = list(zip(*(columns[field] for field in fields), strict=True)) if fields else [()] * len(columns["seed"])
    place = {setting: number for number, setting in enumerate(dict.fromkeys(keys))}
    seeds = sorted(set(columns["seed"]))
    seed_place = {one: number for number, one in enumerate(seeds)}
    value_cs = np.full((len(place), len(seeds)), np.nan)
    present_cs = np.zeros(value_cs.shape, bool)
    for setting, one, value in zip(keys, columns["seed"], columns[measure], strict=True):
        row, column = place[setting], seed_place[one]
        if present_cs[row, column]:
            raise UserError(f"seed {one} of {_label(dict(zip(fields, setting, strict=True)), fields)} is there twice")
        present_cs[row, column] = True
        value_cs[row, column] = math.nan if value is None or not math.isfinite(value) else value
    return [dict(zip(fields, setting, strict=True)) for setting in place], seeds, value_cs, present_cs


def columns_of(table: Any) -> dict[str, Sequence[Any]]:
    """The columns of a table by name."""
    return dict(table.to_pydict() if hasattr(table, "to_pydict") else table)


def find_setting(settings: Sequence[Mapping[str, Value]], wanted: Mapping[str, Value]) -> int:
    """Place of the one configuration that has all wanted values; UserError for none or several."""
    for name in wanted:
        if name not in settings[0]:
            raise UserError(f"reference: {name!r} is not a swept field; they are {', '.join(settings[0])}")
    found = [number for number, one in enumerate(settings) if all(one[name] == value for name, value in wanted.items())]
    if len(found) != 1:
        said = ", ".join(f"{name}={value}" for name, value in wanted.items())
        raise UserError(f"reference: {len(found) or 'no'} configurations have {said}; expected exactly one")
    return found[0]


def better_direction(measure: str) -> str:
    """ "down" for a measure of which less is better (seconds, tokens, dollars, losses, errors), else "up"."""
    known = MEASURES[measure].better if measure in MEASURES else ""
    return known or ("down" if any(word in measure for word in LESS_IS_BETTER) else "up")


def short_names(fields: Sequence[str]) -> dict[str, str]:
    """Dotted fields by their last word, or by as many last words as tell them apart."""
    names = {}
    for field in fields:
        words = field.split(".")
        tails = (".".join(words[-count:]) for count in range(1, len(words) + 1))
        names[field] = next(
            tail for tail in tails if sum(f".{other}".endswith(f".{tail}") for other in fields) == 1 or tail == field
        )
    return names


def value_text(value: Value) -> str:
    """A setting's value as short text; numbers with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else "none" if value is None else str(value)


def values_text(row: RankedRow, varied: Sequence[str]) -> str:
    """The values that tell a row apart, without the names of their fields."""
    return " · ".join(value_text(row.setting[field]) for field in varied)


def _label(setting: Mapping[str, Value], varied: Sequence[str]) -> str:
    names = short_names(varied)
    return ", ".join(f"{names[field]}={value_text(setting[field])}" for field in varied) or "the only configuration"


def _figures(value_cs: np.ndarray, *, chosen: int, sign: float, seed: int) -> list[dict[str, Any]]:
    """The figures of each configuration, best first; row `chosen` is the reference."""
    iqm_c, drawn_cr = interquartile_mean(value_cs), _resample(interquartile_mean, value_cs, seed)
    count_c = np.isfinite(value_cs).sum(axis=1)
    difference_cs = value_cs - value_cs[chosen]
    pairs_c = np.isfinite(difference_cs).sum(axis=1)
    differences = mean_intervals(difference_cs)
    iqms, ranks = _intervals(iqm_c, drawn_cr, count_c), _ranks(iqm_c, drawn_cr, sign, count_c)
    p_value_c = np.full(len(value_cs), np.nan)
    others = np.arange(len(value_cs)) != chosen
    if others.any():
        p_value_c[others] = sign_flip_p_values(difference_cs[others], seed=(seed, value_cs.shape[1]))
    p_holm_c = holm(p_value_c)
    labels = [str(number) for number in range(value_cs.shape[1])]
    return [
        {
            "rank": ranks[number][0],
            "rank_low": ranks[number][1],
            "rank_high": ranks[number][2],
            "num_seeds": int(count_c[number]),
            "iqm": iqms[number],
            "mean": float(_finite_mean(value_cs[number])),
            "num_pairs": int(pairs_c[number]),
            "difference": differences[number] if other else UNKNOWN,
            "resolution": minimum_detectable_effect(sign * difference_cs[number], labels) if other else math.nan,
            "improvement": improvement_interval(sign * difference_cs[number]) if other else UNKNOWN,
            "p_value": float(p_value_c[number]),
            "p_holm": float(p_holm_c[number]),
        }
        for number, other in enumerate(others)
    ]


def _resample(statistic: Any, value_cs: np.ndarray, seed: int) -> np.ndarray:
    """The statistic in every resample, f64[configurations, resamples]; no resample where seeds are too few."""
    if value_cs.shape[1] < MIN_TASKS:
        return np.empty((len(value_cs), 0))
    return bootstrap(statistic, value_cs, seed=seed)


def _intervals(estimate_c: np.ndarray, drawn_cr: np.ndarray, count_c: np.ndarray) -> list[Interval]:
    """Estimates with their intervals, each by the number of finite values behind it."""
    return [
        percentile_interval(float(estimate), drawn[np.isfinite(drawn)], int(count))
        for estimate, drawn, count in zip(estimate_c, drawn_cr, count_c, strict=True)
    ]


def _ranks(
    iqm_c: np.ndarray, drawn_cr: np.ndarray, sign: float, count_c: np.ndarray
) -> list[tuple[int, int | None, int | None]]:
    """Each configuration's rank, ties at the first of them, and the ranks between which 95 % of the resamples see it.

    The interval always holds the rank itself.
    """
    from scipy.stats import rankdata

    def rank_of(values: np.ndarray) -> np.ndarray:
        return rankdata(np.where(np.isfinite(values), -sign * values, np.inf), method="min", axis=0).astype(int)

    rank_c = rank_of(iqm_c)
    if not drawn_cr.shape[1]:
        return [(int(one), None, None) for one in rank_c]
    levels = [0.5 - LEVEL / 2, 0.5 + LEVEL / 2]
    lows, highs = np.quantile(rank_of(drawn_cr), levels, axis=1, method="inverted_cdf")
    return [
        (int(one), min(int(one), int(low)), max(int(one), int(high))) if count >= MIN_TASKS else (int(one), None, None)
        for one, low, high, count in zip(rank_c, lows, highs, count_c, strict=True)
    ]


def _finite_mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Mean of the finite values along an axis; NaN where there is none."""
    finite = np.isfinite(values)
    counts = finite.sum(axis=axis)
    return np.where(counts > 0, np.where(finite, values, 0.0).sum(axis=axis) / np.maximum(counts, 1), np.nan)
