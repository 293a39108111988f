"""What `lts system hybrid` found, as tables and figures."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lts_jax.models.gated_memory import GATES
from lts_jax.reports.axes import Frame
from lts_jax.reports.point_chart import point_chart
from lts_jax.reports.svg import Figure
from lts_jax.reports.tables_page import one_table
from lts_jax.reports.text import interval
from lts_jax.systems.hybrid_settings import CHANNELS, HybridSettings
from lts_jax.systems.seed_tables import SHARE, curve, evenly, over_seeds

SINGLE = ("latent", "pool")  # what the switch may choose one of
SURVEY = 2.5  # times faster agreement by symbols that emerge, as a survey says without a source

Parts = Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]


def document_of(settings: HybridSettings, parts: Parts) -> dict[str, Any]:
    """The document of `reports.tables_page`, with the numbers that figures and studies read beside it."""
    tables, differences = [], {}
    for task in settings.task:
        rows = {row: parts[task, row] for row in settings.rows(task)}
        if task == "consensus":
            tables.append(_games(rows))
            continue
        tables.append(_teams(rows) if task == "simulator" else _blocks(task, rows))
        if "switch" in rows and len(rows) > 1:
            differences[task] = switch_less(rows)
            tables.append(_less(task, differences[task]))
    return {
        "name": "hybrid",
        "title": "Hybrid: memories, a pool of entries, and a switch between them",
        "headline": _headline(settings, parts, differences),
        "foot": _foot(settings),
        "tables": [one for one in tables if one["rows"]],
        "differences": differences,
        "tested": {
            f"{task}, {row}": {name: [part["tested"][name] for part in found] for name in found[0]["tested"]}
            for (task, row), found in parts.items()
        },
        "curves": {f"{task}, {row}": _mean_curves(found) for (task, row), found in parts.items()},
        "agent_steps": {task: settings.num_updates(task) * settings.steps_per_update(task) for task in settings.task},
        "num_skipped": sum(part["num_skipped"] for found in parts.values() for part in found),
        "seconds": {f"{task}, {row}": [one["seconds"] for one in found] for (task, row), found in parts.items()},
    }


def switch_less(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, list[float]]:
    """The switch's return minus every other row's, seed by seed; `better single` is the better of `SINGLE` by mean."""
    returns = {row: np.asarray([part["tested"]["return"] for part in found], float) for row, found in rows.items()}
    found = {row: (returns["switch"] - value).round(5).tolist() for row, value in returns.items() if row != "switch"}
    singles = [row for row in SINGLE if row in returns]
    if singles:
        best = max(singles, key=lambda row: float(returns[row].mean()))
        found = {f"better single, {best}": found[best]} | found
    return found


def figures_of(settings: HybridSettings, document: Mapping[str, Any]) -> list[Figure]:
    """Learning curves of each task, and what the switch reads while it learns."""
    figures = []
    for task in settings.task:
        name = "steps" if task == "consensus" else "return"
        figures.append(curves_figure(document, task, name))
        if f"{task}, switch" in document["curves"]:
            figures.append(shares_figure(document, task))
    return figures


def curves_figure(document: Mapping[str, Any], task: str, name: str) -> Figure:
    """A measure of the episodes that ended in training, over agent steps, a line for each row, means over seeds."""
    series = []
    for named, curves in document["curves"].items():
        if named.partition(", ")[0] == task and name in curves:
            series.append(curve(named.partition(", ")[2], evenly(curves[name], document["agent_steps"][task])))
    title = "Steps to agreement" if task == "consensus" else f"Return minus price, {task}"
    return point_chart(series, Frame(title, "agent steps", 620, 300), joined=True, bars=False)


def shares_figure(document: Mapping[str, Any], task: str) -> Figure:
    """Shares of steps by what the switch reads, over agent steps, means over seeds."""
    curves = document["curves"][f"{task}, switch"]
    all_steps = document["agent_steps"][task]
    series = [curve(gate, evenly(curves[f"share_{gate}"], all_steps)) for gate in GATES[:3]]
    frame = Frame(f"What the switch reads, {task}", "agent steps", 620, 300)
    return point_chart(series, frame, joined=True, bars=False)


def _blocks(task: str, rows: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    heads = ["mode", "return", "CSR", "first", "later", "sent", "written", *GATES]
    lines = []
    for row, found in rows.items():
        forms = {"return": ".3f", "csr": ".2f", "first_soc": ".1f", "later_soc": ".1f", "sent": ".0f", "written": ".2f"}
        told = [_said(found, name, form) if name in found[0]["tested"] else "–" for name, form in forms.items()]
        lines.append([row, *told, *(_share(found, f"share_{gate}") for gate in GATES)])
    return one_table(_TITLE[task], heads, lines)


def _teams(rows: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    forms = {"return": ".3f", "score": ".3f", "seconds": ".0f", "sent": ".0f", "admitted": ".2f"}
    lines = [
        [
            row,
            *(_said(found, name, form) for name, form in forms.items()),
            *(_share(found, f"share_{gate}") for gate in GATES),
        ]
        for row, found in rows.items()
    ]
    return one_table("Simulator: each team has an agent that admits its steps", ["mode", *forms, *GATES], lines)


def _share(found: Sequence[Any], name: str) -> str:
    """The mean over seeds, where the row has such a thing."""
    return f"{np.mean([part['tested'][name] for part in found]):.2f}" if name in found[0]["tested"] else "–"


def _less(task: str, found: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    lines = [[f"switch less {row}", interval(over_seeds(values), "+.3f")] for row, values in found.items()]
    return one_table(f"Differences of return, {task}, paired over seeds", ["", "return"], lines)


def _games(rows: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    alone = np.asarray([part["tested"]["steps"] for part in rows[CHANNELS[-1]]], float)
    lines = []
    for row, found in rows.items():
        ratio = alone / np.asarray([part["tested"]["steps"] for part in found], float)
        faster = "–" if row == CHANNELS[-1] else interval(over_seeds(ratio), ".2f")
        lines.append([row, _said(found, "steps", ".2f"), _said(found, "agreed", ".2f"), faster])
    heads = ["what is known of others", "steps to agreement", "agreed", "times faster"]
    return one_table("Consensus: three agents agree on the majority of their bits", heads, lines)


def _headline(settings: HybridSettings, parts: Parts, differences: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    told = []
    for task, found in differences.items():
        name, values = next(iter(found.items()))
        told.append(f"{task}: switch less {name} {interval(over_seeds(values), '+.3f')} of return minus price")
    if "consensus" in settings.task:
        steps = {
            row: np.asarray([part["tested"]["steps"] for part in parts["consensus", row]], float) for row in CHANNELS
        }
        faster = interval(over_seeds(steps["neither"] / steps["symbols"]), ".2f")
        told.append(f"consensus: symbols agree {faster} times faster than neither (a survey says {SURVEY:g})")
    return f"Simulated: {'; '.join(told) or 'modes without a comparison'}."


def _foot(settings: HybridSettings) -> str:
    told = [f"Simulated. {settings.num_seeds} seeds."]
    if set(settings.task) & {"corridors", "joined"}:
        told.append(
            f"Corridors of {', '.join(map(str, settings.lengths))}, {settings.block_episodes} episodes a block, "
            f"{settings.limit} steps an episode at most; in joined both begin in one room, and for a whole block the "
            "goals lie there or in the other one. Return: of an agent and episode, 1 at the goal, .01 for a step that "
            f"leads on, -.05 for any other, and {settings.price:g} off for each number that it reads of others or "
            f"writes (dear switch: {settings.dear_price:g}). First, later: steps of both agents until their goals in a "
            "block's first episode and in the others. Shares: of steps under way, by what is read; of symbols, none is "
            "silence."
        )
    if "simulator" in settings.task:
        told.append(
            "Simulator: return, of a rollout: score of the aggregated and of the first answer, for the mean agent, "
            f"{settings.price:g} off for each number that it reads of others. Shares: of decisions. Last rows: rules."
        )
    if "consensus" in settings.task:
        told.append("Consensus: a game that ends with a wrong agreement, or with none, counts as one of all its steps.")
    return " ".join([*told, "Acting by chance as trained; brackets: 95 % over seeds, from five on."])


_TITLE = {
    "corridors": "Corridors: paths are seen, goals lie in the other room",
    "joined": "Joined: which rooms hold the goals outlives the episode",
}


def _mean_curves(found: Sequence[Any]) -> dict[str, list[float]]:
    names = [name for name in found[0]["curves"] if name not in ("entropy", "kl", "num_episodes")]
    return {name: np.mean([one["curves"][name] for one in found], axis=0).round(4).tolist() for name in names}


def _said(found: Sequence[Any], name: str, form: str) -> str:
    within = SHARE if name in ("csr", "agreed", "admitted") else (-math.inf if name == "return" else 0.0, math.inf)
    return interval(over_seeds([part["tested"][name] for part in found], within), form)
