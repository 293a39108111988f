"""What a team does by itself: choose a node, take its time, find something or not."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import ndtri

from lts_jax.environments.once import once, pick
from lts_jax.environments.randomness import place_words, uniforms, words
from lts_jax.environments.teams.settings import SimulatorParams, SimulatorShape
from lts_jax.environments.teams.state import COMMON_MISTAKES, NOTHING, PLANTED, RIGHT, STALE, Scene
from lts_jax.environments.teams.task import DEAD_END, NEEDED, NO_NODE, SimulatedTask

# Purposes of the uniform draws at a step's place.
STALL, FIND, WRONG, COMMON, LEFT_STALE, POISON, POISON_NODE, CRASH, STOP, ADMIT, SECONDS, ENTRY = range(12)
NUM_PURPOSES = 12
TEAM_PLACES = 1 << 20  # places from here on belong to teams, not to steps


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Outcome:
    """What a step came to."""

    was_found: Array  # bool[] the team now has a value for its node
    variant: Array  # i32[] the team's own value
    offered_node: Array  # i32[] what the output is about, for the bank
    offered_variant: Array  # i32[] what a reader would take over; NOTHING if there is no value in it
    looks_wrong: Array  # f32[] cue of a wrong or stale value, before noise
    has_crashed: Array  # bool[]
    drops: Array  # bool[] the team gives up the node
    gives_up: Array  # bool[] the team answers with what it has


def step_words(shape: SimulatorShape, seed_w: Array, place: Array) -> Array:
    """u32[NUM_PURPOSES + noise] of one step: its draws, then four bytes of noise a word for the step triplet."""
    num_noise = -(-3 * shape.embedding_width // 4)
    return words(place_words(seed_w, place), NUM_PURPOSES + num_noise)


def work(scene: Scene, place: Array, target: Array, draw_p: Array) -> Outcome:
    """The outcome of a step on node `target`, from its uniform draws f32[NUM_PURPOSES]."""
    params, task = scene.params, scene.task
    kind = pick(task.kind_m, target)
    is_needed = kind == NEEDED
    chance = jnp.where(kind == DEAD_END, params.leave_probability, jax.nn.sigmoid(pick(task.find_logit_m, target)))
    is_stalled = draw_p[STALL] < params.stall_probability
    was_found = ~is_stalled & (draw_p[FIND] < chance)
    is_wrong = was_found & is_needed & (draw_p[WRONG] < params.wrong_probability)
    mistake = jnp.where(draw_p[COMMON] < params.common_mistake_share, COMMON_MISTAKES + target, place + 1)
    variant = jnp.where(is_wrong, mistake, RIGHT)
    is_stale = was_found & is_needed & ~is_wrong & (draw_p[LEFT_STALE] < params.stale_probability)
    is_planted = draw_p[POISON] < params.poison_probability
    num_needed = jnp.sum(task.kind_m == NEEDED)
    planted_node = jnp.floor(draw_p[POISON_NODE] * num_needed).astype(jnp.int32)
    honest = jnp.where(was_found, jnp.where(is_stale, STALE + place, variant), NOTHING)
    cue = jnp.where(is_wrong, params.wrong_cue, jnp.where(is_stale, params.stale_cue, 0.0))
    return Outcome(
        was_found=was_found,
        variant=variant,
        offered_node=jnp.where(is_planted, planted_node, target),
        offered_variant=jnp.where(is_planted, PLANTED + place, honest),
        looks_wrong=jnp.where(is_planted, 0.0, cue),
        has_crashed=draw_p[CRASH] < params.crash_probability,
        drops=~was_found & (draw_p[LEFT_STALE] < params.drop_probability),  # that draw is for found values only
        gives_up=draw_p[STOP] < params.stop_probability,
    )


def team_order(shape: SimulatorShape, params: SimulatorParams, task: SimulatedTask, seed_w: Array) -> Array:
    """f32[K, M]: overlap * common order + (1 - overlap) * the team's own order + insight where a node is of use."""
    team_k = jnp.arange(shape.num_teams)

    def own(team: Array) -> Array:
        return uniforms(words(place_words(seed_w, TEAM_PLACES + team), shape.num_nodes))

    own_km = jax.vmap(own)(team_k)
    is_of_use_m = task.kind_m < DEAD_END
    mixed_km = params.overlap * task.common_order_m + (1.0 - params.overlap) * own_km
    return mixed_km + params.insight * is_of_use_m


def choose(scene: Scene, order_m: Array, done_bits: Array) -> Array:
    """i32[] the node to work on: of those that exist, are not done, and lie behind nothing undone, the first in order.

    Done is what the team knows or has given up.
    """
    task = scene.task
    node_m = jnp.arange(order_m.shape[0])
    is_done_m = ((done_bits >> node_m) & 1) == 1
    is_open_m = (task.before_m == NO_NODE) | (((done_bits >> jnp.maximum(task.before_m, 0)) & 1) == 1)
    candidate_m = (task.kind_m <= DEAD_END) & ~is_done_m & is_open_m
    score_m = once(jnp.where(candidate_m, order_m, -jnp.inf))  # once, or it may not equal its own maximum
    return jnp.min(jnp.where(score_m == jnp.max(score_m), node_m, node_m.shape[0] - 1)).astype(jnp.int32)


def step_duration(params: SimulatorParams, draw_p: Array) -> Array:
    """f32[] seconds of a step: lognormal, or the time of a stall."""
    seconds = jnp.exp(params.step_log_seconds + params.step_log_spread * ndtri(draw_p[SECONDS]))
    return jnp.where(draw_p[STALL] < params.stall_probability, params.stall_seconds, seconds)


def covers_needed(scene: Scene, bits: Array) -> Array:
    """bool[...]: these nodes hold every needed fact. A team cannot tell whether its values are right."""
    node_m = jnp.arange(scene.task.kind_m.shape[0])
    needed_bits = jnp.sum(jnp.where(scene.task.kind_m == NEEDED, 1 << node_m, 0))
    return (bits & needed_bits) == needed_bits
