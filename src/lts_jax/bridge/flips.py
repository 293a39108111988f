"""True effect of a decision: the rollout replayed with that one decision turned and all random numbers kept.

A simulated rollout is a function of its coordinates and of what the policy decides, so that a replay meets the same
model replies, slips and latencies wherever the turned decision has not changed what is asked. Later decisions are
taken anew by the same policy. Live models give no second rollout of the same world, and are refused.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from lts_jax.actions import ACTIONS, UPDATE
from lts_jax.admission.policy import ADMIT, REJECT, Admission, AdmissionPolicy, AdmissionRequest
from lts_jax.bridge.collate import CollateSettings, Place, collate_flipped, rollout_counts
from lts_jax.errors import UserError
from lts_jax.llm.budget import Budget
from lts_jax.llm.chat import Ask
from lts_jax.records import Rollout, RolloutGroup
from lts_jax.rollouts.collect import RolloutCounter, run_side_by_side, run_to_end
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.trajectory import FlippedRollouts


@dataclass(frozen=True, slots=True)
class FlippedPolicy:
    """Another policy whose answer for one step is turned. The policy is asked all the same, and takes its time."""

    policy: AdmissionPolicy
    team: int
    step: int

    @property
    def name(self) -> str:
        """The policy's name and the place where it is turned."""
        return f"{self.policy.name}, flipped at team {self.team}, step {self.step}"

    @property
    def listing_window(self) -> int | None:
        """As the policy has it."""
        return self.policy.listing_window

    async def decide(self, request: AdmissionRequest, ask: Ask) -> Admission:
        """The policy's answer, or at the one place the other action with its log-probability (-inf if impossible)."""
        taken = await self.policy.decide(request, ask)
        if (request.step.team, request.step.step) != (self.team, self.step):
            return taken
        if taken.action not in (REJECT, ADMIT):
            raise UserError(f"{self.name}: expected a decision that admits or rejects, got {ACTIONS[taken.action]}")
        action = REJECT if taken.action == ADMIT else ADMIT
        probability = taken.admit_probability if action == ADMIT else 1.0 - taken.admit_probability
        return replace(taken, action=action, log_prob=math.log(probability) if probability > 0.0 else -math.inf)


@dataclass(frozen=True, slots=True)
class ReplayChoice:
    """Which decisions of a group are replayed, and how.

    Attributes:
        only: replay the admissions alone, or every decision.
        num_in_flight: replays that run side by side; changes speed, never results.
        counter: the decider behind a learned policy, if there is one.
    """

    only: Literal["admitted", "all"] = "admitted"
    num_in_flight: int = 64
    counter: RolloutCounter | None = None

    def __post_init__(self) -> None:
        if self.only not in ("admitted", "all"):
            raise UserError(f'only: expected "admitted" or "all", got {self.only!r}')


def flip_decisions(
    group: RolloutGroup,
    parts: RolloutParts,
    settings: RolloutSettings,
    collate_settings: CollateSettings,
    choice: ReplayChoice | None = None,
) -> FlippedRollouts:
    """Rewards and seconds of every rollout of a group with one decision turned, f32[G, K, T].

    NaN where no decision was taken or none was replayed, where the rollout does not count (then none of its decisions
    is replayed), and where the turned rollout does not.

    Args:
        group: simulated rollouts; they are replayed from their coordinates.
        parts: the model, tools and policy that made them. The budget is left alone: replays are not part of a run.
        settings: those that made them.
        collate_settings: padding, as for the group's `Trajectory`.
        choice: which decisions, by default the admissions.

    Raises:
        UserError: live models, decisions that edit, or a rollout that these parts and settings do not replay to itself.
    """
    return collate_flipped(group, replay_flipped(group, parts, settings, choice), collate_settings)


def replay_flipped(
    group: RolloutGroup, parts: RolloutParts, settings: RolloutSettings, choice: ReplayChoice | None = None
) -> Mapping[Place, Rollout]:
    """The turned rollouts themselves, by (rollout of the group, team, step). See `flip_decisions`."""
    refuse_edits(group)
    return replay_changed(group, parts, settings, _flip, choice)


def refuse_edits(group: RolloutGroup) -> None:
    """Refuse decisions that have no other side.

    Raises:
        UserError: one of a rollout of the group replaces or ends an entry.
    """
    for index, rollout in enumerate(group.rollouts):
        for taken in rollout.decisions:
            if taken.action not in (REJECT, ADMIT):
                raise UserError(
                    "turning a decision: expected that each admits or rejects, got "
                    f"{ACTIONS[taken.action]} in rollout {index} of task {group.task.task_id!r}"
                )


def replay_changed(
    group: RolloutGroup,
    parts: RolloutParts,
    settings: RolloutSettings,
    change: Callable[[RolloutParts, int, int], RolloutParts],
    choice: ReplayChoice | None = None,
) -> Mapping[Place, Rollout]:
    """One replay per decision, with the parts that `change(parts, team, step)` makes for it.

    `change` is called once a replay, so that what it makes may hold the state of that replay. Arguments and errors
    otherwise as in `flip_decisions`.
    """
    choice = choice or ReplayChoice()
    if not parts.virtual_time or any(rollout.clock != "virtual" for rollout in group.rollouts):
        raise UserError(
            "replaying a decision needs simulated teams on a virtual clock: a live model meets no world twice"
        )
    parts = replace(parts, budget=Budget())
    replays: dict[Place, Rollout] = {}

    async def replay(index: int, place: tuple[int, int] | None) -> Rollout:
        original = group.rollouts[index]
        made = parts if place is None else change(parts, *place)
        rollout = await run_rollout(group.task, original.coordinates, made, settings)
        if place is not None:
            replays[index, *place] = rollout
        elif course(rollout) != course(original):
            raise UserError(
                f"rollout {index} of task {group.task.task_id!r} does not replay to itself; "
                "give the policy, model and settings that made it"
            )
        return rollout

    runs = [
        partial(replay, index, place)
        for index, rollout in enumerate(group.rollouts)
        if rollout_counts(rollout)
        for place in (None, *_places(rollout, choice.only))
    ]
    run_to_end(run_side_by_side(runs, choice.num_in_flight, choice.counter, _forget))
    return replays


def _flip(parts: RolloutParts, team: int, step: int) -> RolloutParts:
    return replace(parts, policy=FlippedPolicy(parts.policy, team, step))


def _places(rollout: Rollout, only: str) -> list[tuple[int, int]]:
    """Decisions that are replayed; an update is an admission too."""
    return [(taken.team, taken.step) for taken in rollout.decisions if only == "all" or taken.action in (ADMIT, UPDATE)]


def course(rollout: Rollout) -> tuple[object, ...]:
    """What a faithful replay repeats: what was decided when, what was answered, and how long it took."""
    decided = [(taken.team, taken.step, taken.action, taken.target, taken.seconds) for taken in rollout.decisions]
    return decided, rollout.final.text, rollout.seconds


def _forget(rollout: Rollout) -> None:
    """Replays are kept by place; a rollout does not say where it was turned."""
