"""Whether an environment keeps its contract, found out by tracing one group, before anything is compiled."""

import math
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
    if environment.has_single_steps:
        _check_steps(name, environment)
        return
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


def _check_steps(name: str, environment: Environment) -> None:
    """Trace one step of a world of single steps."""
    shape = environment.shape
    for size in ("num_agents", "num_actions"):
        if not isinstance(getattr(shape, size, None), int):
            raise UserError(f"{name}: expected a whole number shape.{size}, got {getattr(shape, size, None)!r}")
    if not isinstance(getattr(shape, "observation", None), tuple):
        raise UserError(f"{name}: expected sizes shape.observation, got {getattr(shape, 'observation', None)!r}")

    def one(params: Any, seed_w: jax.Array) -> Any:
        state = environment.reset(shape, params, seed_w)
        action_i = jnp.zeros(shape.num_agents, jnp.int32)
        after, outcome = environment.act(shape, params, state, action_i, seed_w)
        return state, after, outcome, environment.look(shape, params, after)

    try:
        found = jax.eval_shape(one, environment.params, jnp.zeros(2, jnp.uint32))
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{name}: tracing a step raises {describe(error)}") from error
    state, after, outcome, seen = found
    if jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state) != jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), after
    ):
        raise UserError(f"{name}: act: expected a state of the shapes and types that reset gives")
    sizes = {"i": shape.num_agents, "o": math.prod(shape.observation), "a": shape.num_actions}
    wanted = {
        "observation_io": (seen.observation_io, jnp.float32),
        "legal_ia": (seen.legal_ia, jnp.bool_),
        "active_i": (seen.active_i, jnp.bool_),
        "reward_i": (outcome.reward_i, jnp.float32),
        "done_i": (outcome.done_i, jnp.bool_),
    }
    for label, (array, kind) in wanted.items():
        expected = tuple(sizes[letter] for letter in label.rpartition("_")[2])
        if (array.shape, array.dtype) != (expected, kind):
            told = f"{jnp.dtype(kind).name}{list(expected)}, got {array.dtype.name}{list(array.shape)}"
            raise UserError(f"{name}: expected {label} {told}")


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
