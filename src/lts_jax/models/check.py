"""Whether a network keeps its contract, found out before any training starts."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lts_jax.errors import UserError, describe
from lts_jax.models.policy_network import Params, PolicyNetwork
from lts_jax.trajectory import DecisionContext

G, K, T, N = 2, 2, 3, 5
TOLERANCE = 1e-4


def check_network(network: PolicyNetwork, embedding_width: int, *, where: str = "controller") -> None:
    """Try a network on a small group of rollouts and refuse what would spoil training.

    Raises:
        UserError: one line that begins with `where`: an exception inside it, logits of another shape than
            f32[G, K, T, A] with A >= 2, numbers that are not finite, packed logits that are not those of single
            decisions, or logits that depend on the padding of the keys.
    """
    try:
        packed, single, longer = (np.asarray(array) for array in _try_out(network, embedding_width))
    except Exception as error:
        raise UserError(f"{where}: trying it raises {describe(error)}") from error
    for name, logits in (("packed_logits", packed), ("decision_logits", single)):
        try:
            chex.assert_shape(logits, (G, K, T, None))
            chex.assert_type(logits, float)
        except AssertionError:
            found = f"{logits.dtype}{list(logits.shape)}"
            expected = f"float32[{G}, {K}, {T}, actions]: one number for each action of a decision"
            raise UserError(f"{where}: {name}: expected {expected}, got {found}") from None
        if logits.shape[-1] < 2:
            raise UserError(f"{where}: {name}: expected at least 2 actions, reject and admit, got {logits.shape[-1]}")
        if not np.isfinite(logits).all():
            raise UserError(f"{where}: {name}: expected numbers, got one that is not finite")
    if not np.allclose(packed, single, atol=TOLERANCE):
        raise UserError(f"{where}: packed_logits are not those of the single decisions")
    if not np.allclose(single, longer, atol=TOLERANCE):
        raise UserError(f"{where}: its logits change with the padding behind the keys; look at num_keys keys alone")


def _try_out(network: PolicyNetwork, width: int) -> tuple[Array, Array, Array]:
    """Packed logits, those of single decisions, and these with other padding; parameters are moved off their start."""
    draw = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: leaf + 0.1 * draw.standard_normal(leaf.shape).astype(leaf.dtype), network.init(jax.random.key(0))
    )
    num_keys_gkt = jnp.asarray(draw.integers(0, N, (G, K, T)), jnp.int32)
    arrays = [
        draw.standard_normal(shape).astype(np.float32) for shape in ((width,), (G, N, width), (G, K, T, 3, width))
    ]
    query_d, key_gnd, step_gktsd = (jnp.asarray(array) for array in arrays)
    context = DecisionContext(query_d, key_gnd, num_keys_gkt, step_gktsd)
    padding = jnp.asarray(draw.standard_normal((G, 3, width)), jnp.float32)
    return (
        jax.jit(network.packed_logits)(params, context),
        _singly(network, params, context, context.key_gnd, padding=0.0),
        _singly(network, params, context, jnp.concatenate([context.key_gnd, padding], axis=1), padding=1.0),
    )


def _singly(
    network: PolicyNetwork, params: Params, context: DecisionContext, key_gnd: Array, *, padding: float
) -> Array:
    """Logits of each decision with its own keys, and `padding` added to the rows behind them."""
    lead = context.num_keys_gkt.shape
    query = jnp.broadcast_to(context.query_d, (*lead, context.query_d.shape[-1]))
    is_key = jnp.arange(key_gnd.shape[1]) < context.num_keys_gkt[..., None]
    key = key_gnd[:, None, None] + jnp.where(is_key, 0.0, padding)[..., None]
    return jax.jit(network.decision_logits)(params, query, key, context.num_keys_gkt, context.step_gktsd)
