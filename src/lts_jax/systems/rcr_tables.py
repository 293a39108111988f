"""What `lts system rcr` found, as tables and figures."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lts_jax.evaluation.statistics import (
    Cell,
    Interval,
    difference_interval,
    mean_interval,
    minimum_detectable_effect,
    pair_cells,
    reduction_interval,
)
from lts_jax.reports.axes import Frame
from lts_jax.reports.point_chart import Point, PointSeries, point_chart
from lts_jax.reports.svg import Figure
from lts_jax.reports.tables_page import one_table
from lts_jax.reports.text import interval
from lts_jax.systems.rcr_settings import RcrSettings

Line = Mapping[str, Sequence[Any]]
"""A line's rollouts: equal lists of task, seed, score, tokens, needed and shown evidence."""

GOAL_TOKENS, GOAL_RECALL = 30.0, 0.97
CHANCE, NOTHING = "chance", "instruction alone"
"""Lines of the test: items taken by chance, and none at all."""


@dataclass(frozen=True)
class Found:
    """All that was measured."""

    weights: str  # chosen
    budgets: Mapping[str, int]  # chosen, by mode
    tried: Mapping[str, Line]  # weights on validation tasks
    validation: Mapping[str, Line]
    test: Mapping[str, Line]


def routed_name(mode: str, budget: int) -> str:
    """A line's name in tables."""
    return f"{mode}, {budget}"


def recall_of(line: Line) -> float:
    """Needed evidence that was shown / that stood in the threads, over all calls of a line."""
    return sum(line["shown"]) / max(1, sum(line["needed"]))


def mean_of(line: Line, measure: str) -> float:
    """The mean of the rollouts that have a value."""
    finite = [value for value in line[measure] if value is not None]
    return math.fsum(finite) / len(finite) if finite else math.nan


def document_of(settings: RcrSettings, found: Found) -> dict[str, Any]:
    """The document of `reports.tables_page`."""
    simulated = settings.model.is_simulated
    return {
        "name": "rcr",
        "title": "RCR-Router: what workers are shown of their team's thread",
        "headline": _headline(settings, found),
        "foot": (
            f"{'Simulated' if simulated else 'Live'} agents on the offline world (seed {settings.world_seed}); three "
            f"teams, admission {settings.policy}. {settings.num_tasks} test tasks, {settings.num_seeds} rollouts of "
            "each, paired over tasks and seeds; brackets: 95 % over tasks, each with all its rollouts. Workers' "
            "tokens: prompts of calls that act, report and write code. Orchestrators' calls are never routed. Support "
            "recall: "
            "addresses of the page that holds what a worker is asked for, and true values, that it is shown / that "
            "stand in its team's thread. Weights, tags and keywords are ours; the paper's were not to be seen."
            + (
                " The simulated model reads the first paragraph of what workers say and never the page text below, so "
                "here it costs nothing to hide that text, which a live model may need."
                if simulated
                else ""
            )
        ),
        "tables": [
            _outcomes(found),
            _evidence(found),
            _goals(found),
            _weights(settings, found),
            _budgets(settings, found),
        ],
    }


def _cells(line: Line, measure: str) -> dict[Cell, float]:
    values = line[measure]
    return {
        (task, 0, seed): math.nan if value is None else float(value)
        for task, seed, value in zip(line["task"], line["seed"], values, strict=True)
    }


def _recalls(line: Line) -> dict[Cell, float]:
    """By rollout; NaN where nothing was needed."""
    cells = zip(line["task"], line["seed"], line["shown"], line["needed"], strict=True)
    return {(task, 0, seed): shown / needed if needed else math.nan for task, seed, shown, needed in cells}


def _over(line: Line, other: Line, measure: str) -> Interval:
    return difference_interval(pair_cells(_cells(other, measure), _cells(line, measure)))


def saved(line: Line, full: Line, measure: str) -> Interval:
    """Percent of full's tokens that a line does without, paired."""
    return reduction_interval(pair_cells(_cells(full, measure), _cells(line, measure)))


def resolvable(line: Line, full: Line) -> float:
    """The smallest true difference in score that these tasks would find with 80 % power."""
    paired = pair_cells(_cells(full, "score"), _cells(line, "score"))
    return minimum_detectable_effect(paired.policy - paired.reference, paired.tasks)


def _mean(line: Line, measure: str) -> Interval:
    cells = _recalls(line) if measure == "recall" else _cells(line, measure)
    most = 1.0 if measure in ("score", "recall") else math.inf
    return mean_interval(list(cells.values()), [cell[0] for cell in cells], within=(0.0, most))


def _marked(found: Found, name: str) -> str:
    chosen = {routed_name(mode, budget) for mode, budget in found.budgets.items()}
    return f"{name} *" if name in chosen else name


def _outcomes(found: Found) -> dict[str, Any]:
    full, rows = found.test["full"], []
    for name, line in found.test.items():
        over = "" if line is full else interval(_over(line, full, "score"), "+.3f")
        least = "" if line is full else f"{resolvable(line, full):.3f}"
        better = "" if line is full else interval(_over(line, full, "quality"), "+.2f")
        score, quality = f"{mean_of(line, 'score'):.3f}", f"{mean_of(line, 'quality'):.2f}"
        rows.append([_marked(found, name), score, over, least, quality, better])
    heads = ["", "score", "over full", "resolvable", "quality", "over full"]
    intro = "Mode and budget of tokens; * of each mode the one chosen on validation tasks. Quality is from 1 to 5."
    return one_table("Test tasks: outcome", heads, rows, intro)


def _evidence(found: Found) -> dict[str, Any]:
    full, static, rows = found.test["full"], found.test["static"], []
    for name, line in found.test.items():
        recall = pair_cells(_recalls(static), _recalls(line))
        rows.append(
            [
                _marked(found, name),
                f"{mean_of(line, 'worker_tokens') / 1000:.0f}k",
                "" if line is full else interval(saved(line, full, "worker_tokens"), ".0f"),
                "" if line is full else interval(saved(line, full, "prompt_tokens"), ".0f"),
                f"{recall_of(line):.3f}",
                "" if line is static else interval(difference_interval(recall), "+.3f"),
                f"{mean_of(line, 'steps'):.0f}",
                f"{sum(line['bare']) / max(1, sum(line['calls'])):.2f}",
            ]
        )
    heads = ["", "tokens", "saved %", "of all, %", "recall", "over static", "steps", "bare"]
    share = 100 * mean_of(full, "worker_tokens") / mean_of(full, "prompt_tokens")
    intro = (
        f"Prompt tokens of workers a rollout (in full {share:.0f} % of all prompts), saved against full, and of all "
        "calls together; support recall over all "
        "calls, and its mean paired difference from static; steps of all teams; share of calls shown the instruction "
        "alone."
    )
    return one_table("Test tasks: tokens and evidence", heads, rows, intro)


def _goals(found: Found) -> dict[str, Any]:
    full, static, rows = found.test["full"], found.test["static"], []
    for mode, budget in found.budgets.items():
        line = found.test[routed_name(mode, budget)]
        tokens, score = saved(line, full, "worker_tokens"), _over(line, full, "score")
        least = resolvable(line, full)
        meets = tokens.estimate >= GOAL_TOKENS and score.estimate >= -least
        rows.append(
            [
                f"{mode}, {budget}: workers' tokens saved",
                f">= {GOAL_TOKENS:.0f} %, score >= -{least:.3f}",
                f"{tokens.estimate:.0f} %, score {score.estimate:+.3f}",
                _word(meets),
            ]
        )
        recall, other = recall_of(line), recall_of(static)
        meets = recall >= GOAL_RECALL and recall > other
        told = f"{recall:.3f} against {other:.3f}"
        rows.append([f"{mode}, {budget}: support recall", f">= {GOAL_RECALL}, above static", told, _word(meets)])
    intro = (
        "At the budgets chosen on validation tasks; a score is within what can be resolved if it is not below full by "
        "more. Published: up to 30 % of tokens saved, 25 to 47 % by another page; support recall 1.0 against .83 of "
        "static in a replication."
    )
    return one_table("Figures to reach", ["", "goal", "found", "met"], rows, intro)


def _word(is_met: bool) -> str:
    return "yes" if is_met else "no"


def _weights(settings: RcrSettings, found: Found) -> dict[str, Any]:
    rows = [
        [f"{name} *" if name == found.weights else name, f"{recall_of(line):.4f}", f"{mean_of(line, 'score'):.3f}"]
        for name, line in found.tried.items()
    ]
    intro = "Greedy at one budget; the set of the highest support recall is taken (*) for all modes."
    return one_table("Validation tasks: weights", ["", "support recall", "score"], rows, intro)


def _budgets(settings: RcrSettings, found: Found) -> dict[str, Any]:
    full = found.validation["full"]
    rows = [
        [
            _marked(found, name),
            f"{mean_of(line, 'score'):.3f}",
            f"{recall_of(line):.3f}",
            "" if line is full else f"{saved(line, full, 'worker_tokens').estimate:.0f}",
        ]
        for name, line in found.validation.items()
    ]
    intro = (
        f"Of each mode the smallest budget (*) with a recall of at least {settings.min_recall:g} and a score at most "
        f"{settings.tolerance:g} below full; the largest where there is none."
    )
    return one_table("Validation tasks: budgets", ["", "score", "recall", "workers saved %"], rows, intro)


def _headline(settings: RcrSettings, found: Found) -> str:
    mode = "greedy" if "greedy" in found.budgets else next(iter(found.budgets))
    line, full = found.test[routed_name(mode, found.budgets[mode])], found.test["full"]
    tokens, score = saved(line, full, "worker_tokens"), _over(line, full, "score")
    in_all = saved(line, full, "prompt_tokens")
    routed = "Simulated: routed" if settings.model.is_simulated else "Routed"
    return (
        f"{routed} {mode} within {found.budgets[mode]} tokens, workers read {interval(tokens, '.0f')} % fewer prompt "
        f"tokens than with the whole thread ({interval(in_all, '.1f')} % of all prompts), at a score "
        f"{interval(score, '+.3f')} apart (resolvable: {resolvable(line, full):.3f}); they were shown "
        f"{recall_of(line):.1%} of the needed evidence, static routing {recall_of(found.test['static']):.1%}."
    )


def figures_of(settings: RcrSettings, found: Found) -> list[Figure]:
    """Score and support recall over the workers' prompt tokens, a point a line of the test."""
    series: dict[str, list[tuple[str, Line]]] = {}
    for name, line in found.test.items():
        series.setdefault(name.partition(",")[0], []).append((name, line))
    kind = "simulated" if settings.model.is_simulated else "live"
    x_title = "prompt tokens of workers a rollout, thousands"
    figures = []
    for measure, title in (("score", f"Score, {kind}"), ("recall", f"Support recall, {kind}")):
        points = [
            PointSeries(
                label,
                [
                    Point(
                        _thousands(_mean(line, "worker_tokens")),
                        _mean(line, measure),
                        name,
                        _marked(found, name) != name,
                    )
                    for name, line in lines
                ],
            )
            for label, lines in series.items()
        ]
        figures.append(point_chart(points, Frame(title, x_title)))
    return figures


def _thousands(value: Interval) -> Interval:
    return Interval(value.estimate / 1000, value.low / 1000, value.high / 1000)
