"""Rules for the three agents, and whole policies made of them, against which learned ones are measured."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array

from lts_jax.actions import ADD, DELETE, NOOP, RETRIEVE
from lts_jax.environments.contract import Observation
from lts_jax.environments.desk.coding import encode_question, shows_talk
from lts_jax.environments.desk.context import nearest
from lts_jax.environments.desk.state import Scene, alive_entries, holds
from lts_jax.environments.pipeline.gathering import State, is_current
from lts_jax.environments.pipeline.settings import EXTRACTION, PROFILE
from lts_jax.environments.policies import Sure, surely

Choice = tuple[Array, Array]
"""An action, and what it points at."""

Rule = Callable[[Scene, State], Choice]


def own_rules(params: Any, seen: Observation) -> Sure:
    """What an agent does by rule: take in what is no small talk, end repeats, retrieve the nearest."""
    return _of_agents(seen, take_facts, end_repeats, look_near)


def never_store(params: Any, seen: Observation) -> Sure:
    """Nothing is taken in."""
    return _of_agents(seen, take_nothing, do_nothing, look_near)


def add_all(params: Any, seen: Observation) -> Sure:
    """Everything is taken in, and of a full drawer the oldest entries go."""
    return _of_agents(seen, take_all, end_oldest, look_near)


def add_facts(params: Any, seen: Observation) -> Sure:
    """What is no small talk is taken in, and of a full drawer the oldest entries go."""
    return _of_agents(seen, take_facts, end_oldest, look_near)


def newest_wins(params: Any, seen: Observation) -> Sure:
    """What is no small talk is taken in; the older of two entries with a cosine of .9 goes."""
    return _of_agents(seen, take_facts, end_repeats, look_near)


def add_update_skip(params: Any, seen: Observation) -> Sure:
    """The same, but what has a cosine of .97 to an entry is not taken in, after Mem0's choices (arXiv 2504.19413)."""
    return _of_agents(seen, take_new, end_repeats, look_near)


def oracle(params: Any, seen: Observation) -> Sure:
    """Knows the question and what will be corrected: takes in what is needed, and points at nothing else."""
    return _of_agents(seen, take_needed, do_nothing, look_right)


def take_nothing(scene: Scene, state: State) -> Choice:
    """Extraction: nothing."""
    return _choice(NOOP, 0)


def take_all(scene: Scene, state: State) -> Choice:
    """Extraction: every event."""
    return _choice(ADD, _newest(scene, state))


def take_facts(scene: Scene, state: State) -> Choice:
    """Extraction: what is no small talk."""
    return _choice(jnp.where(shows_talk(_event(state)), NOOP, ADD), _newest(scene, state))


def take_new(scene: Scene, state: State, *, same: float = 0.97) -> Choice:
    """Extraction: what is no small talk, and as good as equal to no entry."""
    event_d = _event(state)
    closest = jnp.max(nearest(state.desk.drawer.vector, alive_entries(state.desk), event_d))
    takes = ~shows_talk(event_d) & (closest < same)
    return _choice(jnp.where(takes, ADD, NOOP), _newest(scene, state))


def take_needed(scene: Scene, state: State) -> Choice:
    """Extraction, latent: what the question will ask for, if nothing later supersedes it and it is not there yet."""
    slots, place = state.desk.slots, jnp.maximum(state.desk.num_slots - 1, 0)
    right = is_current(scene.stream, slots.attribute, slots.value)[place, 0] & holds(slots, scene.stream.asked_2)[place]
    drawer = state.desk.drawer
    same_n = (drawer.attribute[:, 0] == slots.attribute[place, 0]) & (drawer.value[:, 0] == slots.value[place, 0])
    is_there = jnp.any(same_n & alive_entries(state.desk))
    return _choice(jnp.where(right & ~is_there, ADD, NOOP), _newest(scene, state))


def do_nothing(scene: Scene, state: State) -> Choice:
    """Profile: nothing."""
    return _choice(NOOP, 0)


def end_oldest(scene: Scene, state: State) -> Choice:
    """Profile: ends the oldest entry while the drawer has no room for the events until its next turn."""
    alive_n = alive_entries(state.desk)
    is_full = jnp.sum(alive_n) + scene.shape.upkeep_every > scene.params.drawer_slots
    return _choice(jnp.where(is_full, DELETE, NOOP), jnp.argmax(alive_n))


def end_repeats(scene: Scene, state: State, *, threshold: float = 0.9) -> Choice:
    """Profile: ends the older one of the two entries that are most alike, if their cosine reaches `threshold`."""
    vector_nd, alive_n = state.desk.drawer.vector, alive_entries(state.desk)
    unit_nd = vector_nd / jnp.maximum(jnp.linalg.norm(vector_nd, axis=-1, keepdims=True), 1e-6)
    place_n = jnp.arange(alive_n.shape[0])
    is_pair_nn = alive_n[:, None] & alive_n & (place_n[:, None] < place_n)
    cosine_n = jnp.max(jnp.where(is_pair_nn, unit_nd @ unit_nd.T, -1.0), axis=1)
    return _choice(jnp.where(jnp.max(cosine_n) >= threshold, DELETE, NOOP), jnp.argmax(cosine_n))


def look_near(scene: Scene, state: State) -> Choice:
    """Retrieval: the entry nearest to the question."""
    left_n = alive_entries(state.desk) & ~state.retrieved_n
    wanted_d = encode_question(scene.stream.asked_2)
    return _choice(RETRIEVE, jnp.argmax(nearest(state.desk.drawer.vector, left_n, wanted_d)))


def look_right(scene: Scene, state: State) -> Choice:
    """Retrieval, latent: an entry that says what is asked for, in its newest form."""
    drawer, left_n = state.desk.drawer, alive_entries(state.desk) & ~state.retrieved_n
    right_n = is_current(scene.stream, drawer.attribute, drawer.value)[:, 0] & holds(drawer, scene.stream.asked_2)
    return _choice(RETRIEVE, jnp.argmax(left_n * (1 + right_n)))


def _of_agents(seen: Observation, takes: Rule, keeps: Rule, looks: Rule) -> Sure:
    """The choice of whose turn it is, surely; who cannot do it does what he can."""
    scene, state = seen.latent
    choices = [rule(scene, state) for rule in (takes, keeps, looks)]
    agent = seen.team
    first, second = agent == EXTRACTION, agent == PROFILE
    action, target = (jnp.where(first, a, jnp.where(second, b, c)) for a, b, c in zip(*choices, strict=True))
    return surely(scene.shape, action, target)


def _choice(action: Array | int, target: Array | int) -> Choice:
    return jnp.asarray(action, jnp.int32), jnp.asarray(target, jnp.int32)


def _event(state: State) -> Array:
    return state.desk.slots.vector[jnp.maximum(state.desk.num_slots - 1, 0)]


def _newest(scene: Scene, state: State) -> Array:
    return scene.shape.num_entries + state.desk.num_slots - 1
