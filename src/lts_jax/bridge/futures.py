"""Other futures of a decision: the same history and bank up to it, and fresh replies of the model from then on.

One flipped replay says what a decision did in one world, luck and all. Averaged over futures, once with the decision
as it was and once turned, it says what the decision was worth before its luck was known. A future is the model's seeds
drawn anew; latencies and, in a pair, the draws of the policy stay those of the rollout, so that both sides share them.
A re-rollout for `local_group` is no pair: there the policy draws anew too, beginning with the decision itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from lts_jax.admission.policy import Admission, AdmissionPolicy, AdmissionRequest
from lts_jax.bridge.collate import CollateSettings, Place, collate_regrouped
from lts_jax.bridge.flips import FlippedPolicy, replay_changed
from lts_jax.llm.chat import Ask, ChatModel, Completion
from lts_jax.records import Message, Rollout, RolloutGroup
from lts_jax.rollouts.collect import RolloutCounter
from lts_jax.rollouts.rollout import RolloutParts, RolloutSettings
from lts_jax.seeds import coordinate_seed
from lts_jax.trajectory import RegroupedRollouts


@dataclass(slots=True)
class _Fork:
    """Whether one replay has come to the decision from which its future is its own."""

    team: int
    step: int
    future: int
    redraws: bool  # whether the policy's draws are fresh too, the decision's own first
    passed: bool = False


@dataclass(frozen=True, slots=True)
class _ForkedPolicy:
    policy: AdmissionPolicy
    fork: _Fork = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.policy.name}, future {self.fork.future} of team {self.fork.team}, step {self.fork.step}"

    @property
    def listing_window(self) -> int | None:
        return self.policy.listing_window

    async def decide(self, request: AdmissionRequest, ask: Ask) -> Admission:
        fork, coordinates = self.fork, request.coordinates
        is_here = (request.step.team, request.step.step) == (fork.team, fork.step)
        if fork.redraws and (fork.passed or is_here):
            seed = coordinate_seed(coordinates.seed, "future", fork.future)
            request = replace(request, coordinates=replace(coordinates, seed=seed))
        admission = await self.policy.decide(request, ask)
        fork.passed |= is_here
        return admission


@dataclass(frozen=True, slots=True)
class _ForkedModel:
    model: ChatModel
    fork: _Fork = field(repr=False)

    @property
    def name(self) -> str:
        return self.model.name

    async def complete(self, messages: Sequence[Message], *, seed: int, json_reply: bool = False) -> Completion:
        seed = coordinate_seed(seed, "future", self.fork.future) if self.fork.passed else seed
        return await self.model.complete(messages, seed=seed, json_reply=json_reply)


def regroup_decisions(
    group: RolloutGroup,
    parts: RolloutParts,
    settings: RolloutSettings,
    collate_settings: CollateSettings,
    *,
    num_futures: int,
    only: Literal["admitted", "all"] = "admitted",
    num_in_flight: int = 64,
    counter: RolloutCounter | None = None,
) -> RegroupedRollouts:
    """Rewards of `num_futures` re-rollouts from right before each decision, which is drawn anew. f32[G, M, K, T].

    NaN as in `flips.flip_decisions`, whose arguments and errors these are.
    """
    futures = [
        replay_future(
            group,
            parts,
            settings,
            number,
            flip=False,
            redraws=True,
            only=only,
            num_in_flight=num_in_flight,
            counter=counter,
        )
        for number in range(num_futures)
    ]
    return collate_regrouped(group, futures, collate_settings)


def replay_future(
    group: RolloutGroup,
    parts: RolloutParts,
    settings: RolloutSettings,
    future: int,
    *,
    flip: bool,
    redraws: bool = False,
    only: Literal["admitted", "all"] = "admitted",
    num_in_flight: int = 64,
    counter: RolloutCounter | None = None,
) -> Mapping[Place, Rollout]:
    """Future number `future` of each decision, taken as it was or turned; both meet the same replies where they can.

    With `redraws` the policy's draws are fresh too, from the decision itself on: another rollout from the same state.
    """
    change = partial(_forked, future=future, flip=flip, redraws=redraws)
    return replay_changed(group, parts, settings, change, only=only, num_in_flight=num_in_flight, counter=counter)


def _forked(parts: RolloutParts, team: int, step: int, *, future: int, flip: bool, redraws: bool) -> RolloutParts:
    fork = _Fork(team, step, future, redraws)
    policy = FlippedPolicy(parts.policy, team, step) if flip else parts.policy
    return replace(parts, policy=_ForkedPolicy(policy, fork), model=_ForkedModel(parts.model, fork))
