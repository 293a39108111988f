"""Stored rollouts as logged decisions: what a target policy would have done at each of them."""

import asyncio
from collections.abc import Iterator, Sequence

import numpy as np

from lts_jax.admission.policy import AdmissionPolicy, AdmissionRequest
from lts_jax.errors import UserError
from lts_jax.evaluation.off_policy import LoggedDecisions
from lts_jax.memory.encoders import Encoder
from lts_jax.memory.key_scores import cosines
from lts_jax.records import Decision, Message, ModelCall, Rollout, RolloutGroup

NUM_FEATURES = 5  # 1, failed, nearness to the nearest key, log of the number of keys, log of the step


def logged_decisions(
    groups: Sequence[RolloutGroup], policy: AdmissionPolicy, encoder: Encoder, outcomes: Sequence[str]
) -> dict[str, LoggedDecisions]:
    """The decisions of all rollouts with a reward, by outcome: "score" or "seconds".

    Raises:
        UserError: rollouts with edits, a target that asks a model or lists other keys, or no rollout.
    """
    rollouts = [one for group in groups for one in group.rollouts if np.isfinite(one.reward_agg) and not one.revoked]
    if not rollouts:
        raise UserError("logged decisions: expected rollouts with a reward, got none")
    if any(one.edits or one.may_edit for one in rollouts):
        raise UserError("logged decisions: expected a memory that is never edited")
    windows = {one.listing_window for one in rollouts}
    if windows != {policy.listing_window}:
        raise UserError(
            f"policy {policy.name}: lists {policy.listing_window} of the newest keys (none: all), and the logged "
            f"rollouts {', '.join(map(str, windows))}: what teams were shown would have differed"
        )
    size = max(1, *(len(one.decisions) for one in rollouts))
    shape = (len(rollouts), size)
    mask, admitted, logged, target = (np.zeros(shape, kind) for kind in (bool, bool, float, float))
    features = np.zeros((*shape, NUM_FEATURES))
    for row, rollout in enumerate(rollouts):
        for place, (request, decision) in enumerate(_requests(rollout)):
            mask[row, place], admitted[row, place] = True, decision.action == 1
            logged[row, place] = decision.admit_probability
            target[row, place] = asyncio.run(_probability(policy, request))
            features[row, place] = _features(request, encoder)
    tasks = tuple(one.task.task_id for one in rollouts)
    values = {"score": [one.reward_agg for one in rollouts], "seconds": [one.seconds for one in rollouts]}
    return {
        name: LoggedDecisions(tasks, np.array(values[name], float), mask, admitted, logged, target, features)
        for name in outcomes
    }


def _requests(rollout: Rollout) -> Iterator[tuple[AdmissionRequest, Decision]]:
    """Each decision with what it looked at, in order."""
    steps = {(one.team, one.step): one for one in rollout.steps}
    keys = [entry.key for entry in rollout.entries]
    identity = object()
    for decision in sorted(rollout.decisions, key=lambda one: one.sequence):
        request = AdmissionRequest(
            rollout.task.question, keys[: decision.num_keys], steps[decision.team, decision.step],
            rollout.coordinates, decision.seconds, (), identity,
        )  # fmt: skip
        yield request, decision


async def _probability(policy: AdmissionPolicy, request: AdmissionRequest) -> float:
    return (await policy.decide(request, _nobody)).admit_probability


async def _nobody(purpose: str, messages: Sequence[Message]) -> ModelCall:
    raise UserError("policy: expected one that asks no model: what it would have said is not in the log")


def _features(request: AdmissionRequest, encoder: Encoder) -> tuple[float, ...]:
    keys = request.living_keys
    nearest = float(np.max(cosines(encoder, request.step.summary, keys))) if keys else 0.0
    return 1.0, float(request.step.failed), nearest, float(np.log1p(len(keys))), float(np.log1p(request.step.step))
