"""The batched decision: same bits in any company, few compiled shapes, flushed when nobody else can come."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from hashlib import blake2b

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.admission.policy import Admission, AdmissionRequest
from lts_jax.bridge.batching import admissions
from lts_jax.bridge.decide import BatchedDecider, DeciderSettings
from lts_jax.bridge.learned import LearnedPolicy
from lts_jax.errors import UserError
from lts_jax.models.policy_network import PolicyNetwork
from lts_jax.models.set_transformer import SetTransformerSettings, set_transformer
from lts_jax.records import Coordinates, Step
from lts_jax.seeds import uniform

SETTINGS = DeciderSettings(batch_size=4, key_buckets=(2, 5))


class NoiseEncoder:
    """Unit vectors f32[n, 8] that follow from the text alone."""

    dim, name = 8, "noise"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        seeds = [int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") for text in texts]
        vectors = np.stack([np.random.default_rng(seed).normal(size=8) for seed in seeds])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def request_of(number: int, num_keys: int | None = None) -> AdmissionRequest:
    num_keys = number % 6 if num_keys is None else num_keys
    step = Step(number % 3, number, "WebSurfer", f"find {number}", "", f"found {number}", summary=f"sum {number}")
    keys = [f"key {index}" for index in range(num_keys)]
    return AdmissionRequest(f"question {number % 2}", keys, step, Coordinates(1, 0, "task", number), 0.0)


def fixed_network(log_prob_reject: float) -> PolicyNetwork:
    """A network that rejects with a given probability whatever it sees, at temperature 1."""
    logits = jnp.array([log_prob_reject, math.log(1.0 - math.exp(log_prob_reject))])
    return PolicyNetwork(
        init=lambda prng_key: {},
        decision_logits=lambda params, query, key, num_keys, step: jnp.broadcast_to(logits, (*num_keys.shape, 2)),
        packed_logits=lambda params, context: jnp.broadcast_to(logits, (*context.num_keys_gkt.shape, 2)),
        key_window=5,
        name="fixed",
    )


def small_network() -> tuple[PolicyNetwork, dict]:
    network = set_transformer(SetTransformerSettings(embedding_width=8, width=8, num_heads=2, key_window=5))
    leaves, structure = jax.tree.flatten(network.init(jax.random.key(0)))
    rng = np.random.default_rng(2)
    moved = [leaf + rng.normal(0, 0.3, leaf.shape).astype(np.float32) for leaf in leaves]
    return network, jax.tree.unflatten(structure, moved)


async def decide_together(decider: BatchedDecider, requests: list[AdmissionRequest]) -> list[Admission]:
    """All requests at once, each as the only one of its rollout."""

    async def rollout(request: AdmissionRequest) -> Admission:
        try:
            return await decider.decide(request)
        finally:
            decider.rollout_ended()

    for _ in requests:
        decider.rollout_started()
    return await asyncio.gather(*(rollout(request) for request in requests))


def test_same_bits_in_any_company_and_at_most_one_program_a_bucket() -> None:
    inner, params = small_network()
    traced: list[tuple[int, ...]] = []

    def counted(params: dict, query: jax.Array, key: jax.Array, num_keys: jax.Array, step: jax.Array) -> jax.Array:
        traced.append(key.shape)
        return inner.decision_logits(params, query, key, num_keys, step)

    network = replace(inner, decision_logits=counted)
    requests = [request_of(number) for number in range(23)]

    async def alone() -> list[Admission]:
        decider = BatchedDecider(network, params, NoiseEncoder(), SETTINGS)
        return [await decider.decide(request) for request in requests]

    first = asyncio.run(alone())
    decider = BatchedDecider(network, params, NoiseEncoder(), SETTINGS)
    assert asyncio.run(decide_together(decider, requests)) == first
    assert asyncio.run(decide_together(decider, requests[::-1])) == first[::-1]
    assert sorted(traced) == [(2, 8), (5, 8)]
    assert len({admission.admit_probability for admission in first}) == 23
    assert {admission.action for admission in first} == {0, 1}
    assert decider.counts.num_decisions == 46
    # 12 requests of up to two keys and 11 of more, twice: three batches of four each time at best.
    assert 12 <= decider.counts.num_batches <= 14
    fast = BatchedDecider(inner, params, NoiseEncoder(), replace(SETTINGS, exact_rows=False))
    for one, other in zip(asyncio.run(decide_together(fast, requests[:3])), first[:3], strict=True):
        assert one.admit_probability == pytest.approx(other.admit_probability, abs=1e-5)


def test_waits_for_all_active_rollouts_and_no_longer() -> None:
    async def scenario() -> None:
        decider = BatchedDecider(fixed_network(math.log(0.5)), {}, NoiseEncoder(), SETTINGS)
        for _ in range(3):
            decider.rollout_started()
        waiting = [asyncio.create_task(decider.decide(request_of(number))) for number in (0, 1)]
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in waiting)
        with pytest.raises(RuntimeError, match="2 decisions wait"):
            decider.replace_params({})
        decider.rollout_ended()  # now two are active, and both wait
        await asyncio.gather(*waiting)
        assert decider.counts.num_batches == 1
        # One more rollout comes; its request completes the set.
        decider.rollout_started()
        waiting = [asyncio.create_task(decider.decide(request_of(number, 0))) for number in (0, 1)]
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in waiting)
        await asyncio.gather(*waiting, decider.decide(request_of(2, 0)))

    asyncio.run(asyncio.wait_for(scenario(), 200))


def test_a_full_bucket_does_not_wait() -> None:
    async def scenario() -> None:
        decider = BatchedDecider(fixed_network(math.log(0.5)), {}, NoiseEncoder(), SETTINGS)
        for _ in range(100):
            decider.rollout_started()
        await asyncio.gather(*(decider.decide(request_of(number, 1)) for number in range(4)))

    asyncio.run(asyncio.wait_for(scenario(), 200))


def test_a_late_company_is_not_waited_for_beyond_the_limit() -> None:
    async def scenario() -> float:
        settings = replace(SETTINGS, max_wait_seconds=0.02)
        decider = BatchedDecider(fixed_network(math.log(0.5)), {}, NoiseEncoder(), settings)
        decider.rollout_started()
        decider.rollout_started()
        started = asyncio.get_running_loop().time()
        await decider.decide(request_of(0))
        await decider.decide(request_of(1))
        return asyncio.get_running_loop().time() - started

    assert 0.04 <= asyncio.run(asyncio.wait_for(scenario(), 200)) < 100.0


def test_a_cancelled_request_leaves_the_queue() -> None:
    async def scenario() -> None:
        decider = BatchedDecider(fixed_network(math.log(0.5)), {}, NoiseEncoder(), SETTINGS)
        decider.rollout_started()
        decider.rollout_started()
        task = asyncio.create_task(decider.decide(request_of(0)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        decider.replace_params({})  # nothing waits any more
        await asyncio.gather(decider.decide(request_of(1)), decider.decide(request_of(2)))
        assert decider.counts.num_decisions == 2

    asyncio.run(asyncio.wait_for(scenario(), 200))


def test_action_is_the_inverse_cdf_of_the_coordinates_and_log_prob_of_the_sampling_distribution() -> None:
    # Logits log .2 and log .8 at temperature 2: probabilities in proportion to sqrt: 1/3 and 2/3.
    settings = replace(SETTINGS, temperature=2.0)
    decider = BatchedDecider(fixed_network(math.log(0.2)), {}, NoiseEncoder(), settings)
    actions = []
    for number in range(200):
        admission = asyncio.run(decider.decide(request_of(number)))
        draw = uniform(1, 0, "task", number, number % 3, number, "decide")
        assert admission.action == (1 if draw >= 1 / 3 else 0)
        assert admission.log_prob == pytest.approx(math.log(2 / 3 if admission.action else 1 / 3), abs=1e-6)
        assert admission.admit_probability == pytest.approx(2 / 3, abs=1e-6)
        actions.append(admission.action)
    assert 0.55 < np.mean(actions) < 0.78


def test_greedy_takes_the_likeliest_and_is_certain() -> None:
    for rejecting, action in ((0.49, 1), (0.51, 0)):
        network = fixed_network(math.log(rejecting))
        decider = BatchedDecider(network, {}, NoiseEncoder(), replace(SETTINGS, greedy=True, temperature=1.0))
        admission = asyncio.run(decider.decide(request_of(0)))
        assert (admission.action, admission.log_prob) == (action, 0.0)
        assert admission.admit_probability == pytest.approx(1 - rejecting, abs=1e-6)


def test_broken_parameters_are_an_error_for_all_who_wait() -> None:
    async def scenario() -> list:
        decider = BatchedDecider(fixed_network(math.nan), {}, NoiseEncoder(), SETTINGS)
        decider.rollout_started()
        decider.rollout_started()
        both = (decider.decide(request_of(number)) for number in (0, 1))
        return await asyncio.gather(*both, return_exceptions=True)

    for error in asyncio.run(scenario()):
        assert isinstance(error, FloatingPointError)
        assert "not finite" in str(error)


def test_learned_policy_asks_the_decider() -> None:
    decider = BatchedDecider(fixed_network(math.log(0.25)), {}, NoiseEncoder(), replace(SETTINGS, greedy=True))
    policy = LearnedPolicy(decider, "lts-3")
    assert (policy.name, policy.listing_window) == ("lts-3", None)
    decide = partial(policy.decide, request_of(0), ask=None)  # type: ignore[arg-type]
    assert asyncio.run(decide()).action == 1


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"temperature": 0.0}, "temperature: expected more than 0"),
        ({"batch_size": 0}, "batch_size: expected at least 1"),
        ({"key_buckets": (8, 8)}, "key_buckets: expected rising"),
        ({"key_buckets": ()}, "key_buckets: expected rising"),
        ({"max_wait_seconds": -1.0}, "max_wait_seconds: expected None or >= 0"),
    ],
)
def test_wrong_settings_are_refused(changes: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        DeciderSettings(**changes)


def test_buckets_must_reach_the_network_window() -> None:
    with pytest.raises(ValueError, match="key window 5"):
        BatchedDecider(fixed_network(-1.0), {}, NoiseEncoder(), DeciderSettings(key_buckets=(2, 4)))


@pytest.mark.parametrize(
    ("rejects", "least", "acted"),
    [(0.95, 0.2, 0.2), (0.5, 0.2, 0.5), (0.1, 0.2, 0.8), (0.95, 0.5, 0.5), (0.95, 0, 0.05)],
)
def test_no_action_is_rarer_than_the_smallest_probability(rejects: float, least: float, acted: float) -> None:
    """The stored log-probability is the one acted with; a draw from 1 - p on admits."""
    settings = replace(SETTINGS, temperature=1.0, min_probability=least)
    decider = BatchedDecider(fixed_network(math.log(rejects)), {}, NoiseEncoder(), settings)
    requests = [request_of(number, 0) for number in range(60)]

    async def ask_all() -> list[Admission]:
        for _ in requests:
            decider.rollout_started()
        return list(await asyncio.gather(*map(decider.decide, requests)))

    found = asyncio.run(ask_all())
    draws = [uniform(1, 0, "task", number, number % 3, number, "decide") for number in range(60)]
    assert [one.action for one in found] == [int(draw >= 1.0 - acted) for draw in draws]
    assert {one.action for one in found} == {0, 1}
    for one in found:
        assert one.admit_probability == pytest.approx(acted, rel=1e-5)
        assert one.log_prob == pytest.approx(math.log(acted if one.action else 1.0 - acted), rel=1e-5)


def test_a_greedy_decider_does_not_try_and_a_third_action_is_refused() -> None:
    log_probs = np.log([[0.95, 0.05], [0.3, 0.7]])
    greedy = admissions(log_probs, [0.99, 0.0], greedy=True, min_probability=0.5)
    assert [(one.action, one.log_prob) for one in greedy] == [(0, 0.0), (1, 0.0)]
    with pytest.raises(UserError, match=r"^min_probability: expected two actions, got 3$"):
        admissions(np.log([[0.2, 0.3, 0.5]]), [0.5], greedy=False, min_probability=0.1)


@pytest.mark.parametrize("greedy", [True, False])
def test_more_than_two_actions_are_refused_by_name_as_nobody_says_what_they_are_of(greedy):
    with pytest.raises(
        UserError, match=r"expected a network of two actions, reject and admit, got 4; edits are for an"
    ):
        admissions(np.log([[0.1, 0.2, 0.3, 0.4]]), [0.5], greedy=greedy)
    with pytest.raises(UserError, match=r"^DeciderSettings.min_probability: expected from 0 to 0.5, got 0.6$"):
        DeciderSettings(min_probability=0.6)


def ended_request(number: int, num_keys: int, ended: set[int]) -> AdmissionRequest:
    return replace(request_of(number, num_keys), ended=frozenset(ended))


def test_what_has_ended_is_not_seen_and_others_keep_their_bits() -> None:
    network, params = small_network()
    plain = [request_of(number) for number in range(6)]
    edited = [ended_request(10, 4, {0, 2}), ended_request(11, 1, {0}), ended_request(12, 5, {4})]

    def decide(requests):
        return asyncio.run(decide_together(BatchedDecider(network, params, NoiseEncoder(), SETTINGS), requests))

    alone, together = decide(plain), decide([*edited[:2], *plain, *edited[2:]])
    assert together[2:8] == alone
    # The keys of this network see none of each other: to leave one out is not to have it.
    left = replace(request_of(10), keys=("key 1", "key 3"))
    assert together[0].admit_probability == pytest.approx(decide([left])[0].admit_probability, abs=1e-6)
    assert together[0].admit_probability != pytest.approx(decide([request_of(10, 4)])[0].admit_probability, abs=1e-6)
    assert together[1].admit_probability == pytest.approx(decide([request_of(11, 0)])[0].admit_probability, abs=1e-6)
    assert decide([edited[0]]) == together[:1]
    window = ended_request(13, 8, {0, 1, 6})  # of eight keys the newest five are read: 3 to 7, of which 6 has ended
    rest = replace(request_of(13), keys=("key 3", "key 4", "key 5", "key 7"))
    assert decide([window])[0].admit_probability == pytest.approx(decide([rest])[0].admit_probability, abs=1e-6)


def test_a_network_that_would_see_what_has_ended_is_refused_by_name() -> None:
    decider = BatchedDecider(fixed_network(math.log(0.5)), {}, NoiseEncoder(), SETTINGS)
    with pytest.raises(UserError, match="fixed: expected a network that knows ended entries, as set_transformer, or"):
        asyncio.run(decide_together(decider, [ended_request(0, 2, {1})]))
    asyncio.run(decide_together(decider, [request_of(0, 2)]))
