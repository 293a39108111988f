"""What changes during a rollout on the desk, and what one action is."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.environments.contract import Script
from lts_jax.environments.desk.coding import NOTHING, Items, no_items
from lts_jax.environments.desk.task import Stream
from lts_jax.trajectory import ALIVE


@partial(jax.tree_util.register_dataclass, data_fields=("params", "stream", "seed_w", "script"), meta_fields=("shape",))
@dataclass(frozen=True)
class Scene:
    """What stays the same."""

    shape: Any  # sizes and numbers of the desk, or of another environment on the same furniture
    params: Any
    stream: Stream
    seed_w: Array  # u32[2] of this rollout's own draws
    script: Script = field(default_factory=Script)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Tally:
    """What was done so far, i32[] each: what AgeMem's reward counts."""

    additions: Array  # entries that came into the drawer, by addition
    useful_additions: Array  # of these, of a fact of the user's that was new or newer than what lay there
    refused: Array  # additions that a full drawer refused
    updates: Array
    deletions: Array
    retrievals: Array
    retrieved: Array  # entries that were brought
    needed_retrieved: Array  # of these, that held what the question asks for
    summaries: Array
    filters: Array
    overflows: Array  # slots that fell out of a full context


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """Between two actions."""

    slots: Items  # [C] the context, oldest first
    num_slots: Array  # i32[] that are filled
    drawer: Items  # [N] the drawer's log
    died_n: Array  # i32[N] number of the first action after its end; ALIVE if it has none
    num_entries: Array  # i32[] of the log
    block: Array  # i32[] of events; `num_blocks` is the question's turn
    round: Array  # i32[] actions since the block came
    num_done: Array  # i32[] actions of the rollout
    has_answered: Array  # bool[]
    is_over: Array  # bool[]
    score: Array  # f32[] of the answer
    tally: Tally
    tally_at_clearing: Tally  # when the context was cleared


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Event:
    """One action, as the policy saw it and what it did."""

    place: Array  # i32[] number of the action; T once the rollout is over
    action: Array  # i32[]
    target: Array  # i32[]
    log_prob: Array  # f32[]
    legal_a: Array  # bool[A]
    target_mask_j: Array  # bool[J]
    num_keys: Array  # i32[]
    step_sd: Array  # f32[S, D]
    entry: Array  # i32[] that it made; N if none


def seed_of(scene: Scene, number: Array) -> Array:
    """u32[2]: what action number `number` of the rollout draws from; from a fork on, the fork's."""
    fork = scene.script.fork
    return scene.seed_w if fork is None else jnp.where(number < fork.event, scene.seed_w, fork.seed_w)


def empty_state(shape: Any) -> State:
    """Before the first block."""
    zero, no = jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    tally = Tally(*[zero] * 11)
    died_n = jnp.full(shape.num_entries, ALIVE, jnp.int32)
    slots, drawer = no_items(shape.num_slots), no_items(shape.num_entries)
    return State(slots, zero, drawer, died_n, zero, zero, zero, zero, no, no, jnp.zeros(()), tally, tally)


def alive_entries(state: State) -> Array:
    """bool[N]: in the drawer."""
    place_n = jnp.arange(state.died_n.shape[0])
    return (place_n < state.num_entries) & (state.died_n == ALIVE)


def holds(items: Items, asked_2: Array) -> Array:
    """bool[...]: places with a fact of an attribute that is asked for."""
    is_asked = (items.attribute[..., None] == asked_2) & (asked_2 != NOTHING)
    return jnp.any(is_asked, axis=(-2, -1))
