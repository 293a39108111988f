"""Our controller as the benchmark calls it: decisions with and without the cache, updates packed and unpacked."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from shapes import STEP_TOKENS, Shape, keys_before

from lts_jax.models.lora import LoraSettings
from lts_jax.models.policy_network import CachedDecision, Frozen, PolicyNetwork
from lts_jax.models.qwen3 import init_weights
from lts_jax.models.qwen3_controller import qwen3_controller
from lts_jax.models.qwen3_soft_tokens import ControllerSettings
from lts_jax.trajectory import DecisionContext

ANSWERS = (5, 6)  # tokens NO and YES; with random weights any two
TEMPERATURE, SPARSITY_WEIGHT = 1.2, 0.25
TX = optax.adamw(1e-4)


def make(shape: Shape, key_window: int | None = None) -> tuple[PolicyNetwork, Any]:
    """The network with random base weights, and its trained parameters."""
    arrays = jax.block_until_ready(init_weights(shape.qwen3, jax.random.key(0)))
    settings = ControllerSettings(ANSWERS, shape.qwen3.width, key_window=key_window or shape.num_keys)
    network = qwen3_controller(settings, shape.qwen3, LoraSettings(), Frozen(arrays, "random"))
    return network, network.init(jax.random.key(1))


def decisions_of(shape: Shape, seed: int) -> dict[str, np.ndarray]:
    """One rollout's decisions, unit-length embeddings: what both sides are given."""
    generator = np.random.default_rng(seed)
    width, num = shape.qwen3.width, shape.num_decisions

    def vectors(*lead: int) -> np.ndarray:
        drawn = generator.normal(size=(*lead, width))
        return (drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)).astype(np.float32)

    return {
        "query": vectors(), "key": vectors(shape.num_keys), "step": vectors(num, STEP_TOKENS),
        "num_keys": np.array(keys_before(shape), np.int32), "action": generator.integers(0, 2, num),
        "credit": generator.normal(size=num).astype(np.float32),
    }  # fmt: skip


def _loss(logits_xa: Array, action_x: Array, credit_x: Array) -> Array:
    """Mean of -log pi(z) * credit + lambda * pi(YES): LTS, equations 8 to 10."""
    log_prob_xa = jax.nn.log_softmax(logits_xa / TEMPERATURE, axis=-1)
    taken_x = jnp.take_along_axis(log_prob_xa, action_x[:, None], axis=1)[:, 0]
    return jnp.mean(-taken_x * credit_x + SPARSITY_WEIGHT * jnp.exp(log_prob_xa[:, 1]))


def packed_loss(network: PolicyNetwork, trained: Any, frozen: Any, data: Mapping[str, Array]) -> Array:
    """Loss of all decisions by one sequence."""
    num = len(data["num_keys"])
    context = DecisionContext(
        query_d=data["query"], key_gnd=data["key"][None], step_gktsd=data["step"][None, None],
        num_keys_gkt=data["num_keys"].reshape(1, 1, num),
    )  # fmt: skip
    logits = network.packed_logits(network.join(trained, frozen), context)
    return _loss(logits.reshape(num, 2), data["action"], data["credit"])


def unpacked_loss(network: PolicyNetwork, trained: Any, frozen: Any, data: Mapping[str, Array]) -> Array:
    """Loss of some decisions, one sequence each."""
    num, width = len(data["num_keys"]), data["query"].shape[-1]
    query = jnp.broadcast_to(data["query"], (num, width))
    key = jnp.broadcast_to(data["key"], (num, *data["key"].shape))
    logits = network.decision_logits(network.join(trained, frozen), query, key, data["num_keys"], data["step"])
    return _loss(logits, data["action"], data["credit"])


def make_update(loss: Callable[..., Array], network: PolicyNetwork, rows: int | None = None) -> Callable[..., Any]:
    """(trained, optimiser state, decisions) -> the same, updated; `rows` decisions at a time, or all."""

    @jax.jit
    def gradient_of(trained: Any, frozen: Any, data: Mapping[str, Array]) -> Any:
        return jax.grad(partial(loss, network))(trained, frozen, data)

    @jax.jit
    def apply(trained: Any, state: Any, gradient: Any) -> Any:
        change, state = TX.update(gradient, state, trained)
        return optax.apply_updates(trained, change), state

    add = jax.jit(partial(jax.tree.map, jnp.add))

    def update(trained: Any, state: Any, data: Mapping[str, Array]) -> Any:
        num = len(data["num_keys"])
        total = None
        for first in range(0, num, rows or num):
            own = {
                name: data[name] if name in ("query", "key") else data[name][first : first + (rows or num)]
                for name in data
            }
            gradient = gradient_of(trained, network.frozen_arrays, own)
            total = gradient if total is None else add(total, gradient)
        return apply(trained, state, total)

    return update


def make_decide(network: PolicyNetwork) -> Callable[..., Array]:
    """Whole forward: (trained, query [B, D], keys [B, N, D], num_keys [B], step [B, 3, D]) -> logits [B, 2]."""
    run = jax.jit(lambda trained, frozen, *rows: network.decision_logits(network.join(trained, frozen), *rows))
    return lambda trained, *rows: run(trained, network.frozen_arrays, *rows)


def make_cached(
    network: PolicyNetwork, trained: Any, num_rows: int, capacity: int, num_keys: int
) -> Callable[..., Array]:
    """A decision of each of `num_rows` rollouts whose caches hold `num_keys` keys, with one new key each."""
    width = network.init(jax.random.key(0))["projections"]["key"]["kernel"].shape[0]
    cache = network.cache.empty(num_rows, capacity)
    start = jax.jit(lambda trained, frozen, *rest: network.cache.start(network.join(trained, frozen), *rest))
    key_nd = jax.random.normal(jax.random.key(2), (capacity, width)) * width**-0.5
    for row in range(num_rows):
        cache = start(trained, network.frozen_arrays, cache, row, key_nd[0], key_nd)
    step = jax.jit(lambda trained, frozen, *rest: network.cache.step(network.join(trained, frozen), *rest)[0])
    held, has_new = jnp.full(num_rows, num_keys, jnp.int32), jnp.ones(num_rows, bool)
    new_key = jnp.broadcast_to(key_nd[1], (num_rows, width))
    return lambda step_bsd: step(
        trained, network.frozen_arrays, cache, CachedDecision(held, new_key, has_new, step_bsd)
    )
