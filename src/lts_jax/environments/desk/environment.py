"""The environment of one desk: a stream of facts, a context that is cleared, a drawer that is kept and edited.

Three stages, after AgeMem (arXiv 2601.01885): facts come in blocks, and after each block there is time to act; the
context is cleared, the drawer stays, and distractions come; then a question is asked, and what stands in the context
answers it.
"""

from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.actions import ADD, ANSWER, DELETE, FILTER, NOOP, RETRIEVE, SUMMARISE, UPDATE
from lts_jax.environments.choosing import choose_edit, forced_at
from lts_jax.environments.contract import Controller, Environment, Observation, Script
from lts_jax.environments.desk import acting
from lts_jax.environments.desk.coding import NOTHING, Items, encode, encode_moment, encode_question
from lts_jax.environments.desk.context import context_of, push
from lts_jax.environments.desk.gathering import gather, measures
from lts_jax.environments.desk.settings import NUM_FACTS, DeskParams, DeskShape, check_params
from lts_jax.environments.desk.state import Event, Scene, State, alive_entries, empty_state, seed_of
from lts_jax.environments.desk.task import Stream, draw_task
from lts_jax.environments.randomness import place_words, seed_words, uniforms, words


def begin(
    shape: DeskShape, params: DeskParams, task: Stream, prng_key: Array, script: Script | None = None
) -> tuple[Scene, State]:
    """The first block lies in the context."""
    scene = Scene(shape, params, task, seed_words(prng_key), script or Script())
    return scene, _with_block(scene, empty_state(shape), jnp.asarray(True))


def is_running(scene: Scene, state: State) -> Array:
    """bool[]: there is something left to do."""
    return ~state.is_over


def step(scene: Scene, state: State, controller: Controller, event: Array) -> tuple[State, Event]:
    """One action: look, choose, act, and let the time go on."""
    shape, is_on = scene.shape, is_running(scene, state)
    legal_a, target_aj = acting.legal_actions(scene, state), acting.legal_targets(scene, state)
    seen = observe(scene, state, legal_a)
    logit_a, pointer_j = controller.policy(controller.params, seen)
    draw_3 = uniforms(words(place_words(seed_of(scene, state.num_done), state.num_done), 3))
    forced = forced_at(scene.script, state.num_done)
    choice = choose_edit(logit_a, pointer_j, (legal_a, target_aj), draw_3[:2], controller.acting, forced)
    taken, entry = partial(_is_taken, choice.action, is_on), state.num_entries
    adds = taken(ADD) if forced is None else taken(ADD) & ~forced.is_withheld
    record = Event(
        place=jnp.where(is_on, state.num_done, shape.max_steps),
        action=choice.action,
        target=choice.target,
        log_prob=choice.log_prob,
        legal_a=legal_a,
        target_mask_j=choice.target_mask_j,
        num_keys=seen.num_keys,
        step_sd=seen.step_3d,
        entry=entry,
    )
    state = acting.add(scene, state, choice.target, adds)
    state = acting.update(scene, state, choice.target, taken(UPDATE))
    state = acting.delete(scene, state, choice.target, taken(DELETE))
    state = acting.retrieve(scene, state, taken(RETRIEVE))
    state = acting.summarise(scene, state, taken(SUMMARISE))
    state = acting.take_out(scene, state, choice.target, taken(FILTER))
    state = acting.answer(scene, state, draw_3[2], taken(ANSWER))
    record = replace(record, entry=jnp.where(state.num_entries > entry, entry, shape.num_entries))
    return _go_on(scene, state, taken(NOOP), is_on), record


def observe(scene: Scene, state: State, legal_a: Array) -> Observation:
    """What a policy may look at: the drawer's log, the context, the moment, and with it the question once asked."""
    shape = scene.shape
    is_asked = state.block == shape.num_blocks
    question_d = jnp.where(is_asked, encode_question(scene.stream.asked_2), 0.0)
    is_stored = state.block < shape.num_stored // shape.block_size
    told = jnp.stack(
        [
            is_stored.astype(jnp.float32),
            is_asked.astype(jnp.float32),
            (state.round + 1) / shape.rounds,
            state.num_slots / shape.num_slots,
            jnp.sum(alive_entries(state)) / scene.params.drawer_slots,
        ]
    )
    step_sd = jnp.concatenate([state.slots.vector, encode_moment(question_d, told)[None]])
    alive_n = alive_entries(state)
    nothing_d = jnp.zeros(shape.embedding_width)  # a group has one query, and this one is asked late
    latent = (scene, state)
    return Observation(nothing_d, state.drawer.vector, state.num_entries, step_sd, latent, alive_n, legal_a)


def _is_taken(action: Array, is_on: Array, wanted: int) -> Array:
    return is_on & (action == wanted)


def _go_on(scene: Scene, state: State, does_nothing: Array, is_on: Array) -> State:
    """The next action of this block, the next block, the question, or the end."""
    shape = scene.shape
    is_asked = state.block == shape.num_blocks
    number = state.round + 1
    ends_block = is_on & ~state.is_over & ((does_nothing & ~is_asked) | (number == shape.rounds))
    is_over = state.is_over | (ends_block & is_asked)
    moves = ends_block & ~is_asked
    block = state.block + moves
    clears = moves & (block == shape.num_stored // shape.block_size)
    state = replace(
        state,
        block=block,
        round=jnp.where(moves, 0, jnp.where(is_on, number, state.round)),
        num_done=state.num_done + is_on,
        is_over=is_over,
        num_slots=jnp.where(clears, 0, state.num_slots),
        slots=_either(clears, empty_state(shape).slots, state.slots),
        tally_at_clearing=_either(clears, state.tally, state.tally_at_clearing),
    )
    return _with_block(scene, state, moves & (block < shape.num_blocks))


def _either(where: Array, one: Any, other: Any) -> Any:
    return jax.tree.map(partial(jnp.where, where), one, other)


def _with_block(scene: Scene, state: State, where: Array) -> State:
    """The events of the block come into the context."""
    shape, stream = scene.shape, scene.stream
    first = jnp.minimum(state.block, shape.num_blocks - 1) * shape.block_size
    number_m = first + jnp.arange(shape.block_size)
    said = jnp.arange(NUM_FACTS) == 0  # an event has one fact or none
    attribute = jnp.where(said, jnp.take(stream.attribute_e, number_m)[:, None], NOTHING)
    value = jnp.where(said, jnp.take(stream.value_e, number_m)[:, None], NOTHING)
    time = jnp.where(attribute == NOTHING, NOTHING, number_m[:, None])
    vector = encode(scene.params, attribute, value, time, jnp.take(stream.noise_ed, number_m, axis=0))
    count = where.astype(jnp.int32) * shape.block_size
    (slots, number), fell = push(context_of(state), Items(vector, attribute, value, time), count)
    tally = replace(state.tally, overflows=state.tally.overflows + fell)
    return replace(state, slots=slots, num_slots=number, tally=tally)


@lru_cache
def desk() -> Environment:
    """The desk with default sizes and numbers; one object."""
    return Environment(
        name="desk",
        shape=DeskShape(),
        params=DeskParams(),
        check=check_params,
        draw_task=draw_task,
        begin=begin,
        is_running=is_running,
        step=step,
        gather=gather,
        measures=measures,
        follows_scripts=True,
    )
