"""What the study of Memory Sharing says, as tables and a figure."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from lts_jax.evaluation.statistics import MIN_TASKS, Interval, mean_interval, minimum_detectable_effect
from lts_jax.reports.axes import Frame
from lts_jax.reports.point_chart import Point, PointSeries, point_chart
from lts_jax.reports.svg import Figure
from lts_jax.reports.tables_page import one_table
from lts_jax.reports.text import interval
from lts_jax.systems.ms_seed import (
    BM25,
    FIFTHS,
    FROZEN,
    MAX_SHOTS,
    RANDOM,
    RELEASED,
    RETRIEVERS,
    SCOPES,
    SHUFFLED,
    TRAINED,
)
from lts_jax.systems.ms_settings import MsSettings
from lts_jax.tasks.exemplars import KINDS

Seeds = Sequence[Mapping[str, Any]]

TOLD = {
    TRAINED: "trained, contrastive",
    BM25: "BM25",
    FROZEN: "cosine, frozen",
    SHUFFLED: "teacher shuffled",
    RELEASED: "as released (bce_head)",
    RANDOM: "random (chance)",
}


def tables(settings: MsSettings, seeds: Seeds, world: Mapping[str, Any] | None) -> dict[str, Any]:
    """The document of `reports.tables_page`."""
    found, bits = _rows(seeds, "found"), _rows(seeds, "bits")
    own, over = _shared(seeds, found[f"{TRAINED} domain"]), _shared(seeds, _less(found, TRAINED, BM25, "domain"))
    measured = "words counted in the prompt" if settings.model is None else settings.model.name
    headline = (
        f"{'Simulated: the' if settings.model is None else 'The'} trained retriever finds pairs of the right kind in "
        f"{_short(own)} of the top 2, {_signed(over)} over BM25; bits per answer token fall from "
        f"{_mean(bits[f'{TRAINED} 0'])} without a pair to {_mean(bits[f'{TRAINED} {MAX_SHOTS}'])} with three."
    )
    made = [_found_table(seeds, found), _bits_table(settings, seeds, bits), _kinds_table(seeds, bits)]
    made += [_sizes_table(seeds, bits), _scopes_table(settings, seeds, found, bits)]
    if seeds[0].get("written"):
        made.append(_written_table(settings, seeds))
    if seeds[0]["start"]:
        made.append(_pools_table(seeds))
    if world is not None:
        from lts_jax.systems.ms_world import world_table

        made.append(world_table(world))
    return {
        "name": "ms",
        "title": "Memory Sharing: a pool that agents fill, and a retriever that every pair trains",
        "headline": headline,
        "foot": _foot(settings, seeds, measured),
        "tables": made,
    }


def figures(settings: MsSettings, seeds: Seeds) -> list[Figure]:
    """Bits per answer token over shots, a line per retriever that was measured at each."""
    bits = _rows(seeds, "bits")
    series = []
    for name in RETRIEVERS:
        if f"{name} 1" in bits:
            points = [_point(count, _shared(seeds, bits[f"{name} {count}"])) for count in range(MAX_SHOTS + 1)]
            series.append(PointSeries(TOLD[name], points))
    measure = "words counted in the prompt" if settings.model is None else settings.model.name
    return [point_chart(series, Frame(f"Bits per answer token, {measure}", "pairs before the question"), joined=True)]


def _point(x: float, value: Interval) -> Point:
    return Point(Interval(x, x, x), value)


def _found_table(seeds: Seeds, found: Mapping[str, np.ndarray]) -> dict[str, Any]:
    rows = []
    for name in RETRIEVERS:
        row = [TOLD[name], *(_short(_shared(seeds, found[f"{name} {scope}"])) for scope in SCOPES)]
        row += ["" if name == TRAINED else _signed(_shared(seeds, _less(found, TRAINED, name, "domain")))]
        rows.append(row)
    resolved = _resolved(seeds, _less(found, TRAINED, BM25, "domain"))
    told = f"The last column is paired, in the pool of the domain; it could resolve {resolved} over BM25."
    if seeds[0].get("teacher"):
        share = {name: np.mean([seed["teacher"][name] for seed in seeds]) for name in seeds[0]["teacher"]}
        told += (
            f" Of the right kind are {share['candidates']:.2f} of the candidates, {share['positives']:.2f} of what the "
            f"teacher made positives and {share['negatives']:.2f} of its negatives."
        )
    return one_table(
        "Share of the top 2 of the right kind",
        ["", "a pool per domain", "a single pool", "trained over it"],
        rows,
        told,
    )


def _bits_table(settings: MsSettings, seeds: Seeds, bits: Mapping[str, np.ndarray]) -> dict[str, Any]:
    rows = []
    for name in RETRIEVERS:
        cells = [bits.get(f"{name} {count}") for count in range(MAX_SHOTS + 1)]
        rows.append([TOLD[name], *("" if one is None else _short(_shared(seeds, one)) for one in cells)])
        rows[-1][1] = "" if cells[0] is None else _mean(cells[0])  # the same for all
    what = "words counted in the prompt, a stand-in" if settings.model is None else settings.model.name
    return one_table(
        "Bits per answer token, by pairs before the question (fewer are better)",
        ["", *(str(count) for count in range(MAX_SHOTS + 1))],
        rows,
        f"Under {what}; {len(bits[f'{TRAINED} 0'])} answers. An empty cell was not measured.",
    )


def _kinds_table(seeds: Seeds, bits: Mapping[str, np.ndarray]) -> dict[str, Any]:
    per_seed = len(bits[f"{TRAINED} 0"]) // len(seeds)
    kinds = np.array([kind for seed in seeds for kind in seed["kinds"][:per_seed]])
    rows, num_falling = [], 0
    for kind in KINDS:
        means = [float(np.mean(bits[f"{TRAINED} {count}"][kinds == kind])) for count in range(MAX_SHOTS + 1)]
        falls = all(after < before for before, after in pairwise(means))
        num_falling += falls
        rows.append([kind, *(f"{mean:.2f}" for mean in means), "yes" if falls else "no"])
    return one_table(
        "The same by kind, trained retriever",
        ["", *(str(count) for count in range(MAX_SHOTS + 1)), "falls at each step"],
        rows,
        f"Falls at each step in {num_falling} of {len(KINDS)} kinds.",
    )


def _sizes_table(seeds: Seeds, bits: Mapping[str, np.ndarray]) -> dict[str, Any]:
    from scipy.stats import spearmanr

    values = [_shared(seeds, bits[f"size {percent}"]) for percent in FIFTHS]
    correlation = float(spearmanr(FIFTHS, [value.estimate for value in values]).statistic)
    return one_table(
        "Bits per answer token with two pairs, by how much of the pool there is",
        ["", "bits"],
        [[f"{percent} %", _short(value)] for percent, value in zip(FIFTHS, values, strict=True)],
        f"Trained retriever, as it is at the end. Rank correlation of size and mean bits {correlation:+.2f}.",
    )


def _scopes_table(
    settings: MsSettings, seeds: Seeds, found: Mapping[str, np.ndarray], bits: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    rows = []
    for name in (TRAINED, BM25):
        right = found[f"{name} domain"] - found[f"{name} single"]
        row = [TOLD[name], _signed(_shared(seeds, right))]
        key = f"{name} single"
        row += [_signed(_shared(seeds, bits[key] - bits[f"{name} 2"]))] if key in bits else [""]
        rows.append(row)
    trained = "trained on the domains' candidates" if settings.is_taught_by_model else "trained on its own candidates"
    return one_table(
        "A pool per domain against a single one (above 0: per domain is better)",
        ["", "right kind", "bits saved, two pairs"],
        rows,
        f"Paired over items; in the single pool the retriever is {trained}.",
    )


def _written_table(settings: MsSettings, seeds: Seeds) -> dict[str, Any]:
    written = _rows(seeds, "written")
    rows = []
    for count, scores in written.items():
        rows.append([count, _short(mean_interval(scores, _units(seeds, len(scores)), within=(0.0, 1.0)))])
    without, *_, with_pairs = written.values()
    less = with_pairs - without
    is_known = np.mean(without) > 0.05  # a share of next to nothing says nothing
    relative = f" ({100 * np.mean(less) / np.mean(without):+.0f} %)" if is_known else ""
    return one_table(
        "Token F1 of written answers, by pairs before the question",
        ["", "token F1"],
        rows,
        f"Written by {settings.model.name if settings.model else ''}, the most probable token each time. Difference "
        f"{_signed(_shared(seeds, less))}{relative}; a survey names +32 %, for which no source was found.",
    )


def _pools_table(seeds: Seeds) -> dict[str, Any]:
    def cell(part: str, row: str, name: str) -> str:
        values = [seed[part][row][name] for seed in seeds]
        known = np.array([value for value in values if value is not None], float)
        if name == "pairs" or not len(known):
            return f"{np.mean(known):.0f}" if len(known) else ""
        return _short(mean_interval(known, [str(place) for place in range(len(known))]))

    heads = ["pairs", "right", "diversity", "found"]
    rows = [[f"start alone, {row}", *(cell("start", row, name) for name in heads)] for row in seeds[0]["start"]]
    rows += [[f"tau = {tau}", *(cell("taus", tau, name) for name in heads)] for tau in seeds[0]["taus"]]
    gate = {name: np.mean([seed["admission"][name] for seed in seeds]) for name in seeds[0]["admission"]}
    return one_table(
        "How the pool was filled (simulated agents and judge)",
        ["", "pairs", "right answers", "diversity", "right kind in top 2"],
        rows,
        f"Diversity is the mean of 1 - cosine between questions. A pool kept {gate['passed']:.0f} pairs, dropped "
        f"{gate['low']:.0f} for their score and {gate['unreadable']:.0f} whose score was no bare number.",
    )


def _foot(settings: MsSettings, seeds: Seeds, measured: str) -> str:
    initial, problems, tests = settings.sizes
    teacher = f"the rank of log p under {measured}" if settings.is_taught_by_model else "the truth about kinds"
    unit = "seeds" if len(seeds) >= MIN_TASKS else "test items"
    return (
        f"{len(seeds)} pool{'s' * (len(seeds) > 1)} of {initial} initial pairs and {problems} problems a domain, "
        f"{tests} test items a kind; "
        f"agents and judge are simulated; teacher: {teacher}; phi: {settings.encoder}. Brackets: 95 % over {unit}."
    )


def _rows(seeds: Seeds, part: str) -> dict[str, np.ndarray]:
    """f64[seeds x items] of each condition."""
    return {name: np.concatenate([np.asarray(seed[part][name], float) for seed in seeds]) for name in seeds[0][part]}


def _units(seeds: Seeds, count: int) -> list[str]:
    """What varies as a whole: a seed with its pool and retrievers; items where there are too few seeds."""
    by_seed, per_seed = len(seeds) >= MIN_TASKS, count // len(seeds)
    return [str(seed) if by_seed else f"{seed} {item}" for seed in range(len(seeds)) for item in range(per_seed)]


def _shared(seeds: Seeds, value_n: np.ndarray) -> Interval:
    return mean_interval(value_n, _units(seeds, len(value_n)))


def _resolved(seeds: Seeds, difference_n: np.ndarray) -> str:
    return f"{minimum_detectable_effect(difference_n, _units(seeds, len(difference_n))):.3f}"


def _less(found: Mapping[str, np.ndarray], one: str, other: str, scope: str) -> np.ndarray:
    return found[f"{one} {scope}"] - found[f"{other} {scope}"]


def _short(value: Interval) -> str:
    return interval(value)


def _signed(value: Interval) -> str:
    return interval(value, "+.2f")


def _mean(values: np.ndarray) -> str:
    return f"{float(np.mean(values)):.2f}"
