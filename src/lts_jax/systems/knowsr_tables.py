"""What `lts system knowsr` found, as tables and figures: how soon learners reach what learners alone end with."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lts_jax.reports.axes import Frame
from lts_jax.reports.point_chart import point_chart
from lts_jax.reports.svg import Figure
from lts_jax.reports.tables_page import one_table
from lts_jax.reports.text import interval
from lts_jax.systems.knowsr_settings import ARMS, KnowsrSettings
from lts_jax.systems.seed_tables import curve, over_seeds

SHARE = 0.9  # of what learners alone gained that has to be reached
ENDS = 0.1  # of a curve that its beginning, and its end, is a mean over

Parts = Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]


def steps_to_share(curve: Mapping[str, Any], alone: Mapping[str, Any]) -> tuple[float, bool]:
    """(steps at which a curve has gained `SHARE` of what the curve alone gained, whether it ever did).

    Begin and end of `alone` are means over the first and last tenth of its points; a curve is looked at as the mean of
    the last three points. Where it never gets there, all of its steps; NaN where learners alone gained nothing.
    """
    number = max(1, round(ENDS * len(alone["return"])))
    first, last = np.mean(alone["return"][:number]), np.mean(alone["return"][-number:])
    if not last > first:
        return math.nan, False
    smooth = [np.mean(curve["return"][max(0, place - 2) : place + 1]) for place in range(len(curve["return"]))]
    reached = np.flatnonzero(np.asarray(smooth) >= first + SHARE * (last - first))
    if not len(reached):
        return float(curve["steps"][-1]), False
    return float(curve["steps"][reached[0]]), True


def document_of(settings: KnowsrSettings, parts: Parts) -> dict[str, Any]:
    """The document of `reports.tables_page`, with the numbers that figures and studies read beside it."""
    tables, saved = [], {}
    for env in settings.env:
        rows = []
        for arm in ARMS:
            told = _row(parts[env, ARMS[0]], parts[env, arm])
            saved[f"{env}, {arm}"] = told.pop("saved")
            rows.append([arm, *told.values()])
        heads = [
            "learners",
            "return at the end",
            "less independent",
            "steps to 90 %",
            "saved, %",
            "reached",
            "diversity",
        ]
        tables.append(one_table(_TITLE[env], heads, rows))
    return {
        "name": "knowsr",
        "title": "KnowSR: learners that teach each other",
        "headline": _headline(settings, saved),
        "foot": (
            f"Simulated. {settings.num_seeds} seeds; lessons every {settings.sharing.period} updates, their weight "
            f"from {settings.sharing.weight:g} in a line to 0 over {settings.sharing.num_decay_updates} updates. "
            "Steps to 90 %: until a curve has gained nine tenths of what independent learners of the same seed gained "
            "by their end; all of its steps where it never does. Saved: of independent learners' steps. Diversity: "
            "mean KL between the policies of two learners in the last tenth. Brackets: 95 % over seeds, from five on."
        ),
        "tables": tables,
        "saved": saved,
        "curves": {
            f"{env}, {arm}": {
                "steps": list(found[0]["steps"]),
                **{name: np.mean([one[name] for one in found], axis=0).round(5).tolist() for name in _CURVES},
            }
            for (env, arm), found in parts.items()
        },
        "seconds": {f"{env}, {arm}": [one["seconds"] for one in found] for (env, arm), found in parts.items()},
    }


def figures_of(settings: KnowsrSettings, document: Mapping[str, Any]) -> list[Figure]:
    """Return and diversity over steps of each world, means over seeds."""
    return [curves_figure(document, env, name) for env in settings.env for name in _CURVES]


def curves_figure(document: Mapping[str, Any], env: str, name: str) -> Figure:
    """`return` or `diversity` of one world over its steps, one line for each arm."""
    series = []
    for arm in ARMS:
        found = document["curves"][f"{env}, {arm}"]
        series.append(curve(arm, zip(found["steps"], found[name], strict=True)))
    frame = Frame(f"{_CURVES[name]}, {env}", _AXIS.get(env, "agent steps"), 620, 300)
    return point_chart(series, frame, joined=True, bars=False)


_TITLE = {
    "mpe_spread": "mpe_spread: three agents cover three landmarks",
    "mpe_tag": "mpe_tag: three pursuers, of one role, and one who is pursued; the pursuers' return",
    "bottleneck": "bottleneck: two agents in corridors, share of agents that reach their goals",
    "ledger": "ledger: admission controllers, score + .2 * share of time saved",
}
_HEADS = ("learners", "return at the end", "less independent", "steps to 90 %", "saved, %", "reached", "diversity")
_AXIS = {"ledger": "rollouts of all learners"}
_CURVES = {"return": "Return", "diversity": "Diversity"}


def _row(alone: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Cells of one arm, and under `saved` what it saved in each seed."""
    number = max(1, round(ENDS * len(found[0]["return"])))
    ends, ends_alone = ([float(np.mean(one["return"][-number:])) for one in some] for some in (found, alone))
    steps = [steps_to_share(one, other) for one, other in zip(found, alone, strict=True)]
    steps_alone = [steps_to_share(one, one)[0] for one in alone]
    saved = [100.0 * (1.0 - one / other) for (one, _), other in zip(steps, steps_alone, strict=True)]
    is_same = found is alone
    diversity = [np.mean(one["diversity"][-number:]) for one in found]
    return {
        "return": interval(over_seeds(ends), ".2f"),
        "difference": "–" if is_same else interval(over_seeds(np.subtract(ends, ends_alone)), "+.2f"),
        "steps": interval(over_seeds([one for one, _ in steps], (0.0, found[0]["steps"][-1])), ".3g"),
        "percent": "–" if is_same else interval(over_seeds(saved), "+.0f"),
        "reached": f"{sum(there for _, there in steps)} of {len(steps)}",
        "diversity": interval(over_seeds(diversity), ".3f"),
        "saved": [None if math.isnan(one) else round(one, 2) for one in saved],
    }


def _headline(settings: KnowsrSettings, saved: Mapping[str, Sequence[float | None]]) -> str:
    told = []
    for env in settings.env:
        by_arm = {arm: [one for one in saved[f"{env}, {arm}"] if one is not None] for arm in ARMS[1:]}
        if not by_arm[ARMS[1]]:
            told.append(f"nothing in {env}, where learners alone gained nothing")
            continue
        best = max(by_arm, key=lambda arm: float(np.mean(by_arm[arm])))
        told.append(f"{interval(over_seeds(by_arm[best]), '+.0f')} in {env} ({best})")
    return (
        f"Simulated: percent of the steps that learners alone need for nine tenths of what they gain, saved by lessons "
        f"from each other: {'; '.join(told)}."
    )
