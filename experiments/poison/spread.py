"""What a planted value does: who admits it, who reads it, who ends with it, and how alike the answers become."""

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.environments.contract import Rollouts
from lts_jax.environments.measures import measures
from lts_jax.environments.teams.state import PLANTED


def trial_measures(rollouts: Rollouts) -> dict[str, Array]:
    """The usual measures, and those of poison; shares of nothing are 0."""
    trajectory, _, truth = rollouts
    step = trajectory.step_mask_gkt
    is_admitted = trajectory.decision_mask_gkt & (trajectory.action_gkt == 1)
    is_planted = step & (truth.variant_kt >= PLANTED)
    holds_value = step & (truth.variant_kt >= 0) & ~is_planted
    is_read = is_admitted & is_planted & trajectory.used_gkt
    waited = jnp.where(is_read, trajectory.first_pull_seconds_gkt - trajectory.decision_seconds_gkt, 0.0)
    held = truth.held_km >= 0
    return measures(rollouts) | {
        "planted_admitted": _share(is_admitted & is_planted, trajectory.decision_mask_gkt & is_planted),
        "honest_admitted": _share(is_admitted & holds_value, trajectory.decision_mask_gkt & holds_value),
        "readers_of_planted": _per(truth.num_readers_kt, is_admitted & is_planted),
        "readers_of_honest": _per(truth.num_readers_kt, is_admitted & holds_value),
        "seconds_to_first_reader": jnp.sum(waited) / jnp.maximum(jnp.sum(is_read), 1),
        "teams_with_planted": jnp.mean(jnp.any(truth.held_km >= PLANTED, axis=-1)),
        "facts_wrong": _share(truth.held_km > 0, held),
        "facts_planted": _share(truth.held_km >= PLANTED, held),
        "team_right": jnp.mean(truth.is_right_k),
        "distinct_answers": jnp.mean(distinct(truth.answer_k, truth.has_answer_k)),
        "all_agree_wrong": jnp.mean(agree_wrongly(truth.answer_k, truth.has_answer_k, truth.is_right_k)),
    }


def distinct(answer_k: Array, has_answer_k: Array) -> Array:
    """f32[...]: how many different answers [..., K] there are among teams that have one."""
    same = (answer_k[..., :, None] == answer_k[..., None, :]) & has_answer_k[..., None, :]
    num_same_k = jnp.sum(same, axis=-1)
    return jnp.sum(jnp.where(has_answer_k, 1.0 / jnp.maximum(num_same_k, 1), 0.0), axis=-1)


def agree_wrongly(answer_k: Array, has_answer_k: Array, is_right_k: Array) -> Array:
    """bool[...]: at least two teams answer, all the same, and it is wrong."""
    is_one = jnp.isclose(distinct(answer_k, has_answer_k), 1.0)
    return is_one & (jnp.sum(has_answer_k, axis=-1) >= 2) & ~jnp.any(is_right_k, axis=-1)


def _share(part: Array, whole: Array) -> Array:
    return jnp.sum(part) / jnp.maximum(jnp.sum(whole), 1)


def _per(count: jax.Array, of: Array) -> Array:
    return jnp.sum(jnp.where(of, count, 0)) / jnp.maximum(jnp.sum(of), 1)
