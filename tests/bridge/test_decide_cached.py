"""Decisions from caches: those of a whole forward, the same bits in any company, two compiled programs."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b

import jax
import numpy as np
import pytest

from lts_jax.admission.policy import AdmissionRequest
from lts_jax.bridge.decide import BatchedDecider, DeciderSettings
from lts_jax.bridge.decide_cached import CachedDecider, start_row, step_rows
from lts_jax.errors import UserError
from lts_jax.models.lora import LoraSettings
from lts_jax.models.policy_network import Frozen
from lts_jax.models.qwen3 import Qwen3Settings, init_weights
from lts_jax.models.qwen3_controller import qwen3_controller
from lts_jax.models.qwen3_soft_tokens import ControllerSettings
from lts_jax.models.set_transformer import SetTransformerSettings, set_transformer
from lts_jax.records import Coordinates, Step

QWEN3 = Qwen3Settings(
    width=16, num_layers=2, num_heads=2, num_kv_heads=1, head_width=8, mlp_width=24, vocabulary_size=20
)
WINDOW = 5
SETTINGS = DeciderSettings(batch_size=3, key_buckets=(WINDOW,))


class NoiseEncoder:
    """Unit vectors f32[n, 8] that follow from the text alone."""

    dim, name = 8, "noise"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        seeds = [int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") for text in texts]
        vectors = np.stack([np.random.default_rng(seed).normal(size=8) for seed in seeds])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def network():
    weights = jax.tree.map(lambda leaf: leaf * 2.0, init_weights(QWEN3, jax.random.key(0)))
    own = ControllerSettings(answer_ids=(3, 4), embedding_width=8, key_window=WINDOW)
    return qwen3_controller(own, QWEN3, LoraSettings(rank=2), Frozen(weights, "cafe" * 16))


def params_of(network, seed=1):
    leaves, structure = jax.tree.flatten(network.init(jax.random.key(seed)))
    keys = jax.random.split(jax.random.key(seed + 1), len(leaves))
    return jax.tree.unflatten(
        structure, [leaf + 0.1 * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, keys, strict=True)]
    )


def histories(num_rollouts: int, num_steps: int, max_new: int = 1) -> list[list[AdmissionRequest]]:
    """What each of some rollouts asks, in order; up to `max_new` keys come between two of its requests."""
    rng = np.random.default_rng(num_rollouts)
    found = []
    for rollout in range(num_rollouts):
        identity, keys, requests = object(), [], []
        for number in range(num_steps):
            keys += [f"key {len(keys)} of {rollout}" for _ in range(int(rng.integers(0, max_new + 1)))]
            step = Step(
                number % 3, number, "WebSurfer", f"find {number}", "", f"found {number}", summary=f"sum {number}"
            )
            requests.append(
                AdmissionRequest(
                    f"question {rollout % 2}", tuple(keys), step, Coordinates(1, 0, "t", 0), 0.0, (), identity
                )
            )
        found.append(requests)
    return found


def decide_all(decider, rollouts: list[list[AdmissionRequest]]):
    """Admissions of every request; rollouts run side by side, each asks one thing at a time."""

    async def rollout(requests):
        try:
            return [await decider.decide(request) for request in requests]
        finally:
            decider.rollout_ended()

    async def run():
        for _ in rollouts:
            decider.rollout_started()
        return await asyncio.gather(*(rollout(requests) for requests in rollouts))

    return asyncio.run(run())


@pytest.mark.parametrize("max_new", [1, 3])  # 3: longer banks than the window, and several keys between two requests
def test_equals_a_whole_forward_for_every_decision(network, max_new):
    params, rollouts = params_of(network), histories(5, 6, max_new)
    assert (max(len(requests[-1].keys) for requests in rollouts) > WINDOW) == (max_new == 3)
    cached = decide_all(CachedDecider(network, params, NoiseEncoder(), SETTINGS), rollouts)
    whole = decide_all(BatchedDecider(network, params, NoiseEncoder(), SETTINGS), rollouts)
    for ours, theirs in zip(cached, whole, strict=True):
        assert [each.action for each in ours] == [each.action for each in theirs]
        np.testing.assert_allclose(
            [each.admit_probability for each in ours], [each.admit_probability for each in theirs], atol=1e-5
        )
    assert len({each.admit_probability for each in whole[0]}) > 3  # or equality would show little


def test_same_bits_alone_in_company_and_with_rows_taken_away(network):
    params, rollouts = params_of(network), histories(5, 6)
    together = decide_all(CachedDecider(network, params, NoiseEncoder(), SETTINGS), rollouts)
    assert together == decide_all(CachedDecider(network, params, NoiseEncoder(), SETTINGS, num_rows=1), rollouts)
    assert together == decide_all(CachedDecider(network, params, NoiseEncoder(), SETTINGS, num_rows=2), rollouts)
    alone = [
        decide_all(CachedDecider(network, params, NoiseEncoder(), SETTINGS), [requests])[0] for requests in rollouts
    ]
    assert together == alone
    late = CachedDecider(network, params, NoiseEncoder(), SETTINGS)
    last = decide_all(late, [requests[-1:] for requests in rollouts])  # all keys at once
    assert [admissions[-1] for admissions in together] == [admissions[0] for admissions in last]
    earlier = decide_all(late, [requests[:1] for requests in rollouts])  # a request that comes late, with fewer keys
    assert [admissions[0] for admissions in together] == [admissions[0] for admissions in earlier]


def test_rows_computed_all_at_once_agree_to_rounding(network):
    params, rollouts = params_of(network), histories(4, 5)
    exact = decide_all(CachedDecider(network, params, NoiseEncoder(), SETTINGS), rollouts)
    fast = decide_all(CachedDecider(network, params, NoiseEncoder(), replace(SETTINGS, exact_rows=False)), rollouts)
    for ours, theirs in zip(exact, fast, strict=True):
        np.testing.assert_allclose(
            [each.admit_probability for each in ours], [each.admit_probability for each in theirs], atol=1e-5
        )


def test_two_teams_of_a_rollout_and_another_history_of_it(network):
    """On a real clock teams of one rollout wait together; without identity, replays share their coordinates."""
    params = params_of(network)
    [requests] = histories(1, 4)
    decider = CachedDecider(network, params, NoiseEncoder(), SETTINGS)
    one_by_one = decide_all(CachedDecider(network, params, NoiseEncoder(), SETTINGS), [requests])[0]
    together = decide_all(decider, [[request] for request in requests])  # as if four teams asked at one moment
    assert [each for [each] in together] == one_by_one
    other = replace(requests[-1], keys=("another key", *requests[-1].keys[1:]))
    expected = decide_all(CachedDecider(network, params, NoiseEncoder(), SETTINGS), [[other]])
    assert decide_all(decider, [[other]]) == expected != [one_by_one[-1:]]
    nameless = [replace(each, rollout=None) for each in (other, requests[-1])]
    assert decide_all(decider, [nameless])[0] == [expected[0][0], one_by_one[-1]]
    asked_else = replace(nameless[-1], question="another question")
    expected = decide_all(CachedDecider(network, params, NoiseEncoder(), SETTINGS), [[asked_else]])
    assert decide_all(decider, [[asked_else]]) == expected != [one_by_one[-1:]]


def test_parameters_are_not_replaced_under_those_who_wait(network):
    """They keep the answer that the old ones give."""
    params, [requests] = params_of(network), histories(1, 2)
    decider = CachedDecider(network, params, NoiseEncoder(), SETTINGS)

    async def run():
        decider.rollout_started()
        decider.rollout_started()
        waits = asyncio.create_task(decider.decide(requests[0]))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="1 decisions wait for the parameters"):
            decider.replace_params(params_of(network, 7))
        decider.rollout_ended()
        return await waits

    assert [[asyncio.run(run())]] == decide_all(
        CachedDecider(network, params, NoiseEncoder(), SETTINGS), [requests[:1]]
    )


def test_two_programs_whatever_is_asked(network):
    for function in (start_row, step_rows):
        function.clear_cache()
    decider = CachedDecider(network, params_of(network), NoiseEncoder(), SETTINGS)
    decide_all(decider, histories(5, 6))
    decider.replace_params(params_of(network, 7))
    decide_all(decider, histories(2, 3))
    assert (start_row._cache_size(), step_rows._cache_size()) == (1, 1)
    assert decider.counts.num_decisions == 36 > 2 * decider.counts.num_batches  # they rode together


def test_new_parameters_forget_what_the_old_ones_computed(network):
    [requests] = histories(1, 5)
    decider = CachedDecider(network, params_of(network), NoiseEncoder(), SETTINGS)
    old = decide_all(decider, [requests])
    decider.replace_params(params_of(network, 7))
    new = decide_all(decider, [requests])
    assert new == decide_all(CachedDecider(network, params_of(network, 7), NoiseEncoder(), SETTINGS), [requests]) != old


def test_bad_parts_are_refused(network):
    small = set_transformer(SetTransformerSettings(embedding_width=8, width=8, num_heads=2))
    with pytest.raises(UserError, match="expected a network that keeps a cache"):
        CachedDecider(small, {}, NoiseEncoder())
    with pytest.raises(UserError, match="num_rows: expected at least 1, got 0"):
        CachedDecider(network, {}, NoiseEncoder(), num_rows=0)


def test_decisions_from_caches_whose_keys_end_are_those_of_a_whole_forward() -> None:
    weights = jax.tree.map(lambda leaf: leaf * 2.0, init_weights(QWEN3, jax.random.key(0)))
    own = ControllerSettings(answer_ids=(3, 4), embedding_width=8, key_window=WINDOW, key_visibility="own")
    living = qwen3_controller(own, QWEN3, LoraSettings(rank=2), Frozen(weights, "cafe" * 16))
    params, rng = params_of(living), np.random.default_rng(0)
    asked = []
    for requests in histories(3, 9, 2):
        ended: set[int] = set()
        asked.append([])
        for request in requests:
            ended |= {int(rng.integers(len(request.keys)))} if request.keys and rng.random() < 0.5 else set()
            asked[-1].append(replace(request, ended=frozenset(ended)))
    assert max(len(requests[-1].keys) for requests in asked) > WINDOW  # some leave the cache, and go on whole
    found = decide_all(CachedDecider(living, params, NoiseEncoder(), SETTINGS), asked)
    expected = decide_all(BatchedDecider(living, params, NoiseEncoder(), SETTINGS), asked)
    blind = decide_all(CachedDecider(living, params, NoiseEncoder(), SETTINGS), histories(3, 9, 2))
    probability = [[[one.admit_probability for one in each] for each in all_] for all_ in (found, expected, blind)]
    np.testing.assert_allclose(probability[0], probability[1], atol=1e-5)
    assert np.abs(np.array(probability[0]) - np.array(probability[2])).max() > 1e-3


def test_causal_caches_refuse_what_has_ended(network) -> None:
    decider = CachedDecider(network, params_of(network), NoiseEncoder(), SETTINGS)
    [[request, *_]] = histories(1, 1)
    edited = replace(request, keys=("key",), ended=frozenset({0}))
    with pytest.raises(UserError, match=r"qwen3_2x16_cafecafe: expected a network that knows ended entries"):
        decide_all(decider, [[edited]])
