"""The environment of parallel teams: an event clock, on which each event finishes the earliest running step."""

from dataclasses import replace
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.environments.contract import Controller, Environment, Script
from lts_jax.environments.once import once
from lts_jax.environments.randomness import seed_words, uniforms
from lts_jax.environments.teams.gathering import gather, is_right
from lts_jax.environments.teams.oracle import only_right
from lts_jax.environments.teams.process import Process, Turn
from lts_jax.environments.teams.settings import SimulatorParams, SimulatorShape, check_params
from lts_jax.environments.teams.state import Event, Scene, State, empty_state, is_before_end
from lts_jax.environments.teams.task import SimulatedTask, draw_task
from lts_jax.environments.teams.working import NUM_PURPOSES, choose, step_duration, step_words, team_order


def begin(
    shape: SimulatorShape, params: SimulatorParams, task: SimulatedTask, prng_key: Array, script: Script | None = None
) -> tuple[Scene, State]:
    """Every team has written its task ledger and starts on the first node in its order."""
    seed_w, team_k = seed_words(prng_key), jnp.arange(shape.num_teams)
    scene = Scene(shape, params, task, seed_w, team_order(shape, params, task, seed_w), script or Script())

    def first(order_m: Array, team: Array) -> tuple[Array, Array]:
        target = choose(scene, order_m, jnp.zeros((), jnp.int32))
        draw_p = uniforms(step_words(shape, seed_w, team * shape.max_steps)[:NUM_PURPOSES])
        return target, step_duration(params, draw_p)

    target_k, seconds_k = jax.vmap(first)(scene.order_km, team_k)
    started = jnp.full(shape.num_teams, params.start_seconds)
    is_late_k = started + seconds_k > params.deadline_seconds
    return scene, replace(
        empty_state(shape),
        next_seconds_k=jnp.where(is_late_k, jnp.inf, started + seconds_k),
        started_seconds_k=started,
        target_k=target_k,
        end_seconds_k=jnp.where(is_late_k, params.deadline_seconds, jnp.inf),
    )


def is_running(scene: Scene, state: State) -> Array:
    """bool[]: a team is at work, and no answer has ended the rollout."""
    now = jnp.min(state.next_seconds_k)
    return jnp.isfinite(now) & is_before_end(scene, state, now)


def step(
    process: Process, scene: Scene, state: State, controller: Controller, event: Array | int = 0
) -> tuple[State, Event]:
    """Finish the earliest running step, through the phases of the process.

    Args:
        process: its phases.
        scene: what stays the same; the task, the seed.
        state: before the event.
        controller: decides.
        event: i32[] number of this event; only a fork asks for it.

    Returns:
        the state after the event, and its record. Once no step is left the state stays, and the event's place says so.
    """
    turn = next_turn(scene, state, event)
    work = process.work(scene, state, turn)
    state, decision = process.decide(scene, state, turn, work, controller)
    state = process.go_on(scene, state, turn, work, decision.after)
    is_decided, shape = decision.is_decided, scene.shape
    return state, Event(
        place=jnp.where(turn.is_on, turn.place, shape.num_events),
        is_decided=is_decided,
        action=jnp.where(is_decided, decision.action, 0),
        log_prob=jnp.where(is_decided, decision.log_prob, 0.0),
        decision_seconds=jnp.where(is_decided, decision.seconds, jnp.inf),
        num_keys=decision.num_keys,
        entry=decision.entry,
        step_seconds=work.step_seconds,
        step_3d=work.step_3d,
        node=work.outcome.offered_node,
        variant=work.outcome.offered_variant,
    )


def next_turn(scene: Scene, state: State, event: Array | int) -> Turn:
    """Whose step ends next."""
    shape, team_k = scene.shape, jnp.arange(scene.shape.num_teams)
    now = jnp.min(state.next_seconds_k)
    is_on = is_running(scene, state)
    team = jnp.min(jnp.where(state.next_seconds_k == now, team_k, shape.num_teams - 1))
    here_k = (team_k == team) & is_on
    num_steps = jnp.sum(jnp.where(here_k, state.num_steps_k, 0), dtype=jnp.int32)
    target = jnp.sum(jnp.where(here_k, state.target_k, 0), dtype=jnp.int32)
    place = team * shape.max_steps + num_steps
    seed_w, later_w, salt = _seeds(scene, event)
    word_p = once(step_words(shape, seed_w, place))
    return Turn(now, is_on, team, here_k, num_steps, place, target, word_p, later_w, salt)


def _seeds(scene: Scene, event: Array | int) -> tuple[Array, Array, Array]:
    """Seed words u32[2] of the step that ends here and of all that follows it, and the salt u32[] of a look."""
    fork = scene.script.fork
    if fork is None:
        return scene.seed_w, scene.seed_w, jnp.uint32(0)
    is_past = event < fork.event
    step_w = jnp.where(event <= fork.event, scene.seed_w, fork.seed_w)
    return step_w, jnp.where(is_past, scene.seed_w, fork.seed_w), jnp.where(is_past, jnp.uint32(0), fork.seed_w[0])


@lru_cache
def teams(process: Process = Process()) -> Environment:  # noqa: B008, a frozen record
    """Parallel teams with default sizes and numbers, and this process inside a step; one process, one object."""
    return Environment(
        name="teams",
        shape=SimulatorShape(),
        params=SimulatorParams(),
        check=check_params,
        draw_task=draw_task,
        begin=begin,
        is_running=is_running,
        step=partial(step, process),
        gather=gather,
        follows_scripts=True,
        oracle=only_right,
        is_right=is_right,
    )


TEAMS = teams()
