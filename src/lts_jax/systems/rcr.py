"""RCR-Router (arXiv 2508.04903) on the offline world's teams: what workers are shown of their thread, and what of it.

Weights are chosen by support recall and budgets by score and recall, on validation tasks; then every mode at every
budget is measured once on test tasks, paired over tasks and seeds. Each line is a file of its own, so that a run that
was killed goes on with what is missing.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from lts_jax.admission.rules import make_rule
from lts_jax.admission.support import support_recall
from lts_jax.evaluation.answer_quality import parse_quality, quality_by_rule
from lts_jax.llm.chat import ChatModel, ModelFailure
from lts_jax.llm.relevance import RelevanceWeights
from lts_jax.prompts import quality_request
from lts_jax.records import Rollout, Task
from lts_jax.reports.svg import Figure
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups, run_to_end
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.rollouts.team_side import Routed
from lts_jax.systems.comparison import make_arm
from lts_jax.systems.kept import kept
from lts_jax.systems.rcr_settings import RcrSettings
from lts_jax.systems.rcr_tables import (
    CHANCE,
    NOTHING,
    Found,
    Line,
    document_of,
    figures_of,
    mean_of,
    recall_of,
    routed_name,
)
from lts_jax.systems.run_folder import RunFolder
from lts_jax.systems.run_parts import RunParts, make_parts
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.teams.routing import RoutingSettings
from lts_jax.teams.settings import TeamSettings

WORKERS = ("act", "report", "code")  # purposes of workers' calls; what is routed is all but the report
WEIGHTS = {
    "even": RelevanceWeights(0.25, 0.25, 0.25, 0.25),
    "role": RelevanceWeights(0.6, 0.1, 0.15, 0.15),
    "recency": RelevanceWeights(0.15, 0.1, 0.6, 0.15),
    "similarity": RelevanceWeights(0.15, 0.1, 0.15, 0.6),
    "no similarity": RelevanceWeights(0.4, 0.2, 0.4, 0.0),
}
"""Sets of weights that are tried on validation tasks. Ours; the paper's were not to be seen."""


def rcr(settings: RcrSettings, folder: RunFolder, say: Callable[[str], None]) -> tuple[dict[str, Any], list[Figure]]:
    """Choose, measure, and tell: the document of tables and its figures; what a file has is not run again."""
    found = _study(settings, folder, say)
    return document_of(settings, found), figures_of(settings, found)


def _study(settings: RcrSettings, folder: RunFolder, say: Callable[[str], None]) -> Found:
    run = make_parts(TrainSettings(world_seed=settings.world_seed, model=settings.model))
    validation = run.tasks("validation", settings.num_validation_tasks)
    test = run.tasks("test", settings.num_tasks)

    def line(part: str, name: str, routing: RoutingSettings) -> Line:
        path = folder.path / "lines" / f"{part}_{name.replace(' ', '_').replace(',', '')}.json"
        tasks, num = (test, settings.num_seeds) if part == "test" else (validation, settings.num_validation_seeds)
        return kept(path, partial(_measured, settings, run, tasks, num, routing), partial(say, f"{part}: {name}"))

    middle = settings.budgets[(len(settings.budgets) - 1) // 2]
    tried = {
        name: line("weights", name, RoutingSettings("greedy", middle, weights)) for name, weights in WEIGHTS.items()
    }
    chosen = max(tried, key=lambda name: recall_of(tried[name]))
    weights = WEIGHTS[chosen]

    def lines(part: str) -> dict[str, Line]:
        found = {
            "full": line(part, "full", RoutingSettings()),
            "static": line(part, "static", RoutingSettings("static")),
            "reports": line(part, "reports", RoutingSettings("reports")),
        }
        for mode in settings.modes:
            for budget in settings.budgets:
                routing = RoutingSettings(mode, budget, weights)  # type: ignore[arg-type]
                found[routed_name(mode, budget)] = line(part, f"{mode} {budget} of {chosen}", routing)
        return found

    on_validation = lines("validation")
    budgets = {mode: chosen_budget(settings, mode, on_validation) for mode in settings.modes}
    on_test = lines("test")
    for budget in sorted(set(budgets.values())):
        on_test[routed_name(CHANCE, budget)] = line("test", f"random {budget}", RoutingSettings("random", budget))
    on_test[NOTHING] = line("test", NOTHING, RoutingSettings("greedy", 1, weights))
    return Found(chosen, budgets, tried, on_validation, on_test)


def chosen_budget(settings: RcrSettings, mode: str, lines: Mapping[str, Line]) -> int:
    """The smallest budget that shows enough and loses little against full; the largest where none does."""
    full = mean_of(lines["full"], "score")
    for budget in settings.budgets:
        one = lines[routed_name(mode, budget)]
        if recall_of(one) >= settings.min_recall and mean_of(one, "score") >= full - settings.tolerance:
            return budget
    return settings.budgets[-1]


def _measured(
    settings: RcrSettings, run: RunParts, tasks: Sequence[Task], num_seeds: int, routing: RoutingSettings
) -> dict[str, list[Any]]:
    """Every rollout of a line: f64 lists by measure, in order of tasks and seeds."""
    calls: dict[tuple[str, int], list[int]] = {}

    def told(one: Routed) -> None:
        shown, needed = support_recall(one.question, one.agent, one.thread, one.shown, world_seed=settings.world_seed)
        counts = calls.setdefault((one.coordinates.task, one.coordinates.rollout), [0, 0, 0, 0])
        for place, more in enumerate((shown, needed, 1, len(one.shown) == 1)):
            counts[place] += more

    arm = make_arm(settings.policy, run, make_rule(settings.policy, run.encoder))
    team = TeamSettings(routing=routing)
    groups = collect_groups(
        tasks,
        replace(arm.parts, on_routed=told),
        replace(RolloutSettings(), team=team),
        CollectSettings(num_seeds),
        Iteration(settings.seed, 0),
    )
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    counts = [calls.get((one.task.task_id, one.coordinates.rollout), [0, 0, 0, 0]) for one in rollouts]
    return {
        "task": [one.task.task_id for one in rollouts],
        "seed": [one.coordinates.rollout for one in rollouts],
        "score": _finite([one.reward_agg for one in rollouts]),
        "quality": _finite(_qualities(settings, run, rollouts)),
        "routed_tokens": [_prompt_tokens(one, ("act", "code")) for one in rollouts],
        "worker_tokens": [_prompt_tokens(one, WORKERS) for one in rollouts],
        "prompt_tokens": [sum(call.prompt_tokens for call in one.calls) for one in rollouts],
        "steps": [len(one.steps) for one in rollouts],
        "seconds": [one.seconds for one in rollouts],
        "shown": [each[0] for each in counts],
        "needed": [each[1] for each in counts],
        "calls": [each[2] for each in counts],
        "bare": [each[3] for each in counts],
    }


def _finite(values: Sequence[float]) -> list[float | None]:
    """As JSON has them: None where there is none."""
    return [value if math.isfinite(value) else None for value in values]


def _prompt_tokens(rollout: Rollout, purposes: Sequence[str]) -> int:
    return sum(call.prompt_tokens for call in rollout.calls if call.purpose in purposes)


def _qualities(settings: RcrSettings, run: RunParts, rollouts: Sequence[Rollout]) -> list[float]:
    """Answer quality by rule; by the model itself where it is a live one."""
    if not settings.model.is_simulated:
        return run_to_end(judged(run.model, rollouts))
    return [_by_rule(one) for one in rollouts]


async def judged(model: ChatModel, rollouts: Sequence[Rollout]) -> list[float]:
    """The quality of each final answer as a model judges it; by rule where it gives no bare number, or fails."""

    async def quality(one: Rollout) -> float:
        request = quality_request(one.task.question, one.task.answer or "", one.final.text)
        try:
            found = parse_quality((await model.complete([request], seed=one.coordinates.rollout)).reply)
        except ModelFailure:
            found = None
        return _by_rule(one) if found is None else found

    return list(await asyncio.gather(*map(quality, rollouts)))


def _by_rule(rollout: Rollout) -> float:
    return quality_by_rule(rollout.final.text, rollout.task.answer or "", rollout.reward_agg)
