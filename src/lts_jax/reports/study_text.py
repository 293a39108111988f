"""A study's results as a document and as plain text: every arm and rule, with intervals over seeds."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lts_jax.evaluation.statistics import Interval, mean_intervals, minimum_detectable_effect
from lts_jax.reports.text import WIDTH, interval, number

SCORE = "score"


def study_document(study: Any, settings: Any, found: Mapping[str, Any]) -> dict[str, Any]:
    """What the table and the page show, as JSON values.

    Args:
        study: a `systems.study.Study`.
        settings: its `StudySettings`.
        found: lines by name, arms first, as `run_study` gives them.
    """
    arms = {arm.name: arm.told for arm in study.arms if arm.name in found}
    score_ls = {name: np.asarray(one.measures[SCORE], float) for name, one in found.items()}
    yardstick = max(study.blind_rules, key=lambda name: score_ls[name].mean())
    lines = []
    for name, one in found.items():
        against = {
            "yardstick": score_ls[name] - score_ls[yardstick],
            "oracle": score_ls[study.oracle] - score_ls[name],
        }
        lines.append(
            {
                "name": name,
                "told": arms.get(name, ""),
                "is_arm": name in arms,
                "score": _plain(score_ls[name]),
                "above_yardstick": _plain(against["yardstick"]),
                "below_oracle": _plain(against["oracle"]),
                "shown": {key: _mean(one.measures, key) for key in study.shown},
                "curve": None if one.score_si is None else one.score_si.mean(axis=0).round(4).tolist(),
            }
        )
    first = next(iter(arms))
    return {
        "name": study.name,
        "title": study.title,
        "num_seeds": len(next(iter(score_ls.values()))),
        "num_tasks": settings.num_evaluation_tasks,
        "num_updates": settings.num_updates or study.num_updates,
        "num_rollouts": settings.num_rollouts * settings.tasks_per_update,
        "chance": study.chance,
        "yardstick": yardstick,
        "oracle": study.oracle,
        "first": first,
        "resolvable": _resolvable(score_ls[first] - score_ls[yardstick]),
        "heads": dict(study.shown),
        "lines": lines,
        "pairs": [
            {"line": first, "against": other, "score": _plain(score_ls[first] - score_ls[other])}
            for other in arms
            if other != first
        ],
        "sooner": [_sooner(found, first, other) for other in arms if other != first],
    }


def study_text(document: Mapping[str, Any]) -> str:
    """The same for a terminal, no line longer than `WIDTH` characters."""
    lines = document["lines"]
    width = max(len(line["name"]) for line in lines) + 2
    head = f"{'':<{width}}{'score':>19}{'above ' + _short(document['yardstick']):>26}{'below oracle':>22}"
    rows = [
        f"{line['name']:<{width}}{_said(line['score']):>19}{_said(line['above_yardstick'], '+'):>26}"
        f"{_said(line['below_oracle'], '+'):>22}"
        for line in lines
    ]
    names = list(document["heads"])
    wide = {name: max(9, len(document["heads"][name]) + 2) for name in names}
    counted = f"{'':<{width}}" + "".join(f"{document['heads'][name]:>{wide[name]}}" for name in names)
    counts = [
        f"{line['name']:<{width}}"
        + "".join(f"{number(number_of(line['shown'][name])):>{wide[name]}}" for name in names)
        for line in lines
    ]
    told = [f"  {line['name']}: {line['told']}" for line in lines if line["is_arm"]]
    pairs = [f"  {pair['line']} over {pair['against']}: {_said(pair['score'], '+')}" for pair in document["pairs"]] + [
        _sooner_text(one) for one in document["sooner"]
    ]
    return "\n".join(
        [
            textwrap.fill(headline(document), WIDTH),
            "",
            head,
            *rows,
            "",
            counted,
            *counts,
            "",
            "arms",
            *told,
            "",
            "differences over seeds, paired",
            *pairs,
            "",
            textwrap.fill(foot(document), WIDTH),
        ]
    )


def headline(document: Mapping[str, Any]) -> str:
    """What came out, in a line."""
    first = next(line for line in document["lines"] if line["name"] == document["first"])
    above, score = interval_of(first["above_yardstick"]), interval_of(first["score"])
    said = "is above" if above.low > 0 else "is below" if above.high < 0 else "is not told from"
    return (
        f"Simulated: {document['first']!r} answers {number(score.estimate)} right; it {said} the best rule that reads "
        f"no content, {document['yardstick']!r}, by {interval(above, '+.3f')}. Chance is {document['chance']:.3f}."
    )


def foot(document: Mapping[str, Any]) -> str:
    """Under which circumstances."""
    resolved = document["resolvable"]
    effect = "" if resolved is None else f" The smallest difference that these seeds could resolve: {resolved:.3f}."
    return (
        f"{document['num_seeds']} seeds, {document['num_updates']} updates a phase, of {document['num_rollouts']} "
        f"rollouts, {document['num_tasks']} tasks a seed; brackets: 95 %, over seeds." + effect
    )


def _sooner(found: Mapping[str, Any], first: str, other: str) -> dict[str, Any]:
    """How soon the first arm's training rollouts score what another arm's controllers score in the end."""
    goal = float(np.mean(found[other].measures[SCORE]))
    curve = _smooth(found[first].score_si.mean(axis=0))
    reached = np.nonzero(curve >= goal)[0]
    needed = None if not len(reached) else int(reached[0]) + 1
    return {"first": first, "other": other, "goal": goal, "updates": needed, "of": int(curve.size)}


def _sooner_text(one: Mapping[str, Any]) -> str:
    said = "not reached" if one["updates"] is None else f"after {one['updates']} of {one['of']} updates"
    return f"  {one['first']} reaches the final score of {one['other']} ({one['goal']:.3f}): {said}"


def _smooth(curve_i: np.ndarray, width: int = 9) -> np.ndarray:
    """Running mean over the updates before."""
    total = np.cumsum(np.concatenate([np.zeros(1), curve_i]))
    last = np.arange(1, len(curve_i) + 1)
    first = np.maximum(last - width, 0)
    smooth: np.ndarray = (total[last] - total[first]) / (last - first)
    return smooth


def _plain(value_s: np.ndarray) -> list[float | None]:
    """Mean and bounds over seeds; None for a bound that is not known."""
    found = mean_intervals(value_s[None])[0]
    return [float(one) if np.isfinite(one) else None for one in (found.estimate, found.low, found.high)]


def _resolvable(difference_s: np.ndarray) -> float | None:
    effect = minimum_detectable_effect(difference_s, [str(seed) for seed in range(len(difference_s))])
    return float(effect) if np.isfinite(effect) else None


def _mean(measures: Mapping[str, Any], key: str) -> float | None:
    return float(np.mean(measures[key])) if key in measures else None


def interval_of(stored: Sequence[float | None]) -> Interval:
    """An interval as a document keeps it: estimate and bounds, None for what is not known."""
    return Interval(*map(number_of, stored))


def number_of(stored: float | None) -> float:
    """A number as a document keeps it; NaN where it is not known."""
    return float("nan") if stored is None else stored


def _said(stored: Sequence[float | None], sign: str = "") -> str:
    return interval(interval_of(stored), f"{sign}.2f")


def _short(name: str) -> str:
    return name if len(name) <= 18 else "the yardstick"
