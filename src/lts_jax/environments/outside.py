"""Worlds of JaxMARL and Jumanji (extra `worlds`) as environments of single steps.

Agents whose observations or actions are fewer than others' have zeros, and actions that are not legal. What a step
needs of randomness is drawn from its seed words, taken as a key.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.environments.contract import Environment, Outcome, Seen
from lts_jax.errors import UserError, show


@dataclass(frozen=True, slots=True)
class OutsideShape:
    """Sizes of a world that somebody else wrote."""

    num_agents: int
    num_actions: int  # of the agent that has most
    observation: tuple[int, ...]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class OutsideParams:
    """Numbers of ours; the world has its own."""

    reward_scale: float = 1.0


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class OutsideState:
    """The world's own state, and what was seen of it last."""

    inner: Any
    seen: Seen
    time: Array  # i32[]
    return_i: Array  # f32[I] so far


Begin = Callable[[Array], tuple[Any, Seen]]
Step = Callable[[Any, Array, Array], tuple[Any, Seen, Array, Array]]
"""(state, actions i32[I], key) -> (state, seen, rewards f32[I], over bool[])."""


@lru_cache(maxsize=8)
def jaxmarl_world(name: str = "MPE_simple_spread_v3") -> Environment:
    """A JaxMARL environment with discrete actions; its episodes end by time.

    Raises:
        UserError: JaxMARL is not installed, has no such environment, or its actions are not discrete.
    """
    world = _made("jaxmarl", "make", name)
    agents, spaces = list(world.agents), [world.action_space(agent) for agent in world.agents]
    if not all(hasattr(space, "n") for space in spaces):
        raise UserError(f"environment: {name}: expected discrete actions, got {show(type(spaces[0]).__name__)}")
    count_i = [int(space.n) for space in spaces]
    width = max(world.observation_space(agent).shape[0] for agent in agents)
    shape = OutsideShape(len(agents), max(count_i), (width,))

    def seen_of(told: Any) -> Seen:
        rows = [jnp.pad(told[agent], (0, width - told[agent].shape[0])) for agent in agents]
        return _seen(jnp.stack(rows), jnp.arange(shape.num_actions) < jnp.asarray(count_i)[:, None])

    def begin(key: Array) -> tuple[Any, Seen]:
        told, state = world.reset(key)
        return state, seen_of(told)

    def step(state: Any, action_i: Array, key: Array) -> tuple[Any, Seen, Array, Array]:
        chosen = {agent: action_i[number] for number, agent in enumerate(agents)}
        told, state, paid, done, _ = world.step_env(key, state, chosen)
        return state, seen_of(told), jnp.stack([paid[agent] for agent in agents]), done["__all__"]

    return _environment(name, shape, begin, step)


@lru_cache(maxsize=8)
def jumanji_world(name: str = "LevelBasedForaging-v0") -> Environment:
    """A Jumanji environment of several agents with flat views and a mask of actions.

    Raises:
        UserError: Jumanji is not installed, has no such environment, or it is not of that kind.
    """
    world = _made("jumanji", "make", name)
    try:
        _, first = jax.eval_shape(world.reset, jax.random.key(0))
        view, legal = first.observation.agents_view, first.observation.action_mask
    except AttributeError:
        raise UserError(f"environment: {name}: expected agents with views and discrete actions") from None
    if legal.ndim != 2:
        raise UserError(f"environment: {name}: expected a mask of discrete actions for each agent")
    size = 1
    for length in view.shape[1:]:
        size *= length
    shape = OutsideShape(view.shape[0], legal.shape[1], (size,))

    def seen_of(told: Any) -> Seen:
        flat = told.observation.agents_view.reshape(shape.num_agents, size)
        return _seen(flat, told.observation.action_mask)

    def begin(key: Array) -> tuple[Any, Seen]:
        state, told = world.reset(key)
        return state, seen_of(told)

    def step(state: Any, action_i: Array, key: Array) -> tuple[Any, Seen, Array, Array]:
        state, told = world.step(state, action_i)
        return state, seen_of(told), jnp.broadcast_to(told.reward, (shape.num_agents,)), told.last()

    return _environment(name, shape, begin, step)


def _environment(name: str, shape: OutsideShape, begin: Begin, step: Step) -> Environment:
    return Environment(
        name=name,
        shape=shape,
        params=OutsideParams(),
        check=_check,
        reset=partial(_reset, begin),
        act=partial(_act, step),
        look=lambda shape, params, state: state.seen,
    )


def _check(params: Any, shape: Any) -> None:
    """Nothing can be wrong with one number."""


def _reset(begin: Begin, shape: OutsideShape, params: OutsideParams, seed_w: Array) -> OutsideState:
    inner, seen = begin(jax.random.wrap_key_data(seed_w))
    return OutsideState(inner, seen, jnp.zeros((), jnp.int32), jnp.zeros(shape.num_agents))


def _act(
    step: Step, shape: OutsideShape, params: OutsideParams, state: OutsideState, action_i: Array, seed_w: Array
) -> tuple[OutsideState, Outcome]:
    inner, seen, paid_i, is_over = step(state.inner, action_i, jax.random.wrap_key_data(seed_w))
    return_i, time = state.return_i + paid_i, state.time + 1
    return OutsideState(inner, seen, time, return_i), Outcome(
        reward_i=(params.reward_scale * paid_i).astype(jnp.float32),
        done_i=jnp.broadcast_to(is_over, (shape.num_agents,)),
        is_over=is_over,
        is_truncated=is_over,
        measures={
            "return": jnp.mean(return_i).astype(jnp.float32),
            "return_first": return_i[0].astype(jnp.float32),  # of a pursuer, where agents have roles
            "steps": time.astype(jnp.float32),
        },
    )


def _seen(seen_io: Array, legal_ia: Array) -> Seen:
    return Seen(
        observation_io=seen_io.astype(jnp.float32),
        legal_ia=jnp.broadcast_to(legal_ia, (seen_io.shape[0], legal_ia.shape[-1])),
        active_i=jnp.ones(seen_io.shape[0], bool),
        central_f=seen_io.reshape(-1).astype(jnp.float32),
    )


def _made(library: str, function: str, name: str) -> Any:
    try:
        module = importlib.import_module(library)
    except ImportError:
        raise UserError(f'environment: {library} is not installed; pip install "lts-jax[worlds]"') from None
    known: Sequence[str] = getattr(module, "registered_envs", ())
    if known and name not in known:
        raise UserError(f"environment: {library} has no {show(name)}; expected one as {known[0]}")
    try:
        return getattr(module, function)(name)
    except (ValueError, KeyError) as error:
        raise UserError(f"environment: {library} has no {show(name)} ({str(error).splitlines()[0][:80]})") from None
