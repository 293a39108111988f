"""`begin` and `step`: the event clock. Each step of the loop finishes the earliest running step of any team.

What happens at an event, in this order: the step's outcome; the controller's decision on it, taken after the summary is
written; the admission; the team's look at the listing; the look at the progress; then the team answers, dies, or begins
its next step.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.environments.teams.lanes import settled
from lts_jax.environments.teams.observing import step_triplet
from lts_jax.environments.teams.randomness import uniforms
from lts_jax.environments.teams.settings import SimulatorParams, SimulatorShape
from lts_jax.environments.teams.sharing import Looker, admit, evict, read
from lts_jax.environments.teams.state import Event, Scene, State, empty_state
from lts_jax.environments.teams.task import SimulatedTask
from lts_jax.environments.teams.working import (
    ADMIT,
    ENTRY,
    NUM_PURPOSES,
    choose,
    covers_needed,
    step_duration,
    step_words,
    team_order,
    work,
)

ASK = -1  # a forced action that leaves the decision to the policy


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Observation:
    """What a policy may look at; the last two fields are for oracles alone."""

    query_d: Array  # f32[D]
    key_nd: Array  # f32[N, D], rows from `num_keys` on are padding
    num_keys: Array  # i32[]
    step_3d: Array  # f32[3, D]
    node: Array  # i32[] latent
    variant: Array  # i32[] latent


Policy = Callable[[Any, Observation], Array]
"""(params, observation) -> logits f32[2] of reject and admit."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Acting:
    """How logits become actions: a, sampled from softmax(logits / temperature), or the larger one."""

    temperature: float | Array = 1.2
    is_greedy: bool | Array = False


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Fork:
    """From which decision on a rollout draws other numbers: the decision at event `event` is the first fresh draw."""

    event: Array  # i32[] index of the event in the original rollout
    seed_w: Array  # u32[2] seed words from there on


def make_scene(shape: SimulatorShape, params: SimulatorParams, task: SimulatedTask, seed_w: Array) -> Scene:
    """Everything that stays the same during one rollout, from its seed words u32[2]."""
    return Scene(params, task, seed_w, team_order(shape, params, task, seed_w))


def begin(shape: SimulatorShape, scene: Scene) -> State:
    """Every team has written its task ledger and starts on the first node in its order."""
    params, team_k = scene.params, jnp.arange(shape.num_teams)

    def first(order_m: Array, team: Array) -> tuple[Array, Array]:
        target = choose(scene, order_m, jnp.zeros((), jnp.int32))
        draw_p = uniforms(step_words(shape, scene.seed_w, team * shape.max_steps)[:NUM_PURPOSES])
        return target, step_duration(params, draw_p)

    target_k, seconds_k = jax.vmap(first)(scene.order_km, team_k)
    started = jnp.full(shape.num_teams, params.start_seconds)
    is_late_k = started + seconds_k > params.deadline_seconds
    return replace(
        empty_state(shape),
        next_seconds_k=jnp.where(is_late_k, jnp.inf, started + seconds_k),
        started_seconds_k=started,
        target_k=target_k,
        end_seconds_k=jnp.where(is_late_k, params.deadline_seconds, jnp.inf),
    )


def is_running(scene: Scene, state: State) -> Array:
    """bool[]: a team is at work, and no answer has ended the rollout."""
    first_answer = jnp.where(scene.params.first_answer_ends > 0.0, jnp.min(state.finish_seconds_k), jnp.inf)
    now = jnp.min(state.next_seconds_k)
    return jnp.isfinite(now) & (now < first_answer)


def step(
    shape: SimulatorShape,
    scene: Scene,
    state: State,
    policy: Policy,
    policy_params: Any,
    acting: Acting,
    forced_x: Array | None = None,
    fork: Fork | None = None,
    event: Array | int = 0,
) -> tuple[State, Event]:
    """Finish the earliest running step. Once none is left the state stays, and the event's place says so.

    Args:
        shape: sizes.
        scene: what stays the same; the task, the seed.
        state: before the event.
        policy: gives logits.
        policy_params: handed to it.
        acting: how logits become actions.
        forced_x: i32[K * T] an action for each place, or ASK; None asks everywhere.
        fork: where the rollout parts from the original, if it does.
        event: i32[] number of this event; only a fork asks for it.

    Returns:
        the state after the event, and its record.
    """
    params, team_k = scene.params, jnp.arange(shape.num_teams)
    now = jnp.min(state.next_seconds_k)
    is_on = is_running(scene, state)
    team = jnp.min(jnp.where(state.next_seconds_k == now, team_k, shape.num_teams - 1))
    here_k = (team_k == team) & is_on
    num_steps = _of(here_k, state.num_steps_k)
    place = team * shape.max_steps + num_steps
    seed_w, later_w, salt = _seeds(scene, fork, event)
    word_p = settled(step_words(shape, seed_w, place))
    draw_p = uniforms(word_p[:NUM_PURPOSES])
    target = _of(here_k, state.target_k)
    outcome = settled(work(scene, place, target, draw_p))
    node_m = jnp.arange(shape.num_nodes)
    known_bits = _of(here_k, state.known_bits_k)
    is_new = outcome.was_found & (((known_bits >> target) & 1) == 0)
    variant_m = jnp.sum(jnp.where(here_k[:, None], state.variant_km, 0), axis=0)
    variant_m = jnp.where(is_new & (node_m == target), outcome.variant, variant_m)
    known_bits = known_bits | (is_new.astype(jnp.int32) << target)

    # The decision.
    step_seconds = now - _of(here_k, state.started_seconds_k)
    step_3d = settled(step_triplet(shape, scene, outcome, step_seconds, word_p[NUM_PURPOSES:]))
    seen = Observation(
        scene.task.query_d, state.key_nd, state.num_entries, step_3d, outcome.offered_node, outcome.offered_variant
    )
    has_memory = params.has_memory > 0.0
    is_decided = is_on & has_memory & (state.num_entries < shape.num_entries)
    logit = _difference(policy(policy_params, seen)) / acting.temperature
    fresh_p = word_p[:NUM_PURPOSES] if fork is None else step_words(shape, later_w, place)[:NUM_PURPOSES]
    action, log_prob = _act(logit, uniforms(fresh_p[ADMIT]), acting, ASK if forced_x is None else forced_x[place])
    decision_seconds = now + params.summary_seconds
    after = jnp.where(has_memory, decision_seconds + params.decision_seconds, now)
    is_in = is_decided & (action == 1)
    is_in, action, logit, log_prob, after = settled((is_in, action, logit, log_prob, after))
    state = admit(state, outcome, team, fresh_p[ENTRY], after, logit, step_3d[1], is_in)
    state = evict(state, params) if shape.bounded_bank else state

    # The team goes on.
    dropped_bits = _of(here_k, state.dropped_bits_k) | ((is_on & outcome.drops).astype(jnp.int32) << target)
    is_last = outcome.has_crashed | (num_steps + 1 >= jnp.minimum(params.step_limit, shape.max_steps))
    known_bits, variant_m = settled((known_bits, variant_m))
    looker = Looker(team, num_steps, _of(here_k, state.num_seen_k), known_bits, variant_m, salt)
    reading = read(shape, params, state, looker, after, is_on & ~is_last)
    state, after = reading.state, settled(after + reading.seconds)
    done_bits = settled(reading.known_bits | dropped_bits | reading.dropped_bits)
    own_end = is_last | outcome.gives_up | covers_needed(scene, done_bits)
    order_m = jnp.sum(jnp.where(here_k[:, None], scene.order_km, 0.0), axis=0)
    next_draw_p = uniforms(step_words(shape, later_w, place + 1)[:NUM_PURPOSES])
    next_seconds = after + params.check_seconds + settled(step_duration(params, next_draw_p))
    finish, dies = after + params.finish_seconds, outcome.has_crashed
    is_late = jnp.where(own_end, finish, next_seconds) > params.deadline_seconds
    goes_on = ~own_end & ~is_late
    end = jnp.where(dies, now, jnp.where(is_late, params.deadline_seconds, finish))

    def put(old_k: Array, new: Array) -> Array:
        return jnp.where(here_k, new, old_k)

    state = replace(
        state,
        next_seconds_k=put(state.next_seconds_k, jnp.where(goes_on, next_seconds, jnp.inf)),
        num_steps_k=state.num_steps_k + here_k,
        target_k=put(state.target_k, choose(scene, order_m, done_bits)),
        started_seconds_k=put(state.started_seconds_k, after + params.check_seconds),
        known_bits_k=put(state.known_bits_k, reading.known_bits),
        dropped_bits_k=put(state.dropped_bits_k, done_bits & ~reading.known_bits),
        num_seen_k=put(state.num_seen_k, reading.num_seen),
        variant_km=jnp.where(here_k[:, None], reading.variant_m, state.variant_km),
        finish_seconds_k=put(state.finish_seconds_k, jnp.where(own_end & ~is_late & ~dies, finish, jnp.inf)),
        end_seconds_k=put(state.end_seconds_k, jnp.where(goes_on, jnp.inf, end)),
        has_died_k=put(state.has_died_k, dies),
    )
    return state, Event(
        place=jnp.where(is_on, place, shape.num_events),
        is_decided=is_decided,
        action=jnp.where(is_decided, action, 0),
        log_prob=jnp.where(is_decided, log_prob, 0.0),
        decision_seconds=jnp.where(is_decided, decision_seconds, jnp.inf),
        num_keys=seen.num_keys,
        entry=jnp.where(is_in, seen.num_keys, shape.num_entries),
        step_seconds=step_seconds,
        step_3d=step_3d,
        node=outcome.offered_node,
        variant=outcome.offered_variant,
    )


def _seeds(scene: Scene, fork: Fork | None, event: Array | int) -> tuple[Array, Array, Array]:
    """Seed words u32[2] of the step that ends here and of all that follows it, and the salt u32[] of a look."""
    if fork is None:
        return scene.seed_w, scene.seed_w, jnp.uint32(0)
    is_past = event < fork.event
    step_w = jnp.where(event <= fork.event, scene.seed_w, fork.seed_w)
    return step_w, jnp.where(is_past, scene.seed_w, fork.seed_w), jnp.where(is_past, jnp.uint32(0), fork.seed_w[0])


def _of(here_k: Array, value_k: Array) -> Array:
    """The value of the one team that is here; 0 if none is."""
    return jnp.sum(jnp.where(here_k, value_k, 0), axis=0, dtype=value_k.dtype)


def _difference(logit_a: Array) -> Array:
    return logit_a[1] - logit_a[0]


def _act(logit: Array, draw: Array, acting: Acting, forced: Array | int) -> tuple[Array, Array]:
    """The action and its log-probability under the sampling policy, which a forced action keeps."""
    admits = jnp.where(acting.is_greedy, logit > 0.0, draw < jax.nn.sigmoid(logit))
    action = jnp.where(forced == ASK, admits, forced == 1).astype(jnp.int32)
    return action, jax.nn.log_sigmoid(jnp.where(action == 1, logit, -logit))
