"""A learned controller that edits the memory of text teams: what it samples is what the loss takes it for."""

import asyncio
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import jax
import numpy as np
import pytest

from lts_jax import prompts
from lts_jax.admission.policy import Admission, AdmissionRequest
from lts_jax.bridge.collate import CollateSettings, collate, stack
from lts_jax.bridge.decide import BatchedDecider, DeciderSettings
from lts_jax.bridge.flips import flip_decisions
from lts_jax.bridge.learned import LearnedPolicy, make_decider
from lts_jax.credit.schemes import SCHEMES
from lts_jax.errors import UserError
from lts_jax.learning.settings import LearningSettings
from lts_jax.learning.state import init_state
from lts_jax.learning.update import make_update
from lts_jax.llm.chat import Completion
from lts_jax.models.pooled import PooledSettings, pooled
from lts_jax.models.set_transformer import SetTransformerSettings, set_transformer
from lts_jax.records import Coordinates, RolloutGroup, Step, Task, ToolResult
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.teams.settings import TeamSettings

SHAPE = SetTransformerSettings(embedding_width=8, width=8, num_heads=2, key_window=12, num_actions=4, targets=True)
NETWORK = set_transformer(SHAPE)
SETTINGS = DeciderSettings(batch_size=4, key_buckets=(4, 12), temperature=1.2)
TASK = Task("t", "How tall is the tower?", "42", "test")


class NoiseEncoder:
    """Unit vectors f32[n, 8] that follow from the text alone."""

    dim, name = 8, "noise"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        seeds = [int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") for text in texts]
        vectors = np.stack([np.random.default_rng(seed).normal(size=8) for seed in seeds])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def moved_params(network):
    """Parameters off their start, where all actions are equally likely."""
    leaves, structure = jax.tree.flatten(network.init(jax.random.key(0)))
    rng = np.random.default_rng(2)
    return jax.tree.unflatten(structure, [leaf + rng.normal(0, 0.3, leaf.shape).astype(np.float32) for leaf in leaves])


PARAMS = moved_params(NETWORK)


@dataclass(frozen=True)
class Climber:
    """Searches five times, then answers; takes no values."""

    name: str = "climber"

    async def complete(self, messages, *, seed, json_reply=False):
        asked = messages[-1].content.split("\n", 1)[0]
        purpose = next(name for name, opening in prompts.OPENINGS.items() if opening == asked)
        number = sum(message.name == "WebSurfer" for message in messages)
        answers = (number >= 5, False, True, "WebSurfer", f"Find height number {number} of {seed % 97}.")
        told = zip(prompts.LEDGER_FIELDS, answers, strict=True)
        replies = {
            "ledger": json.dumps({name: {"reason": "r", "answer": value} for name, value in told}),
            "act": '{"tool": "web_search", "arguments": {"query": "tower height"}}',
            "report": f"The tower is {seed % 89} m tall.",
            "summarize": f"Looked for a height of the tower and found that it is {seed % 83} m tall.",
            "select": "SELECTED_KEYS = []",
        }
        return Completion(replies.get(purpose, "FINAL ANSWER: 42"), len(messages), 10, self.name)


def rollouts(decider, num_rollouts=4):
    parts = RolloutParts(
        Climber(), lambda tool, given: ToolResult("a page", tool=tool), LearnedPolicy(decider, "learned")
    )
    settings = RolloutSettings(2, TeamSettings(max_rounds=8))

    async def run():
        made = []
        for number in range(num_rollouts):
            decider.rollout_started()
            made.append(await run_rollout(TASK, Coordinates(3, 0, "t", number), parts, settings))
            decider.rollout_ended()
        return made

    return RolloutGroup(TASK, 0, tuple(asyncio.run(run()))), parts, settings


@pytest.fixture(scope="module")
def collected():
    return rollouts(make_decider(NETWORK, PARAMS, NoiseEncoder(), SETTINGS, num_rows=1))


def test_a_learned_controller_edits_the_memory_of_text_teams(collected):
    group, _, _ = collected
    actions = Counter(decision.action for rollout in group.rollouts for decision in rollout.decisions)
    assert set(actions) == {0, 1, 2, 3}
    for rollout in group.rollouts:
        assert rollout.may_edit and all(math.isfinite(one.log_prob) for one in rollout.decisions)
        assert not [one for one in rollout.decisions if one.action > 1 and one.num_keys == 0]  # nothing to edit yet
    assert sum(len(rollout.edits) for rollout in group.rollouts) > 3


def test_what_was_sampled_is_what_the_loss_takes_it_for(collected):
    group, _, _ = collected
    batch = stack([collate(group, NoiseEncoder(), CollateSettings(8, 12))])
    learning = LearningSettings(temperature=1.2)
    state = replace(init_state(NETWORK, learning, jax.random.key(0)), params=PARAMS)
    _, metrics, _ = make_update(NETWORK, SCHEMES["group_relative"], learning)(state, *batch)
    assert float(metrics["learning/behavior_gap"]) < 1e-5
    # Without the masks, or what was pointed at, it is not.
    blind = replace(batch[0], action_mask_gkta=None, target_gkt=None, target_mask_gktj=None)
    _, wrong, _ = make_update(NETWORK, SCHEMES["group_relative"], learning)(state, blind, batch[1])
    assert float(wrong["learning/behavior_gap"]) > 0.1


def test_a_batch_has_masks_also_where_nothing_was_edited(collected):
    group, _, _ = collected
    never = [replace(one, decisions=(), edits=(), entries=(), pulls=()) for one in group.rollouts]
    trajectory, context = collate(RolloutGroup(TASK, 0, tuple(never)), NoiseEncoder(), CollateSettings(8, 12))
    assert trajectory.action_mask_gkta is not None and context.died_gn is not None


def test_a_decision_that_edits_is_not_turned(collected):
    group, parts, settings = collected
    with pytest.raises(UserError, match="turning a decision: expected that each admits or rejects"):
        flip_decisions(group, parts, settings, CollateSettings(8, 12))


def request_of(number: int, num_keys: int, ended: Sequence[int] = ()) -> AdmissionRequest:
    step = Step(number % 3, number, "WebSurfer", f"find {number}", "", f"found {number}", summary=f"sum {number}")
    keys = [f"key {index}" for index in range(num_keys)]
    place = Coordinates(1, 0, "task", number)
    return AdmissionRequest(f"question {number % 2}", keys, step, place, 0.0, ended=frozenset(ended))


def decide(requests, settings=SETTINGS, network=NETWORK, params=PARAMS) -> list[Admission]:
    decider = BatchedDecider(network, params, NoiseEncoder(), settings)

    async def rollout(request):
        try:
            return await decider.decide(request)
        finally:
            decider.rollout_ended()

    async def run():
        for _ in requests:
            decider.rollout_started()
        return await asyncio.gather(*map(rollout, requests))

    return asyncio.run(run())


def test_same_bits_in_any_company_and_what_has_ended_is_never_chosen():
    sizes = np.random.default_rng(0).integers(0, 7, 120).tolist()
    requests = [request_of(number, size, range(0, size, 2)) for number, size in enumerate(sizes)]
    together = decide(requests)
    assert decide(requests[7:9]) == together[7:9] and decide([requests[-1]]) == together[-1:]
    chosen = [(one, request) for one, request in zip(together, requests, strict=True) if one.target >= 0]
    assert len(chosen) > 5
    assert not [one for one, request in chosen if one.target in request.ended or one.target >= len(request.keys)]
    assert {one.action for one, _ in chosen} == {2, 3}
    certain = decide(requests, replace(SETTINGS, greedy=True))
    assert {one.log_prob for one in certain} == {0.0} and [one.admit_probability for one in certain] == [
        one.admit_probability for one in together
    ]


def test_the_chances_by_hand():
    """A fixed policy: actions .1 .2 .3 .4, entries 1 : 2 : 4; of three entries the first has ended."""
    logit_a, pointer_n = np.log([0.1, 0.2, 0.3, 0.4]), np.log([1.0, 2.0, 4.0, *[1.0] * 12])
    fixed = replace(
        NETWORK,
        decision_targets=lambda params, query, key, num_keys, step, alive: (
            jax.numpy.asarray(logit_a, "float32"), jax.numpy.asarray(pointer_n, "float32")[: alive.shape[-1] + 3],
        ),
        name="fixed",
    )  # fmt: skip
    plain = replace(SETTINGS, temperature=1.0)
    found = decide([request_of(number, 3, [0]) for number in range(600)], plain, fixed)
    count = Counter((one.action, one.target) for one in found)
    expected = {(0, -1): 0.1, (1, -1): 0.2, (2, 1): 0.1, (2, 2): 0.2, (3, 1): 0.4 / 3, (3, 2): 0.8 / 3}
    assert set(count) == set(expected)
    for (action, target), probability in expected.items():
        assert count[action, target] / 600 == pytest.approx(probability, abs=0.06)
    for one in found:
        assert one.log_prob == pytest.approx(math.log(expected[one.action, one.target]), abs=1e-6)
        assert one.admit_probability == pytest.approx(0.2, abs=1e-6)
    empty = decide([request_of(number, 1, [0]) for number in range(50)], plain, fixed)  # nothing lives: .1 : .2
    assert {one.action for one in empty} == {0, 1}
    assert empty[0].admit_probability == pytest.approx(2 / 3, abs=1e-6)


def test_what_cannot_decide_is_refused_by_name():
    eight = set_transformer(replace(SHAPE, num_actions=8))
    blind = set_transformer(replace(SHAPE, targets=False))
    for network, got in ((eight, "got 8 and targets"), (blind, "got 4 and no targets")):
        with pytest.raises(UserError, match=f"expected two actions, or 4 and targets where .*; {got}"):
            BatchedDecider(network, {}, NoiseEncoder(), SETTINGS)
    three = pooled(PooledSettings(embedding_width=8, key_window=12, num_actions=3))
    with pytest.raises(UserError, match="got 3 and no targets"):
        BatchedDecider(three, {}, NoiseEncoder(), SETTINGS)
    with pytest.raises(UserError, match=r"min_probability: expected 0 for a network that edits, got 0\.1"):
        BatchedDecider(NETWORK, {}, NoiseEncoder(), replace(SETTINGS, min_probability=0.1))
    with pytest.raises(UserError, match="key_window: expected at least the 13 keys of a memory that is edited, got 12"):
        decide([request_of(0, 13)])
    two = set_transformer(replace(SHAPE, num_actions=2))  # it points, and has nothing to point for
    assert not two.may_edit and BatchedDecider(two, {}, NoiseEncoder(), SETTINGS)
