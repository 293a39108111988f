"""What `lts system srmt` found, as tables and figures."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lts_jax.reports.axes import Frame
from lts_jax.reports.episode_animation import episode_animation
from lts_jax.reports.point_chart import point_chart
from lts_jax.reports.svg import Figure
from lts_jax.reports.tables_page import one_table
from lts_jax.reports.text import interval
from lts_jax.systems.seed_tables import SHARE, curve, evenly, over_seeds
from lts_jax.systems.srmt_settings import LONG_LENGTHS, SrmtSettings

BANDS = ((3, 8), (9, 16), (17, 24), (25, 30))
SOLVED = 0.9  # CSR of training at which a network counts as trained
HEADS = ("CSR", "ISR", "sum of costs", "makespan")


def document_of(settings: SrmtSettings, found: Any) -> dict[str, Any]:
    """The document of `reports.tables_page`, with the numbers that figures and studies read beside it."""
    tables = []
    for reward in settings.reward:
        rows = {row: found.parts[reward, row] for row in settings.rows}
        tables += [_scores(reward, rows, found.rules), _by_length(reward, rows), _differences(reward, rows)]
        tables.append(_speed(settings, reward, rows))
        if settings.long:
            tables.append(_long(reward, rows))
    return {
        "name": "srmt",
        "title": "SRMT: agents in a corridor who read each other's memories",
        "headline": _headline(settings, found),
        "foot": (
            f"Simulated. {settings.num_seeds} seeds, {settings.num_updates * settings.steps_per_update:.2g} agent "
            f"steps each (the paper: 2e7), {settings.num_episodes} episodes of every length from 3 to 30 and seed, at "
            "most 2 * length + 100 steps, acting by chance as trained; brackets: 95 % over seeds, from five seeds on. "
            "CSR: share of episodes in which both agents reach their goals; ISR: share of agents that do; sum of "
            "costs: steps until the goal, or the end, over agents."
        ),
        "tables": [one for one in tables if one["rows"]],
        "curves": {f"{reward}, {row}": _mean_curve(parts) for (reward, row), parts in found.parts.items()},
        "by_length": {f"{reward}, {row}": _mean_by_length(parts) for (reward, row), parts in found.parts.items()},
        "agent_steps": settings.num_updates * settings.steps_per_update,
        "num_skipped": sum(part["num_skipped"] for parts in found.parts.values() for part in parts),
        "seconds": {
            f"{reward}, {row}": [part["seconds"] for part in parts] for (reward, row), parts in found.parts.items()
        },
    }


def figures_of(settings: SrmtSettings, found: Any) -> list[Figure]:
    """Learning curves and CSR against length of each reward, and an episode."""
    figures = []
    document = document_of(settings, found)
    for reward in settings.reward:
        figures += [learning_curves(document, reward), csr_by_length(document, reward)]
    (_, row), parts = next(iter(found.parts.items()))
    episode = parts[0]["episode"]
    moves = episode_animation(
        episode["free"],
        [[tuple(cell) for cell in line] for line in episode["places"]],
        [tuple(cell) for cell in episode["goals"]],
        title=f"an episode of {row}",
    )
    return [*figures, moves]


def learning_curves(document: Mapping[str, Any], reward: str) -> Figure:
    """CSR of the training episodes that ended, over agent steps, means over seeds."""
    series = []
    for name, values in _of_reward(document["curves"], reward):
        series.append(curve(name, evenly(values, document["agent_steps"])))
    frame = Frame(f"CSR in training, {reward} reward", "agent steps", 620, 300)
    return point_chart(series, frame, joined=True, bars=False)


def csr_by_length(document: Mapping[str, Any], reward: str) -> Figure:
    """CSR in tests against the corridor's length, means over seeds."""
    series = [curve(name, by_length) for name, by_length in _of_reward(document["by_length"], reward)]
    return point_chart(
        series, Frame(f"CSR in tests, {reward} reward", "length of the corridor", 620, 300), joined=True, bars=False
    )


def _of_reward(named: Mapping[str, Any], reward: str) -> list[tuple[str, Any]]:
    return [(name.partition(", ")[2], value) for name, value in named.items() if name.partition(", ")[0] == reward]


def _scores(reward: str, rows: Mapping[str, Sequence[Any]], rules: Mapping[str, Any]) -> dict[str, Any]:
    names = ("csr", "isr", "soc", "makespan")
    lines = []
    for row, parts in rows.items():
        told = [_said([np.mean(part["tested"][name]) for part in parts], name) for name in names]
        hidden = [np.mean(part["hidden"]) for part in parts if "hidden" in part]
        lines.append([row, *told, _said(hidden, "csr") if hidden else "–"])
    for name, rule in rules.items():
        told = [_said([np.mean(one[measure]) for one in rule["tested"]], measure) for measure in names]
        lines.append([f"{name} (rule)", *told, "–"])
    heads = ["network", *HEADS, "CSR, others' memories zero"]
    return one_table(f"Corridors of 3 to 30, {reward} reward", heads, lines)


def _by_length(reward: str, rows: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    lines = []
    for row, parts in rows.items():
        cells = [row]
        for low, high in BANDS:
            picked = [place for place, length in enumerate(parts[0]["lengths"]) if low <= length <= high]
            cells.append(_said([np.mean([part["tested"]["csr"][place] for place in picked]) for part in parts], "csr"))
        lines.append(cells)
    heads = ["network", *(f"{low} to {high}" for low, high in BANDS)]
    return one_table(f"CSR by length, {reward} reward", heads, lines)


def _long(reward: str, rows: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    lines = [
        [row, *(_said([part["long"]["csr"][place] for part in parts], "csr") for place in range(len(LONG_LENGTHS)))]
        for row, parts in rows.items()
    ]
    return one_table(f"CSR of long corridors, {reward} reward", ["network", *map(str, LONG_LENGTHS)], lines)


def _differences(reward: str, rows: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The first row less each other, paired over seeds."""
    first, *others = rows
    lines = []
    for other in others:
        differences = [
            np.mean(one["tested"]["csr"]) - np.mean(two["tested"]["csr"])
            for one, two in zip(rows[first], rows[other], strict=True)
        ]
        lines.append([f"{first} less {other}", interval(over_seeds(differences, (-1.0, 1.0)), "+.2f")])
    return one_table(f"Differences of CSR, {reward} reward, paired over seeds", ["", "CSR"], lines)


def steps_to(curve: Sequence[float], share: float, all_steps: float) -> float | None:
    """Agent steps after which the CSR of training first stands at `share`, as its curve's points tell; None: never."""
    reached = [place for place, value in enumerate(curve) if value >= share]
    return all_steps * (reached[0] + 1) / len(curve) if reached else None


def _speed(settings: SrmtSettings, reward: str, rows: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Steps until CSR .9 in training; a seed that never gets there counts with all of its steps."""
    first, lines, steps_of = next(iter(rows)), [], {}
    all_steps = settings.num_updates * settings.steps_per_update
    for row, parts in rows.items():
        steps = [steps_to(part["curves"]["csr"], SOLVED, all_steps) for part in parts]
        steps_of[row] = np.asarray([all_steps if one is None else one for one in steps], float)
        less = interval(over_seeds(steps_of[first] - steps_of[row]), "+.2g") if row != first else "–"
        reached = f"{sum(one is not None for one in steps)} of {len(steps)}"
        lines.append([row, interval(over_seeds(steps_of[row], (0.0, all_steps)), ".2g"), reached, less])
    heads = ["network", "agent steps", "reached", f"{first} less it"]
    return one_table(f"Agent steps until CSR {SOLVED:g} in training, {reward} reward", heads, lines)


def _headline(settings: SrmtSettings, found: Any) -> str:
    reward, first = settings.reward[0], settings.rows[0]
    score = {row: [np.mean(part["tested"]["csr"]) for part in found.parts[reward, row]] for row in settings.rows}
    share = interval(over_seeds(score[first], SHARE))
    told = f"Simulated: with {reward} reward {first} brings both agents home in {share} of the episodes"
    others = [row for row in settings.rows if row != first]
    if not others:
        return told + "."
    best = max(others, key=lambda row: float(np.mean(score[row])))
    difference = over_seeds(np.subtract(score[first], score[best]), (-1.0, 1.0))
    return f"{told}; that is {interval(difference, '+.2f')} against the best other, {best}."


def _mean_curve(parts: Sequence[Any]) -> list[float]:
    """Mean over seeds, where a point without an ended episode counts as 0."""
    mean_i = np.mean([part["curves"]["csr"] for part in parts], axis=0)
    return [round(float(value), 4) for value in mean_i]


def _mean_by_length(parts: Sequence[Any]) -> list[tuple[int, float]]:
    means = np.mean([part["tested"]["csr"] for part in parts], axis=0)
    return [(length, round(float(value), 4)) for length, value in zip(parts[0]["lengths"], means, strict=True)]


def _said(values: Any, name: str) -> str:
    is_share = name in ("csr", "isr")
    return interval(over_seeds(values, (0.0, 1.0 if is_share else math.inf)), ".2f" if is_share else ".0f")
