"""An environment of rollouts as a game of single decisions, in the functions that JAX learners expect.

    observation, state = game.reset(prng_key, params)
    observation, state, reward, done, info = game.step(prng_key, state, action, params)

An episode is one rollout of a fresh task; each step answers one decision, for whichever team has it. The reward comes
at the end: the score of the aggregated answer, less `seconds_price` times the seconds. `jit`, `vmap` and `scan` go
through; an episode that is over begins anew outside, by `auto_reset`, or of many at once by `auto_reset_all`. What a
policy would see is found by asking the environment with one that only looks, so the same actions give the same rollout
as `environments.rollout`; the policy must be asked by `step` itself, not inside a transformation of its own, as in all
worlds of this package.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.environments.contract import Acting, Controller, Environment, Observation
from lts_jax.environments.policies import SURE
from lts_jax.errors import UserError
from lts_jax.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class Discrete:
    """The integers 0 .. n - 1; with `sizes` several of them side by side."""

    n: int
    sizes: tuple[int, ...] = ()
    dtype: Any = jnp.int32

    @property
    def shape(self) -> tuple[int, ...]:
        """() of one integer."""
        return (len(self.sizes),) if self.sizes else ()

    def sample(self, prng_key: Array) -> Array:
        """One of them, all with the same probability."""
        return jax.random.randint(prng_key, self.shape, 0, jnp.asarray(self.sizes or self.n), self.dtype)


@dataclass(frozen=True, slots=True)
class Box:
    """Real numbers from `low` to `high` in an array of this shape."""

    low: float
    high: float
    shape: tuple[int, ...]
    dtype: Any = jnp.float32


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GameState:
    """Where a rollout stands."""

    scene: Any
    state: Any
    events: Any  # records of what happened [E, ...]
    event: Array  # i32[] number of the next one


@dataclass(frozen=True)
class AdmissionGame:
    """One environment as a game. Equal environments and prices are equal games, so that programs are shared."""

    environment: Environment
    seconds_price: float = 0.0  # reward for one second, in units of score

    def __post_init__(self) -> None:
        """Refuse a price that cannot be meant.

        Raises:
            UserError: it is below 0.
        """
        if not self.seconds_price >= 0.0:
            raise UserError(f"seconds_price: expected at least 0, got {self.seconds_price:g}")

    @property
    def default_params(self) -> Any:
        """The environment's own numbers."""
        return self.environment.params

    @property
    def num_actions(self) -> int:
        """A."""
        return getattr(self.environment.shape, "num_actions", 2)

    @property
    def points(self) -> bool:
        """Whether actions point at something; an action is then (a, j)."""
        return hasattr(self.environment.shape, "num_targets")

    def action_space(self, params: Any = None) -> Discrete:
        """0 rejects, 1 admits; (a, j) where actions point at something."""
        sizes = (self.num_actions, self.environment.shape.num_targets) if self.points else ()
        return Discrete(self.num_actions, sizes)

    def observation_space(self, params: Any = None) -> Box:
        """Of `flat` observations."""
        seen, _ = jax.eval_shape(self.reset, jax.eval_shape(lambda: jax.random.key(0)))
        return Box(-jnp.inf, jnp.inf, seen.shape)

    def reset(self, prng_key: Array, params: Any = None) -> tuple[Array, GameState]:
        """A fresh task, at its first decision: f32[O], state."""
        params = jax.tree.map(jnp.asarray, self.environment.params if params is None else params)
        task_key, rollout_key = jax.random.split(prng_key)
        task = self.environment.draw_task(self.environment.shape, params, task_key)
        scene, state = self.environment.begin(self.environment.shape, params, task, rollout_key, None)
        game = GameState(scene, state, self._no_events(scene, state), jnp.zeros((), jnp.int32))
        return flat(self._look(game)), game

    def step(
        self, prng_key: Array, game: GameState, action: Array, params: Any = None
    ) -> tuple[Array, GameState, Array, Array, dict[str, Array]]:
        """Decide, and go on to the next decision.

        Args:
            prng_key: not used: a rollout draws from the key of its `reset`.
            game: as `reset` or `step` gave it.
            action: i32[], or i32[2] where actions point at something.
            params: not used: numbers are those of `reset`.

        Returns:
            observation f32[O], state, reward f32[], done bool[], info: score, seconds, whether an action was asked for.
        """
        state, record = self.environment.step(game.scene, game.state, self._doing(action), game.event)
        put = partial(jax.lax.dynamic_update_index_in_dim, index=game.event, axis=0)
        game = GameState(game.scene, state, jax.tree.map(put, game.events, record), game.event + 1)
        done = ~self.environment.is_running(game.scene, game.state) | (game.event >= self._num_events)
        trajectory = self.trajectory(game)
        score = jnp.nan_to_num(trajectory.reward_agg_g)
        reward = jnp.where(done, score - self.seconds_price * trajectory.runtime_g, 0.0)
        info = {
            "score": score,
            "seconds": trajectory.runtime_g,
            "asked": getattr(record, "is_decided", jnp.asarray(True)),
        }
        return flat(self._look(game)), game, reward, done, info

    def trajectory(self, game: GameState) -> Trajectory:
        """The rollout so far, without the axis G: what credit schemes read once it is over."""
        return self.environment.gather(game.scene, game.state, game.events)[0]

    @property
    def _num_events(self) -> int:
        shape = self.environment.shape
        return shape.num_teams * shape.max_steps

    def _no_events(self, scene: Any, state: Any) -> Any:
        look = partial(self._step_looking, scene, state, jnp.zeros((), jnp.int32))
        one = jax.eval_shape(lambda: look()[1])
        empty = jax.tree.map(lambda leaf: jnp.zeros((self._num_events, *leaf.shape), leaf.dtype), one)
        return replace(empty, place=jnp.full_like(empty.place, self._num_events))

    def _look(self, game: GameState) -> Observation:
        return self._step_looking(game.scene, game.state, game.event)[0]

    def _step_looking(self, scene: Any, state: Any, event: Array) -> tuple[Observation, Any]:
        """What the next decision sees, and the record of a step that is thrown away; a compiler leaves the rest out."""
        seen: list[Observation] = []

        def looking(params: Any, observation: Observation) -> Any:
            seen.append(observation)
            return self._logits(jnp.zeros((2,) if self.points else (), jnp.int32))

        _, record = self.environment.step(scene, state, Controller(looking, (), Acting()), event)
        return replace(seen[0], latent=None), record

    def _doing(self, action: Array) -> Controller:
        return Controller(lambda params, _: self._logits(params), action, Acting(temperature=1.0, is_greedy=True))

    def _logits(self, action: Array) -> Any:
        if not self.points:
            return jnp.stack([jnp.zeros(()), jnp.where(action == 1, SURE, -SURE)])
        logit_a = jnp.where(jnp.arange(self.num_actions) == action[0], SURE, 0.0)
        return logit_a, jnp.where(jnp.arange(self.environment.shape.num_targets) == action[1], SURE, 0.0)


def flat(seen: Observation) -> Array:
    """An observation as f32[O]: the query, the step's vectors, the keys (zeros from `num_keys` on), how many there are.

    Where entries end, whether each lives; where not everything is legal, what is.
    """
    shown_n = jnp.arange(seen.key_nd.shape[0]) < seen.num_keys
    parts = [seen.query_d, seen.step_3d, jnp.where(shown_n[:, None], seen.key_nd, 0.0), seen.num_keys]
    parts += [one for one in (seen.alive_n, seen.legal_a) if one is not None]
    return jnp.concatenate([jnp.ravel(one).astype(jnp.float32) for one in parts])


Step = Callable[..., tuple[Array, Any, Array, Array, dict[str, Array]]]


def auto_reset(game: AdmissionGame) -> Step:
    """The game's `step`, after which an episode that is over has begun anew; what is given then is the new one's."""

    def step(prng_key: Array, state: GameState, action: Array, params: Any = None) -> Any:
        _, after, reward, done, info = game.step(prng_key, state, action, params)
        _, fresh = game.reset(prng_key, params)
        state = jax.tree.map(lambda old, new: jax.lax.select(_like(done, old), new, old), after, fresh)
        return flat(game._look(state)), state, reward, done, info

    return step


def auto_reset_all(game: AdmissionGame, *, at_once: int = 32) -> Step:
    """`jax.vmap(auto_reset(game))`, but a task is drawn where an episode is over, and only there: far less to compute.

    The step is of X episodes side by side, all arguments and results but `params` with X first, and is not vmapped.

    Args:
        game: as of `auto_reset`.
        at_once: episodes that begin anew are drawn so many at a time, until none is left.
    """

    def step(key_x: Array, state_x: GameState, action_x: Array, params: Any = None) -> Any:
        _, state_x, reward_x, done_x, info = jax.vmap(partial(game.step, params=params))(key_x, state_x, action_x)
        begin = partial(_begin_some, partial(game.reset, params=params), min(at_once, len(key_x)), key_x)
        state_x, _ = jax.lax.while_loop(lambda carry: jnp.any(carry[1]), begin, (state_x, done_x))
        return jax.vmap(lambda state: flat(game._look(state)))(state_x), state_x, reward_x, done_x, info

    return step


def _begin_some(
    reset: Callable[[Array], tuple[Array, GameState]], number: int, key_x: Array, carry: tuple[GameState, Array]
) -> tuple[GameState, Array]:
    """The first `number` of the lanes that are left begin anew: (states, who is left then)."""
    state_x, left_x = carry
    num_lanes = len(key_x)
    (lane_m,) = jnp.nonzero(left_x, size=number, fill_value=num_lanes)
    _, fresh_m = jax.vmap(reset)(key_x[jnp.minimum(lane_m, num_lanes - 1)])
    put = partial(_put, lane_m)
    place_x = put(state_x.events.place, fresh_m.events.place)  # of records without a place nothing else is looked at
    begun_x = jax.tree.map(put, replace(state_x, events=()), replace(fresh_m, events=()))
    return replace(begun_x, events=replace(state_x.events, place=place_x)), put(left_x, jnp.zeros_like(lane_m, bool))


def _put(lane_m: Array, old_x: Array, new_m: Array) -> Array:
    return old_x.at[lane_m].set(new_m, mode="drop")


def _like(done: Array, leaf: Array) -> Array:
    return jnp.broadcast_to(done, leaf.shape)
