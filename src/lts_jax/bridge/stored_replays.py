"""Replays of a stored rollout, and what credit reads of them: one decision turned, parts of its bank, fresh futures.

The same rollout of the same simulated teams from its coordinates, under common random numbers, with its decisions
taken as they were stored (`scripted`). A replay is known by three numbers, its `Key`, so that what was replayed once
can be kept and need not be replayed again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from lts_jax.admission.policy import ADMIT, REJECT, AdmissionPolicy
from lts_jax.bridge.collate import CollateSettings, rollout_counts
from lts_jax.bridge.flips import course, refuse_edits
from lts_jax.bridge.futures import Future, fork_parts
from lts_jax.bridge.scripted import Turn, scripted, turned
from lts_jax.errors import UserError
from lts_jax.records import Rollout, RolloutGroup
from lts_jax.rollouts.collect import RolloutCounter, run_side_by_side, run_to_end
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.seeds import uniform
from lts_jax.trajectory import Coalitions, FlippedRollouts, RegroupedRollouts

KINDS = ("flipped", "regrouped", "coalitions")
NUM_FUTURES = 3  # M, re-rollouts of a decision; ours
NUM_PERMUTATIONS, NUM_BLOCKS = 2, 8  # P and C of Shapley values; ours, as in the simulator

Key = tuple[int, int, int]
"""Which replay: (0, team, step) of a turned decision; (number, team, step) of a future of one; (permutation, number of
blocks kept, 0) of a part of the bank."""

Change = Callable[[RolloutParts], RolloutParts]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What credit reads of a replay; NaN where it does not count."""

    reward_agg: float
    reward_first: float
    seconds: float


Found = Mapping[Key, Outcome]


def changes(kind: str, rollout: Rollout, otherwise: AdmissionPolicy) -> dict[Key, Change]:
    """The replays of a stored rollout that a scheme needs; none of a rollout that does not count.

    Args:
        kind: one of `KINDS`.
        rollout: as it was stored.
        otherwise: what decides at places that only a replay has.

    Raises:
        UserError: decisions that edit.
    """
    refuse_edits(RolloutGroup(rollout.task, rollout.coordinates.iteration, (rollout,)))
    if not rollout_counts(rollout):
        return {}
    as_stored = scripted(rollout, otherwise)
    if kind == "coalitions":
        return {
            (permutation, kept, 0): partial(_with_policy, policy=replace(as_stored, actions=actions))
            for permutation in range(NUM_PERMUTATIONS)
            for kept, actions in _parts_of_bank(rollout, permutation).items()
        }
    if kind == "flipped":
        return {
            (0, *turn): partial(_with_policy, policy=replace(as_stored, actions={turn: turned(taken.action)}))
            for turn, taken in as_stored.decisions.items()
        }
    return {
        (number, *turn): partial(_forked, policy=as_stored, turn=turn, number=number)
        for number in range(NUM_FUTURES)
        for turn in as_stored.decisions
    }


def _with_policy(parts: RolloutParts, policy: AdmissionPolicy) -> RolloutParts:
    return replace(parts, policy=policy)


def _forked(parts: RolloutParts, policy: AdmissionPolicy, turn: Turn, number: int) -> RolloutParts:
    return fork_parts(_with_policy(parts, policy), *turn, future=Future(number, redraws=True))


def blocks(rollout: Rollout, permutation: int) -> dict[Turn, int]:
    """Block 0 .. C - 1 of each admission: their order is drawn from the rollout's coordinates and cut into C."""
    place, admitted = rollout.coordinates, [one for one in rollout.decisions if one.action == ADMIT]
    drawn = {
        (one.team, one.step): uniform(
            place.seed, place.iteration, place.task, place.rollout, one.team, one.step, permutation, "coalition"
        )
        for one in admitted
    }
    order = sorted(drawn, key=drawn.__getitem__)
    return {turn: number * NUM_BLOCKS // len(order) for number, turn in enumerate(order)}


def _parts_of_bank(rollout: Rollout, permutation: int) -> dict[int, dict[Turn, int]]:
    """Actions by number of blocks kept, for all numbers whose part is not that of one block less, nor everything."""
    block = blocks(rollout, permutation)
    withheld = {
        kept: {turn: REJECT for turn, number in block.items() if number >= kept} for kept in range(NUM_BLOCKS + 1)
    }
    first_time = {kept: actions for kept, actions in withheld.items() if actions and actions != withheld.get(kept - 1)}
    if permutation:
        first_time.pop(0, None)  # nothing kept is the same in every order
    return first_time


def replay(
    rollout: Rollout,
    wanted: Mapping[Key, Change],
    parts: RolloutParts,
    settings: RolloutSettings,
    *,
    otherwise: AdmissionPolicy,
    num_in_flight: int = 64,
    counter: RolloutCounter | None = None,
    on_replay: Callable[[Rollout], None] = lambda rollout: None,
) -> dict[Key, Outcome]:
    """Run these replays of a stored rollout, and the rollout itself, to see that it can be replayed at all.

    Args:
        rollout: as it was stored.
        wanted: some of its `changes`.
        parts: model and tools that made it.
        settings: those that made it.
        otherwise: as for `changes`.
        num_in_flight: replays that run side by side; changes speed, never results.
        counter: the decider behind `otherwise`, if there is one.
        on_replay: called with each replay as it ends.

    Raises:
        UserError: parts and settings do not replay it to itself.
    """
    found: dict[Key, Outcome] = {}

    async def run(key: Key | None, change: Change) -> Rollout:
        again = await run_rollout(rollout.task, rollout.coordinates, change(parts), settings)
        if key is None and course(again) != course(rollout):
            raise UserError(
                f"rollout {rollout.coordinates.rollout} of task {rollout.task.task_id!r} does not replay to itself: "
                "the run was made with other parts, or its policy takes time of its own to decide"
            )
        if key is not None:
            found[key] = _outcome(again)
            on_replay(again)
        return again

    itself = partial(_with_policy, policy=scripted(rollout, otherwise))
    runs = [partial(run, None, itself), *(partial(run, key, change) for key, change in wanted.items())]
    run_to_end(run_side_by_side(runs, num_in_flight, counter, lambda again: None))
    return {key: found[key] for key in wanted}


def _outcome(rollout: Rollout) -> Outcome:
    if not rollout_counts(rollout):
        return Outcome(np.nan, np.nan, np.nan)
    return Outcome(rollout.reward_agg, rollout.reward_first, rollout.seconds)


def arrays(
    kind: str, group: RolloutGroup, found: Sequence[Found], padding: CollateSettings
) -> FlippedRollouts | RegroupedRollouts | Coalitions:
    """What a scheme reads, from the replays of each rollout of a group."""
    shape = (len(group.rollouts), group.rollouts[0].num_teams, padding.max_steps)
    if kind == "coalitions":
        return _coalitions(group, found, shape)
    numbers = 1 if kind == "flipped" else NUM_FUTURES
    values = np.full((3, shape[0], numbers, *shape[1:]), np.nan, np.float32)
    for index, of_rollout in enumerate(found):
        for (number, team, step), one in of_rollout.items():
            values[:, index, number, team, step] = one.reward_agg, one.reward_first, one.seconds
    agg, first, runtime = values
    if kind == "flipped":
        return FlippedRollouts(agg[:, 0], first[:, 0], runtime[:, 0])
    return RegroupedRollouts(agg, first, runtime)


def _coalitions(group: RolloutGroup, found: Sequence[Found], shape: tuple[int, int, int]) -> Coalitions:
    block_gpkt = np.zeros((shape[0], NUM_PERMUTATIONS, *shape[1:]), np.int32)
    values = np.full((3, shape[0], NUM_PERMUTATIONS, NUM_BLOCKS + 1), np.nan, np.float32)
    for index, rollout in enumerate(group.rollouts):
        for permutation in range(NUM_PERMUTATIONS):
            for turn, block in blocks(rollout, permutation).items():
                block_gpkt[index, permutation, *turn] = block
            values[:, index, permutation] = _growing(rollout, found[index], permutation)
    return Coalitions(block_gpkt, *values)  # type: ignore[arg-type]


def _growing(rollout: Rollout, found: Found, permutation: int) -> np.ndarray:
    """Rewards and seconds f32[3, C + 1] with 0 .. C blocks kept; a part equal to an earlier one has that one's."""
    grown = np.full((3, NUM_BLOCKS + 1), np.nan, np.float32)
    if not rollout_counts(rollout):
        return grown
    num_kept = max(blocks(rollout, permutation).values(), default=-1) + 1  # with so many all of the bank is kept
    one = found.get((0, 0, 0))
    for kept in range(NUM_BLOCKS + 1):
        one = found.get((permutation, kept, 0), one)
        if one is None or kept >= num_kept:
            one = _outcome(rollout)
        grown[:, kept] = one.reward_agg, one.reward_first, one.seconds
    return grown
