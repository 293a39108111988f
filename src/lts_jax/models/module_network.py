"""A Flax module of your own as a controller network.

Its `__call__(query f32[D], keys f32[N, D], num_keys i32[], step f32[3, D]) -> logits f32[2]` is one decision; decisions
are vmapped, not packed, so the keys of a rollout are processed again for each: slower than the networks written here.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from lts_jax.errors import UserError, describe
from lts_jax.models.policy_network import Params, PolicyNetwork
from lts_jax.trajectory import DecisionContext

KEY_WINDOW = 96  # a decision sees the newest this many keys, unless the module has a `key_window` of its own


def module_network(
    make: Callable[[nnx.Rngs], nnx.Module], *, name: str, fixed: bool = False, where: str = "controller"
) -> PolicyNetwork:
    """The module that `make` gives, behind the common interface.

    Args:
        make: the module from the keys of its parameters.
        name: as it appears in records.
        fixed: the module is made already, and training starts from its parameters whatever the seed.
        where: the setting that it stands for, for messages.

    Raises:
        UserError: the module cannot be made, or has state beside its parameters (dropout, running statistics).
    """
    try:
        module = make(nnx.Rngs(0)) if fixed else nnx.eval_shape(lambda: make(nnx.Rngs(0)))
    except Exception as error:
        raise UserError(f"{where}: {name}: making it raises {describe(error)}") from error
    if not isinstance(module, nnx.Module):
        raise UserError(f"{where}: {name} gives a value of type {type(module).__name__}, expected a Flax module")
    definition, params, *rest = nnx.split(module, nnx.Param, ...)
    if jax.tree.leaves(rest):
        raise UserError(f"{where}: {name} has state beside its parameters; use no dropout and no running statistics")

    def init(prng_key: Array) -> Params:
        """Fresh parameters as nested dicts, or those that the module came with."""
        return nnx.to_pure_dict(params if fixed else nnx.state(make(nnx.Rngs(prng_key)), nnx.Param))

    window = int(getattr(module, "key_window", KEY_WINDOW))

    def one(params: Params, query_d: Array, key_nd: Array, num_keys: Array, step_3d: Array) -> Array:
        """f32[A] of one decision; of more keys than the window the newest are shown."""
        return nnx.merge(definition, params)(query_d, *_newest(window, key_nd, num_keys), step_3d)

    return PolicyNetwork(
        init=init,
        decision_logits=partial(_decision_logits, one),
        packed_logits=partial(_packed_logits, one),
        key_window=window,
        name=name,
    )


def _newest(window: int, key_nd: Array, num_keys: Array) -> tuple[Array, Array]:
    """The newest keys, at most `window`, and how many they are."""
    if key_nd.shape[0] <= window:
        return key_nd, num_keys
    first = jnp.clip(num_keys - window, 0, key_nd.shape[0] - window)
    return jax.lax.dynamic_slice_in_dim(key_nd, first, window), jnp.minimum(num_keys, window)


def _decision_logits(one: Callable[..., Array], params: Params, *arrays: Array) -> Array:
    for _ in arrays[0].shape[:-1]:
        one = jax.vmap(one, in_axes=(None, 0, 0, 0, 0))
    return one(params, *arrays)


def _packed_logits(one: Callable[..., Array], params: Params, context: DecisionContext) -> Array:
    by_step = jax.vmap(one, in_axes=(None, None, None, 0, 0))
    by_team = jax.vmap(by_step, in_axes=(None, None, None, 0, 0))
    by_rollout = jax.vmap(by_team, in_axes=(None, None, 0, 0, 0))
    by_task = jax.vmap(by_rollout, in_axes=(None, 0, 0, 0, 0)) if context.query_d.ndim == 2 else by_rollout
    return by_task(params, context.query_d, context.key_gnd, context.num_keys_gkt, context.step_gktsd)
