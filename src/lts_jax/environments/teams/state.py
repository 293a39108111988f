"""The one state record of a simulated rollout, and what one event of it leaves behind.

Teams know nodes as bits of an integer (bit m is node m). A value is a variant: 0 is right, any other number names one
particular mistake, so that two teams with the same wrong value agree with each other.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.environments.contract import Script
from lts_jax.environments.teams.settings import SimulatorParams, SimulatorShape
from lts_jax.environments.teams.task import SimulatedTask

RIGHT = 0
NOTHING = -1  # an output that holds no value
COMMON_MISTAKES = 1 << 24  # variants from here on: the mistake that everybody makes at a node
STALE = 2 << 24  # from here on: right for its writer, wrong for its readers
PLANTED = 3 << 24  # from here on: a planted wrong value


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """K teams and a bank with N places. Times are +inf where nothing is to come or was."""

    next_seconds_k: Array  # f32[K] when the running step ends
    num_steps_k: Array  # i32[K] steps finished
    target_k: Array  # i32[K] node that the running step works on
    started_seconds_k: Array  # f32[K] when the running step began
    known_bits_k: Array  # i32[K] nodes that the team has a value for; dead ends that it has recognised
    dropped_bits_k: Array  # i32[K] nodes that it has given up
    num_seen_k: Array  # i32[K] entries that were admitted when it last looked at the listing
    variant_km: Array  # i32[K, M] its values
    finish_seconds_k: Array  # f32[K] when it came to its own end with an answer
    end_seconds_k: Array  # f32[K] when it came to any end: its own, the deadline, a crash
    has_died_k: Array  # bool[K] it ended without an answer
    num_entries: Array  # i32[] entries admitted so far
    node_n: Array  # i32[N]
    variant_n: Array  # i32[N] as a reader would take it over
    writer_n: Array  # i32[N]
    commit_seconds_n: Array  # f32[N]
    word_n: Array  # u32[N] the entry's own random word, made from its writer's place
    is_alive_n: Array  # bool[N] not evicted
    reader_bits_nw: Array  # u32[N, ceil(K / 32)] teams that pulled it
    first_pull_seconds_n: Array  # f32[N]
    wanted_n: Array  # f32[N] the controller's logit when it was admitted
    key_nd: Array  # f32[N, D]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Event:
    """One finished step and the decision on it; the rollout stacks them along E."""

    place: Array  # i32[] team * T + step; K * T where no step was left
    is_decided: Array  # bool[]
    action: Array  # i32[]
    log_prob: Array  # f32[]
    decision_seconds: Array  # f32[]
    num_keys: Array  # i32[]
    entry: Array  # i32[] number in the bank; N where nothing was admitted
    step_seconds: Array  # f32[]
    step_3d: Array  # f32[3, D]
    node: Array  # i32[] that the output is about
    variant: Array  # i32[] that a reader of it would take over


@partial(
    jax.tree_util.register_dataclass,
    data_fields=("params", "task", "seed_w", "order_km", "script"),
    meta_fields=("shape",),
)
@dataclass(frozen=True)
class Scene:
    """What stays the same during one rollout."""

    shape: SimulatorShape
    params: SimulatorParams
    task: SimulatedTask
    seed_w: Array  # u32[2]
    order_km: Array  # f32[K, M] how a team ranks nodes, higher first
    script: Script  # what a replay prescribes


def is_before_end(scene: Scene, state: State, seconds: Array) -> Array:
    """bool[]: the rollout is not over at this time, neither by an answer that ends it nor by the deadline.

    Asked of a time within an event. Events come in order and all take as long to decide, so no later event can bring
    an answer before that time.
    """
    params = scene.params
    first_answer = jnp.where(params.first_answer_ends > 0.0, jnp.min(state.finish_seconds_k), jnp.inf)
    return (seconds < first_answer) & (seconds <= params.deadline_seconds)


def empty_state(shape: SimulatorShape) -> State:
    """No team has begun, the bank is empty."""
    K, N, M = shape.num_teams, shape.num_entries, shape.num_nodes
    return State(
        next_seconds_k=jnp.full(K, jnp.inf),
        num_steps_k=jnp.zeros(K, jnp.int32),
        target_k=jnp.zeros(K, jnp.int32),
        started_seconds_k=jnp.zeros(K),
        known_bits_k=jnp.zeros(K, jnp.int32),
        dropped_bits_k=jnp.zeros(K, jnp.int32),
        num_seen_k=jnp.zeros(K, jnp.int32),
        variant_km=jnp.zeros((K, M), jnp.int32),
        finish_seconds_k=jnp.full(K, jnp.inf),
        end_seconds_k=jnp.full(K, jnp.inf),
        has_died_k=jnp.zeros(K, bool),
        num_entries=jnp.zeros((), jnp.int32),
        node_n=jnp.zeros(N, jnp.int32),
        variant_n=jnp.full(N, NOTHING, jnp.int32),
        writer_n=jnp.zeros(N, jnp.int32),
        commit_seconds_n=jnp.full(N, jnp.inf),
        word_n=jnp.zeros(N, jnp.uint32),
        is_alive_n=jnp.zeros(N, bool),
        reader_bits_nw=jnp.zeros((N, -(-K // 32)), jnp.uint32),
        first_pull_seconds_n=jnp.full(N, jnp.inf),
        wanted_n=jnp.zeros(N),
        key_nd=jnp.zeros((N, shape.embedding_width)),
    )
