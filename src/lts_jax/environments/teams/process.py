"""The three phases of an event, each a function that a variant can replace: the work, the decision, the going on.

An event is the end of the earliest running step of any team. First the step's outcome; then the controller's decision
on it, taken after the summary is written, and the admission; then the team looks at the listing and at its progress,
and answers, dies, or begins its next step.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.environments.contract import ASK, Controller, Observation
from lts_jax.environments.once import once
from lts_jax.environments.policies import choose_action
from lts_jax.environments.randomness import uniforms
from lts_jax.environments.teams.observing import step_triplet
from lts_jax.environments.teams.sharing import Entry, Looker, admit, evict, read
from lts_jax.environments.teams.state import Scene, State, is_before_end
from lts_jax.environments.teams.working import (
    ADMIT,
    ENTRY,
    NUM_PURPOSES,
    Outcome,
    choose,
    covers_needed,
    step_duration,
    step_words,
    work,
)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Latent:
    """What an oracle sees of the step that is decided on."""

    node: Array  # i32[]
    variant: Array  # i32[]


@dataclass(frozen=True)
class Turn:
    """Whose step ends, and when."""

    now: Array  # f32[]
    is_on: Array  # bool[] false once nothing is running: then nothing may change
    team: Array  # i32[]
    here_k: Array  # bool[K] true at that team while `is_on`
    num_steps: Array  # i32[] that the team has finished before
    place: Array  # i32[] team * T + num_steps
    target: Array  # i32[] node that the step worked on
    word_p: Array  # u32[NUM_PURPOSES + noise] random words of the step
    later_w: Array  # u32[2] seed words of what follows it
    salt: Array  # u32[] of the look

    def of(self, value_k: Array) -> Array:
        """The value of the one team that is here; 0 if none is."""
        return jnp.sum(jnp.where(self.here_k, value_k, 0), axis=0, dtype=value_k.dtype)

    def put(self, old_k: Array, new: Array) -> Array:
        """`new` at that team, the rest as it was."""
        return jnp.where(self.here_k, new, old_k)


@dataclass(frozen=True)
class Work:
    """What the step came to, and what its team knows after it."""

    outcome: Outcome
    known_bits: Array  # i32[]
    variant_m: Array  # i32[M]
    step_seconds: Array  # f32[]
    step_3d: Array  # f32[3, D]


@dataclass(frozen=True)
class Decision:
    """The controller's decision on the step."""

    is_decided: Array  # bool[]
    action: Array  # i32[]
    log_prob: Array  # f32[]
    seconds: Array  # f32[] when it was taken
    after: Array  # f32[] when the team goes on
    entry: Array  # i32[] number in the bank; N where nothing was admitted
    num_keys: Array  # i32[] that the controller saw: entries committed by then


def finish_work(scene: Scene, state: State, turn: Turn) -> Work:
    """The outcome of the step, what its team now knows, and what the controller will be shown."""
    target = turn.target
    outcome = once(work(scene, turn.place, target, uniforms(turn.word_p[:NUM_PURPOSES])))
    node_m = jnp.arange(scene.shape.num_nodes)
    known_bits = turn.of(state.known_bits_k)
    is_new = outcome.was_found & (((known_bits >> target) & 1) == 0)
    variant_m = jnp.sum(jnp.where(turn.here_k[:, None], state.variant_km, 0), axis=0)
    variant_m = jnp.where(is_new & (node_m == target), outcome.variant, variant_m)
    known_bits = known_bits | (is_new.astype(jnp.int32) << target)
    step_seconds = turn.now - turn.of(state.started_seconds_k)
    step_3d = once(step_triplet(scene, outcome, step_seconds, turn.word_p[NUM_PURPOSES:]))
    return Work(outcome, known_bits, variant_m, step_seconds, step_3d)


def decide(scene: Scene, state: State, turn: Turn, work: Work, controller: Controller) -> tuple[State, Decision]:
    """Ask the controller, and admit what it wants. It sees the keys that a reader could see at that time, no others."""
    shape, params, outcome, forced_kt = scene.shape, scene.params, work.outcome, scene.script.forced_kt
    latent = Latent(outcome.offered_node, outcome.offered_variant)
    seconds = once(turn.now + params.summary_seconds)
    # Admissions are in the order of their events, and so of their commits: what is committed is a prefix.
    num_keys = jnp.sum(state.commit_seconds_n <= seconds, dtype=jnp.int32)
    seen = Observation(scene.task.query_d, state.key_nd, num_keys, work.step_3d, latent)
    has_memory = params.has_memory > 0.0
    has_room = state.num_entries < shape.num_entries
    is_decided = turn.is_on & has_memory & has_room & is_before_end(scene, state, seconds)
    logit_a = controller.policy(controller.params, seen)
    logit = (logit_a[1] - logit_a[0]) / controller.acting.temperature
    fresh_p = (turn.word_p if scene.script.fork is None else step_words(shape, turn.later_w, turn.place))[:NUM_PURPOSES]
    forced = ASK if forced_kt is None else forced_kt.reshape(-1)[turn.place]
    action, log_prob = choose_action(logit, uniforms(fresh_p[ADMIT]), controller.acting, forced)
    after = jnp.where(has_memory, seconds + params.decision_seconds, turn.now)
    is_in = is_decided & (action == 1)
    is_in, action, logit, log_prob, after = once((is_in, action, logit, log_prob, after))
    number = jnp.where(is_in, state.num_entries, shape.num_entries)
    entry = Entry(outcome, turn.team, fresh_p[ENTRY], after, logit, work.step_3d[1])
    state = admit(state, entry, is_in)
    state = evict(state, params) if shape.bounded_bank else state
    return state, Decision(is_decided, action, log_prob, seconds, after, number, num_keys)


def go_on(scene: Scene, state: State, turn: Turn, work: Work, seconds: Array) -> State:
    """The team reads, then answers, dies, or begins its next step."""
    shape, params, outcome, put = scene.shape, scene.params, work.outcome, turn.put
    drops = (turn.is_on & outcome.drops).astype(jnp.int32) << turn.target
    dropped_bits = turn.of(state.dropped_bits_k) | drops
    is_last = outcome.has_crashed | (turn.num_steps + 1 >= jnp.minimum(params.step_limit, shape.max_steps))
    known_bits, variant_m = once((work.known_bits, work.variant_m))
    looker = Looker(turn.team, turn.num_steps, turn.of(state.num_seen_k), known_bits, variant_m, turn.salt)
    reading = read(scene, state, looker, seconds, turn.is_on & ~is_last & is_before_end(scene, state, seconds))
    state, after = reading.state, once(seconds + reading.seconds)
    done_bits = once(reading.known_bits | dropped_bits | reading.dropped_bits)
    own_end = is_last | outcome.gives_up | covers_needed(scene, done_bits)
    order_m = jnp.sum(jnp.where(turn.here_k[:, None], scene.order_km, 0.0), axis=0)
    next_draw_p = uniforms(step_words(shape, turn.later_w, turn.place + 1)[:NUM_PURPOSES])
    next_seconds = after + params.check_seconds + once(step_duration(params, next_draw_p))
    finish, dies = after + params.finish_seconds, outcome.has_crashed
    is_late = jnp.where(own_end, finish, next_seconds) > params.deadline_seconds
    goes_on = ~own_end & ~is_late
    end = jnp.where(dies, turn.now, jnp.where(is_late, params.deadline_seconds, finish))
    return replace(
        state,
        next_seconds_k=put(state.next_seconds_k, jnp.where(goes_on, next_seconds, jnp.inf)),
        num_steps_k=state.num_steps_k + turn.here_k,
        target_k=put(state.target_k, choose(scene, order_m, done_bits)),
        started_seconds_k=put(state.started_seconds_k, after + params.check_seconds),
        known_bits_k=put(state.known_bits_k, reading.known_bits),
        dropped_bits_k=put(state.dropped_bits_k, done_bits & ~reading.known_bits),
        num_seen_k=put(state.num_seen_k, reading.num_seen),
        variant_km=jnp.where(turn.here_k[:, None], reading.variant_m, state.variant_km),
        finish_seconds_k=put(state.finish_seconds_k, jnp.where(own_end & ~is_late & ~dies, finish, jnp.inf)),
        end_seconds_k=put(state.end_seconds_k, jnp.where(goes_on, jnp.inf, end)),
        has_died_k=put(state.has_died_k, dies),
    )


@dataclass(frozen=True)
class Process:
    """The phases of an event. `teams(Process(go_on=mine))` is the same environment with one of them replaced.

    Attributes:
        work: (scene, state, turn) -> work; the state stays.
        decide: (scene, state, turn, work, controller) -> (state with the admission, decision).
        go_on: (scene, state, turn, work, seconds f32[]) -> state at the team's next step, or its end.
    """

    work: Callable[[Scene, State, Turn], Work] = finish_work
    decide: Callable[[Scene, State, Turn, Work, Controller], tuple[State, Decision]] = decide
    go_on: Callable[[Scene, State, Turn, Work, Array], State] = go_on
