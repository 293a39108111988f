"""What the teams answer, which answer is taken, and what it scores."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.environments.once import once
from lts_jax.environments.randomness import place_words, uniforms, words
from lts_jax.environments.teams.state import RIGHT, Scene, State
from lts_jax.environments.teams.task import NEEDED
from lts_jax.environments.teams.working import TEAM_PLACES, covers_needed

_REASONING, _TASTE = 30, 31  # words of a team's place after those of its order; num_nodes is at most 30
_SLIP, _GAP = 0x51ED270B, 0x2545F491


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Answers:
    """How a rollout ended."""

    reward_agg: Array  # f32[]
    reward_first: Array  # f32[] 0 where no team came to its own end
    runtime: Array  # f32[]
    score_k: Array  # f32[K] of each team's answer; 0 without one
    is_right_k: Array  # bool[K]
    has_answer_k: Array  # bool[K]
    answer_k: Array  # i32[K] which answer: equal where two teams say the same; anything without one


def answers(scene: Scene, state: State) -> Answers:
    """Score every team, let the aggregator choose, and time the whole.

    A team is right if it has the right value of every needed fact and concludes rightly; else it scores
    `partial_credit` times its share of right facts. The aggregator takes the answer with the most votes, one a team;
    two wrong answers are the same if they rest on the same wrong values.
    """
    params, task, fork = scene.params, scene.task, scene.script.fork
    team_seed_w = scene.seed_w if fork is None else fork.seed_w
    num_teams, num_nodes = state.variant_km.shape
    team_k = jnp.arange(num_teams)
    node_m = jnp.arange(num_nodes)
    is_needed_m = task.kind_m == NEEDED
    is_known_km = ((state.known_bits_k[:, None] >> node_m) & 1) == 1
    is_right_km = is_needed_m & is_known_km & (state.variant_km == RIGHT)
    share_k = jnp.sum(is_right_km, axis=1) / jnp.sum(is_needed_m)
    draw_kp = jax.vmap(lambda team: uniforms(words(place_words(team_seed_w, TEAM_PLACES + team), 32)))(team_k)
    slips_k = draw_kp[:, _REASONING] >= params.reasoning_probability
    is_complete_k = covers_needed(scene, state.known_bits_k)
    is_stopped_k = jnp.isinf(state.end_seconds_k) & (params.first_answer_ends > 0.0)
    has_answer_k = ~state.has_died_k & ~is_stopped_k
    is_right_k = has_answer_k & is_complete_k & (share_k == 1.0) & ~slips_k
    score_k = has_answer_k * jnp.where(is_right_k, 1.0, params.partial_credit * share_k)
    # One number per answer: equal for teams that rest on the same values and reason rightly, else a team's own.
    of_values_k = jnp.sum(jnp.where(is_needed_m & is_known_km, state.variant_km * (2 * node_m + 1), 0), axis=1)
    own_k = jnp.where(slips_k, _SLIP, 0) + jnp.where(is_complete_k, 0, _GAP)
    answer_k = of_values_k + own_k * (team_k + 1)
    votes_k = jnp.sum((answer_k[:, None] == answer_k) & has_answer_k, axis=1)
    liking_k = votes_k + params.aggregator_insight * is_right_k + 0.5 * draw_kp[:, _TASTE]
    chosen_k = _one_hot_max(jnp.where(has_answer_k, liking_k, -jnp.inf))
    first_k = _one_hot_max(-state.finish_seconds_k)
    has_first = jnp.any(jnp.isfinite(state.finish_seconds_k))
    reward_first = jnp.where(has_first, jnp.sum(jnp.where(first_k, score_k, 0.0)), 0.0)
    is_early = params.first_answer_ends > 0.0
    first_seconds = jnp.min(
        jnp.where(jnp.isfinite(state.finish_seconds_k), state.finish_seconds_k, params.deadline_seconds)
    )
    last_seconds = jnp.max(jnp.where(jnp.isfinite(state.end_seconds_k), state.end_seconds_k, 0.0))
    return Answers(
        reward_agg=jnp.where(is_early & has_first, reward_first, jnp.sum(jnp.where(chosen_k, score_k, 0.0))),
        reward_first=reward_first,
        runtime=jnp.where(is_early & has_first, first_seconds, last_seconds + params.aggregate_seconds),
        score_k=score_k,
        is_right_k=is_right_k,
        has_answer_k=has_answer_k,
        answer_k=answer_k,
    )


def _one_hot_max(value_k: Array) -> Array:
    """bool[K], true at the first of the largest values."""
    team_k, value_k = jnp.arange(value_k.shape[0]), once(value_k)
    return team_k == jnp.min(jnp.where(value_k == jnp.max(value_k), team_k, value_k.shape[0]))
