"""Whether an environment keeps its contract, found out by tracing one group, before anything is compiled."""

from dataclasses import fields
from functools import lru_cache
from typing import Any

import chex
import jax
import jax.numpy as jnp

from lts_jax.environments.contract import Acting, Controller, Environment
from lts_jax.environments.policies import blind, constant
from lts_jax.environments.rollout import fresh_group
from lts_jax.errors import UserError, describe
from lts_jax.trajectory import DecisionContext, Trajectory

_G = 2
_TYPES = {
    "action_gkt": jnp.int32, "num_other_readers_gkt": jnp.int32, "num_keys_gkt": jnp.int32,
    "num_spared_gkt": jnp.int32, "target_gkt": jnp.int32, "died_gn": jnp.int32, "sequence_gkt": jnp.int32,
    "used_gkt": jnp.bool_, "action_mask_gkta": jnp.bool_, "target_mask_gktj": jnp.bool_,
    "step_mask_gkt": jnp.bool_, "decision_mask_gkt": jnp.bool_, "rollout_mask_g": jnp.bool_,
}  # fmt: skip


@lru_cache(maxsize=16)
def check_environment(environment: Environment, *, where: str = "environment") -> None:
    """Trace a group of two rollouts, and refuse what would spoil training.

    Raises:
        UserError: one line: sizes or `has_memory` missing, a function that raises, or an array of the trajectory or of
            the context whose shape or type is not that of `lts_jax.trajectory`.
    """
    name, shape = f"{where}: {environment.name}", environment.shape
    for size in ("num_teams", "max_steps", "num_entries", "embedding_width"):
        if not isinstance(getattr(shape, size, None), int):
            raise UserError(f"{name}: expected a whole number shape.{size}, got {getattr(shape, size, None)!r}")
    if not hasattr(environment.params, "has_memory"):
        raise UserError(f"{name}: expected a number has_memory among its params, got none")
    policy = constant if getattr(shape, "num_actions", 2) == 2 else blind(shape.num_actions, shape.num_targets)
    controller = Controller(policy, jnp.zeros(()), Acting())
    try:
        trajectory, context, truth = jax.eval_shape(
            lambda key: fresh_group(environment, key, controller, _G), jax.random.key(0)
        )
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{name}: tracing a group raises {describe(error)}") from error
    for record, kind in ((trajectory, Trajectory), (context, DecisionContext)):
        if not isinstance(record, kind):
            raise UserError(f"{name}: gather: expected a {kind.__name__}, got a value of type {type(record).__name__}")
        _check_arrays(name, record, shape)
    if environment.follows_scripts and not hasattr(truth, "event_kt"):
        raise UserError(f"{name}: follows_scripts: expected event_kt in its truth, got none")


def _check_arrays(name: str, record: Any, shape: Any) -> None:
    """Every array of a record against the axis letters of its name."""
    sizes = {
        "g": _G, "k": shape.num_teams, "t": shape.max_steps, "n": shape.num_entries, "d": shape.embedding_width,
        "s": getattr(shape, "num_step_tokens", 3), "a": getattr(shape, "num_actions", 2),
        "j": getattr(shape, "num_targets", 0),
    }  # fmt: skip
    for item in fields(record):
        array = getattr(record, item.name)
        if array is None:
            continue
        expected = tuple(sizes[letter] for letter in item.name.rpartition("_")[2])
        try:
            chex.assert_shape(array, expected)
            chex.assert_type(array, _TYPES.get(item.name, jnp.float32))
        except AssertionError as error:
            kind = jnp.dtype(_TYPES.get(item.name, jnp.float32)).name
            found = f"{array.dtype.name}{list(array.shape)}"
            raise UserError(f"{name}: gather: expected {item.name} {kind}{list(expected)}, got {found}") from error
