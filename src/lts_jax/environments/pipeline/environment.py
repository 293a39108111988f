"""Three agents on one desk, after CoMAM (arXiv 2603.12631): one decision process; each sees what is left to it.

The extraction agent is shown every event and adds it or not. After every few events the profile agent replaces or ends
entries of the drawer, or does nothing. At the question the retrieval agent points at entries, one at a time, and the
newest of what they say is the answer. Who acts when is fixed, and so is what each may do.
"""

from dataclasses import replace
from functools import lru_cache

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.actions import ADD, DELETE, NOOP, RETRIEVE, UPDATE
from lts_jax.environments.choosing import choose_edit, forced_at
from lts_jax.environments.contract import Controller, Environment, Observation, Script
from lts_jax.environments.desk import acting
from lts_jax.environments.desk.coding import NOTHING, Items, encode, encode_moment, encode_question
from lts_jax.environments.desk.context import context_of, item_at, push
from lts_jax.environments.desk.settings import NUM_FACTS
from lts_jax.environments.desk.state import Event, Scene, alive_entries, empty_state, seed_of
from lts_jax.environments.desk.task import Stream, draw_task
from lts_jax.environments.pipeline.gathering import State, gather, measures
from lts_jax.environments.pipeline.rules import own_rules
from lts_jax.environments.pipeline.settings import (
    AGENTS,
    BY_RULE,
    EXTRACTION,
    PROFILE,
    RETRIEVAL,
    PipelineParams,
    PipelineShape,
    check_params,
)
from lts_jax.environments.randomness import place_words, seed_words, uniforms, words


def begin(
    shape: PipelineShape, params: PipelineParams, task: Stream, prng_key: Array, script: Script | None = None
) -> tuple[Scene, State]:
    """Nothing was said yet."""
    scene = Scene(shape, params, task, seed_words(prng_key), script or Script())
    return scene, State(empty_state(shape), jnp.zeros(shape.num_entries, bool))


def is_running(scene: Scene, state: State) -> Array:
    """bool[]: there is something left to do."""
    return ~state.desk.is_over


def step(scene: Scene, state: State, controller: Controller, event: Array) -> tuple[State, Event]:
    """One action of the agent whose turn it is."""
    shape = scene.shape
    number = jnp.minimum(event, len(shape.agent_of_step) - 1)  # the same for all rollouts of a batch, so is the agent
    agent = jnp.asarray(shape.agent_of_step)[number]
    is_on = is_running(scene, state)
    state = _hear(scene, state, agent, is_on, number)
    legal_a, target_aj = _legal(scene, state, agent)
    seen = observe(scene, state, legal_a, agent)
    by_rule = jnp.stack([getattr(scene.params, f"{name}_acts") == BY_RULE for name in AGENTS])[agent]
    asked, told = controller.policy(controller.params, seen), own_rules(None, seen)
    logit_a, pointer_j = (jnp.where(by_rule, rule, own) for rule, own in zip(told, asked, strict=True))
    draw_3 = uniforms(words(place_words(seed_of(scene, number), number), 3))
    place = jnp.asarray(shape.place_of_step)[number]
    forced = forced_at(scene.script, place)
    choice = choose_edit(logit_a, pointer_j, (legal_a, target_aj), draw_3[:2], controller.acting, forced)
    entry, adds = state.desk.num_entries, is_on & (choice.action == ADD)
    adds = adds if forced is None else adds & ~forced.is_withheld
    record = Event(
        place=jnp.where(is_on, place, shape.num_teams * shape.max_steps),
        action=choice.action,
        target=choice.target,
        log_prob=choice.log_prob,
        legal_a=legal_a,
        target_mask_j=choice.target_mask_j,
        num_keys=seen.num_keys,
        step_sd=seen.step_3d,
        entry=entry,
    )
    desk = state.desk
    desk = acting.add(scene, desk, choice.target, adds)
    desk = acting.update(scene, desk, choice.target, is_on & (choice.action == UPDATE))
    desk = acting.delete(scene, desk, choice.target, is_on & (choice.action == DELETE))
    state = _look_up(replace(state, desk=desk), choice.target, is_on & (choice.action == RETRIEVE))
    desk = replace(state.desk, num_done=state.desk.num_done + is_on)
    desk = acting.answer(scene, desk, draw_3[2], is_on & (number == len(shape.agent_of_step) - 1))
    made = jnp.where(desk.num_entries > entry, entry, shape.num_entries)
    return replace(state, desk=desk), replace(record, entry=made)


def observe(scene: Scene, state: State, legal_a: Array, agent: Array) -> Observation:
    """The drawer's log, the newest event or events, the moment, and with it the question once asked."""
    shape, desk = scene.shape, state.desk
    is_asked = agent == RETRIEVAL
    question_d = jnp.where(is_asked, encode_question(scene.stream.asked_2), 0.0)
    alive_n = alive_entries(desk)
    told = jnp.stack(
        [
            (desk.block < shape.num_stored).astype(jnp.float32),
            is_asked.astype(jnp.float32),
            desk.num_slots / shape.num_slots,
            jnp.sum(alive_n) / scene.params.drawer_slots,
        ]
    )
    is_newest_c = jnp.arange(shape.num_slots) == desk.num_slots - 1
    is_shown_c = is_newest_c | (agent != EXTRACTION)  # a place has no number, so the one event must stand alone
    slot_cd = jnp.where(is_shown_c[:, None], desk.slots.vector, 0.0)
    step_sd = jnp.concatenate([slot_cd, encode_moment(question_d, told)[None]])
    nothing_d = jnp.zeros(shape.embedding_width)
    return Observation(
        nothing_d, desk.drawer.vector, desk.num_entries, step_sd, (scene, state), alive_n, legal_a, agent
    )


def _hear(scene: Scene, state: State, agent: Array, is_on: Array, number: Array) -> State:
    """The next event comes into the context before the extraction agent acts; before the question it is cleared."""
    shape, stream, desk = scene.shape, scene.stream, state.desk
    event = jnp.asarray(shape.event_of_step)[number]
    said = jnp.arange(NUM_FACTS) == 0  # an event has one fact or none
    attribute = jnp.where(said, stream.attribute_e[event], NOTHING)[None]
    value = jnp.where(said, stream.value_e[event], NOTHING)[None]
    time = jnp.where(attribute == NOTHING, NOTHING, event)
    vector = encode(scene.params, attribute, value, time, stream.noise_ed[event][None])
    count = (is_on & (agent == EXTRACTION)).astype(jnp.int32)
    (slots, filled), _ = push(context_of(desk), Items(vector, attribute, value, time), count)
    clears = is_on & (agent == RETRIEVAL) & (number == len(shape.agent_of_step) - shape.num_retrieved)
    slots = jax.tree.map(lambda now, empty: jnp.where(clears, empty, now), slots, empty_state(shape).slots)
    block = jnp.where(is_on, event, desk.block)
    desk = replace(desk, slots=slots, num_slots=jnp.where(clears, 0, filled), block=block)
    return replace(state, desk=desk)


def _look_up(state: State, target: Array, where: Array) -> State:
    """One entry comes into the context."""
    desk = state.desk
    one = jax.tree.map(lambda leaf: leaf[None], item_at(desk.drawer, target))
    (slots, filled), _ = push(context_of(desk), one, where.astype(jnp.int32))
    here_n = (jnp.arange(state.retrieved_n.shape[0]) == target) & where
    desk = replace(desk, slots=slots, num_slots=filled)
    return State(desk, state.retrieved_n | here_n)


def _legal(scene: Scene, state: State, agent: Array) -> tuple[Array, Array]:
    """bool[A] and bool[A, J]: the extraction agent adds the newest event, the profile agent edits, the third looks up.

    Who cannot do anything else does nothing.
    """
    shape, desk = scene.shape, state.desk
    alive_n = alive_entries(desk)
    has_number = (desk.num_entries < shape.num_entries) & (scene.params.has_memory > 0.0)
    left_n = alive_n & ~state.retrieved_n
    takes, keeps, looks = agent == EXTRACTION, agent == PROFILE, agent == RETRIEVAL
    can = {
        NOOP: ~(looks & jnp.any(left_n)),
        ADD: takes & has_number,
        UPDATE: keeps & jnp.any(alive_n) & has_number,
        DELETE: keeps & jnp.any(alive_n),
        RETRIEVE: looks & jnp.any(left_n),
    }
    no = jnp.asarray(False)
    legal_a = jnp.stack([can.get(action, no) for action in range(shape.num_actions)])
    newest_s = jnp.arange(shape.num_step_tokens) == desk.num_slots - 1
    no_n, no_s = jnp.zeros(shape.num_entries, bool), jnp.zeros(shape.num_step_tokens, bool)
    points = {
        ADD: jnp.concatenate([no_n, newest_s]),
        UPDATE: jnp.concatenate([alive_n, no_s]),
        DELETE: jnp.concatenate([alive_n, no_s]),
        RETRIEVE: jnp.concatenate([left_n, no_s]),
    }
    nothing_j = jnp.concatenate([no_n, no_s])
    return legal_a, jnp.stack([points.get(action, nothing_j) for action in range(shape.num_actions)])


@lru_cache
def pipeline() -> Environment:
    """The pipeline with default sizes and the desk's numbers; one object."""
    return Environment(
        name="pipeline",
        shape=PipelineShape(),
        params=PipelineParams(),
        check=check_params,
        draw_task=draw_task,
        begin=begin,
        is_running=is_running,
        step=step,
        gather=gather,
        measures=measures,
        follows_scripts=True,
    )
