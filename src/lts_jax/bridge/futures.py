"""Other futures of a decision: the same history and bank up to it, and fresh replies of the model from then on.

One flipped replay says what a decision did in one world, luck and all. Averaged over futures, once with the decision
as it was and once turned, it says what the decision was worth before its luck was known. A future is the model's seeds
drawn anew; latencies and, in a pair, the draws of the policy stay those of the rollout, so that both sides share them.
A re-rollout for `local_group` is no pair: there the policy draws anew too, beginning with the decision itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from lts_jax.admission.policy import Admission, AdmissionPolicy, AdmissionRequest
from lts_jax.bridge.collate import CollateSettings, Place, collate_regrouped
from lts_jax.bridge.flips import FlippedPolicy, ReplayChoice, refuse_edits, replay_changed
from lts_jax.llm.chat import Ask, ChatModel, Completion
from lts_jax.records import Message, Rollout, RolloutGroup
from lts_jax.rollouts.rollout import RolloutParts
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.seeds import coordinate_seed
from lts_jax.trajectory import RegroupedRollouts


@dataclass(frozen=True, slots=True)
class Future:
    """Which future of a decision.

    Attributes:
        number: futures of one number meet the same replies where they can.
        flip: the decision is turned; by default it is taken as it was.
        redraws: the policy's draws are fresh too, from the decision itself on: another rollout from the same state.
    """

    number: int
    flip: bool = False
    redraws: bool = False


@dataclass(slots=True)
class _Fork:
    """Whether one replay has come to the decision from which its future is its own."""

    team: int
    step: int
    future: Future
    passed: bool = False


@dataclass(frozen=True, slots=True)
class _ForkedPolicy:
    policy: AdmissionPolicy
    fork: _Fork = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.policy.name}, future {self.fork.future.number} of team {self.fork.team}, step {self.fork.step}"

    @property
    def listing_window(self) -> int | None:
        return self.policy.listing_window

    @property
    def may_edit(self) -> bool:
        return getattr(self.policy, "may_edit", False)

    async def decide(self, request: AdmissionRequest, ask: Ask) -> Admission:
        fork, coordinates = self.fork, request.coordinates
        is_here = (request.step.team, request.step.step) == (fork.team, fork.step)
        if fork.future.redraws and (fork.passed or is_here):
            seed = coordinate_seed(coordinates.seed, "future", fork.future.number)
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
        seed = coordinate_seed(seed, "future", self.fork.future.number) if self.fork.passed else seed
        return await self.model.complete(messages, seed=seed, json_reply=json_reply)


def regroup_decisions(
    group: RolloutGroup,
    parts: RolloutParts,
    settings: RolloutSettings,
    collate_settings: CollateSettings,
    choice: ReplayChoice | None = None,
    *,
    num_futures: int,
) -> RegroupedRollouts:
    """Rewards of `num_futures` re-rollouts from right before each decision, which is drawn anew. f32[G, M, K, T].

    NaN as in `flips.flip_decisions`, whose arguments and errors these are.
    """
    futures = [
        replay_future(group, parts, settings, Future(number, redraws=True), choice) for number in range(num_futures)
    ]
    return collate_regrouped(group, futures, collate_settings)


def replay_future(
    group: RolloutGroup,
    parts: RolloutParts,
    settings: RolloutSettings,
    future: Future,
    choice: ReplayChoice | None = None,
) -> Mapping[Place, Rollout]:
    """One future of each decision. Other arguments and errors as in `flips.flip_decisions`.

    Decisions that edit are refused only where a decision is turned.
    """
    if future.flip:
        refuse_edits(group)
    return replay_changed(group, parts, settings, partial(fork_parts, future=future), choice)


def fork_parts(parts: RolloutParts, team: int, step: int, *, future: Future) -> RolloutParts:
    """The parts of one replay whose future, from the decision of that team and step on, is its own."""
    fork = _Fork(team, step, future)
    policy = FlippedPolicy(parts.policy, team, step) if future.flip else parts.policy
    return replace(parts, policy=_ForkedPolicy(policy, fork), model=_ForkedModel(parts.model, fork))
