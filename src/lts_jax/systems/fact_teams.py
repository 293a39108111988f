"""Teams that share facts in place of raw outputs: rollouts of the offline world, the same tasks and seeds for all arms.

Everything is admitted, so that only what is stored differs. The call that extracts facts is timed and paid for like any
other. A world, an arm and a seed are a block with a file of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from lts_jax.admission.rules import admit_all, admit_none
from lts_jax.evaluation.statistics import (
    Cell,
    Interval,
    difference_interval,
    mean_interval,
    minimum_detectable_effect,
    pair_cells,
    reduction_interval,
)
from lts_jax.memory.consolidate import NO_MERGING
from lts_jax.memory.encoder_parts import make_encoder
from lts_jax.memory.fact_memory import FactSettings, count_tokens
from lts_jax.records import Rollout
from lts_jax.reports.tables_page import one_table
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.rollouts.rollout import RolloutParts
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.kept import kept
from lts_jax.systems.run_folder import RunFolder
from lts_jax.systems.simplemem_settings import SimplememSettings
from lts_jax.systems.world import ModelSettings, almanac_tasks, almanac_tools, make_model

NONE, RAW, FACTS = "none", "raw bank", "facts"


def arms_of(facts: FactSettings) -> dict[str, FactSettings | None]:
    """What is stored of an admitted step, by arm; nothing is admitted in the first."""
    ungated = replace(facts, gate=replace(facts.gate, threshold=0.0))
    unmerged = replace(facts, merge=replace(facts.merge, threshold=NO_MERGING))
    return {
        NONE: None,
        RAW: None,
        FACTS: facts,
        "no gate": ungated,
        "no merge": unmerged,
        "raw if fact": replace(unmerged, keeps_output=True),
        "rest raw": replace(facts, keeps_rest=True),
    }


def teams_with_facts(
    settings: SimplememSettings, folder: RunFolder, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """A table for each world."""
    tables = []
    for world in settings.worlds:
        found: dict[str, list[Any]] = {}
        for number, (arm, facts) in enumerate(arms_of(settings.facts).items()):
            for seed in range(settings.first_seed, settings.first_seed + settings.num_seeds):
                path = folder.path / "teams" / f"{_plain(world)}_{number}_{seed}.json"
                work = partial(_block, settings, world, arm, facts, seed)
                done = kept(path, work, partial(say, f"teams, {world}: {arm}, seed {seed}"))
                found.setdefault(arm, []).extend(done["rollouts"])
        tables.append(_table(world, found, settings))
    return tables


def _plain(world: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in world)


def _block(
    settings: SimplememSettings, world: str, arm: str, facts: FactSettings | None, seed: int
) -> dict[str, list[dict[str, Any]]]:
    parts = RolloutParts(
        model=make_model(ModelSettings(weaknesses=world)),
        use_tool=almanac_tools(settings.world_seed),
        policy=admit_none() if arm == NONE else admit_all(),
        encoder=make_encoder("hashing"),
        is_offline=True,
        facts=facts,
    )
    tasks = almanac_tasks(settings.world_seed, settings.split, settings.rollout_tasks)
    collecting = CollectSettings(num_rollouts=1)
    groups = collect_groups(tasks, parts, RolloutSettings(), collecting, Iteration(seed, 0))
    return {"rollouts": [_measured(rollout, seed) for group in groups for rollout in group.rollouts]}


def _measured(rollout: Rollout, seed: int) -> dict[str, Any]:
    ended = {edit.entry for edit in rollout.edits}
    values = [count_tokens(entry.value) for entry in rollout.entries if entry.entry not in ended]
    return {
        "task": rollout.task.task_id,
        "seed": seed,
        "score": rollout.reward_agg,
        "seconds": rollout.seconds,
        "tokens": rollout.tokens,
        "num_entries": len(values),
        "value_tokens": sum(values),
        "num_pulls": len(rollout.pulls),
    }


def _table(world: str, found: Mapping[str, Sequence[Any]], settings: SimplememSettings) -> dict[str, Any]:
    def cells(arm: str, name: str) -> dict[Cell, float]:
        return {(one["task"], one["seed"], 0): float(one[name]) for one in found[arm]}

    def line(arm: str) -> list[str]:
        gain = pair_cells(cells(RAW, "score"), cells(arm, "score"))
        least = minimum_detectable_effect(gain.policy - gain.reference, gain.tasks)
        saved = reduction_interval(pair_cells(cells(NONE, "seconds"), cells(arm, "seconds")))
        total = _mean(cells(arm, "tokens"))
        entries, values = _mean(cells(arm, "num_entries")), _mean(cells(arm, "value_tokens"))
        return [
            arm,
            f"{_mean(cells(arm, 'score')):.3f}",
            *(["reference", ""] if arm == RAW else [_signed(difference_interval(gain), 3), f"{least:.3f}"]),
            "reference" if arm == NONE else _signed(saved, 0),
            f"{total / 1000:.0f}",
            f"{entries:.1f}",
            f"{values / entries:.0f}" if entries else "",
            f"{_mean(cells(arm, 'num_pulls')):.1f}",
        ]

    return one_table(
        f"Teams that share facts, {world}",
        ["", "score", "over the raw bank", "least", "saved %", "k tokens", "entries", "value", "pulls"],
        [line(arm) for arm in arms_of(settings.facts)],
        f"{settings.rollout_tasks} tasks, {settings.num_seeds} seeds, three teams; all that is admitted stays the "
        "summary's key. Least: the smallest difference that could be resolved. Saved: of the runtime of teams that "
        "share nothing. k tokens: thousands of a rollout, all calls, extraction too. Value: tokens of a living "
        "entry. Raw if fact: raw outputs, of steps that state a fact alone: what choosing does without compressing. "
        "Rest raw: what states no fact is stored as it is.",
    )


def _mean(values: Mapping[Cell, float]) -> float:
    return mean_interval(list(values.values()), [cell[0] for cell in values]).estimate


def _signed(interval: Interval, digits: int) -> str:
    return f"{interval.estimate:+.{digits}f} [{interval.low:+.{digits}f}, {interval.high:+.{digits}f}]"
