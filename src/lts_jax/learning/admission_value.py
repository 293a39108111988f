"""What an admission adds to the return, by regression on decisions that were taken by chance.

While training, a step is admitted with a known probability p_t, never nearer to 0 or 1 than `min_probability`. With z_t
the action, c_t what the controller saw, and y_g the return of rollout g less the mean of its group's others,

    minimise over f   mean_g (y_g - sum_t (z_t - p_t) f(c_t))^2.

Since E[z_t - p_t | everything before] = 0, terms of different decisions are uncorrelated with each other and with all
that was settled before them, so the minimiser is the projection of the effect of an admission,

    Delta_t = E[y | z_t = 1, past] - E[y | z_t = 0, past]      (later decisions by the same policy),

weighted by p_t (1 - p_t). This is Robinson's residualisation (Econometrica 56, 1988), the R-learner of Nie and Wager
(arXiv 1712.04912), summed over the decisions of a rollout. A constant added to all returns of a task changes nothing;
old rollouts stay valid, whatever policy made them, because p_t is stored.

Outcomes are kept apart (reward, seconds, tokens, dollars): each has its own noise, so the closed form
(`learning.ridge`) shrinks each by what its own data say, and believes it no further than they tell more than no effect.
A reward that 800 rollouts cannot tell then adds next to nothing, instead of drowning time.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.credit.contract import Number
from lts_jax.credit.returns import episode_return
from lts_jax.errors import UserError
from lts_jax.learning.costs import COSTS, charged_costs, cost_of, share_of_mean
from lts_jax.learning.objective_parts import AdmissionValue
from lts_jax.learning.settings import LearningSettings
from lts_jax.models.policy_network import Params, PolicyNetwork, need_lives
from lts_jax.trajectory import ADMIT, REJECT, DecisionContext, Trajectory

OUTCOMES = ("reward", *COSTS)
NUM_OUTCOMES = len(OUTCOMES)


def outcome_weights(objective: AdmissionValue, settings: LearningSettings) -> Array:
    """f32[O] what a unit of each outcome is worth: the reward, and costs as shares of the group's mean, negative."""
    costs = [-weight for weight in settings.cost_weights(objective.runtime_weight).values()]
    return jnp.stack([jnp.asarray(value, jnp.float32) for value in (objective.score_weight, *costs)])


def outcomes(trajectory: Trajectory, *, first_weight: Number) -> tuple[Array, Array]:
    """What a group's rollouts came to, each less the mean of the others.

    The reward is (R_agg + first_weight R_first) / (1 + first_weight), on the scale of the score.

    Returns:
        f32[G, O], 0 where it does not count or a cost is not known; bool[G], rollouts that count: those of a group with
        at least two whose return is a number.
    """
    return_g, counted_g = episode_return(trajectory, first_weight=first_weight)
    known = {"runtime": True, "token": trajectory.tokens_g is not None, "dollar": trajectory.usd_g is not None}
    costs = [
        share_of_mean(cost_of(trajectory, cost), counted_g) if known[cost] else jnp.zeros_like(return_g)
        for cost in COSTS
    ]
    value_go = jnp.stack([return_g / (1.0 + first_weight), *costs], axis=-1)
    value_go = jnp.where(counted_g[:, None], value_go, 0.0)
    num_others = jnp.sum(counted_g) - 1
    others_go = (jnp.sum(value_go, axis=0) - value_go) / jnp.maximum(num_others, 1)
    counted_g = counted_g & (num_others > 0)
    return jnp.where(counted_g[:, None], value_go - others_go, 0.0), counted_g


def surprise(trajectory: Trajectory) -> Array:
    """z_t - p_t: f32[..., K, T], 1 less the probability after an admission, minus it after a rejection; 0 elsewhere.

    A decision that was certain has none, as all greedy ones of text teams.

    Raises:
        UserError: decisions that also edit: z is between two actions.
    """
    if trajectory.target_gkt is not None:
        raise UserError(
            "admission_value: expected decisions that admit or reject, got some that edit; use a credit scheme"
        )
    taken = jnp.exp(trajectory.behavior_log_prob_gkt)
    residual = jnp.where(trajectory.action_gkt == ADMIT, 1.0 - taken, taken - 1.0)
    return jnp.where(trajectory.decision_mask_gkt, residual, 0.0)


def value_loss(
    network: PolicyNetwork,
    objective: AdmissionValue,
    settings: LearningSettings,
    params: Params,
    batch: tuple[Trajectory, DecisionContext],
    frozen_arrays: Params = None,
) -> tuple[Array, dict[str, Array]]:
    """mean_g (w . y_g - sum_t (z_t - p_t) f(c_t))^2 / value_scale^2 of B groups, and its parts as metrics.

    f = value_scale (logit of ADMIT - logit of REJECT) + threshold, w = `outcome_weights`.

    Raises:
        UserError: a weight for a cost that this trajectory does not know, or entries that ended, of which the network
            does not know.
    """
    trajectory, context = batch
    if context.died_gn is not None:
        need_lives(network)
    charged_costs(trajectory, settings.cost_weights(objective.runtime_weight))
    logits = network.packed_logits(network.join(params, frozen_arrays), context)
    log_odds = logits[..., ADMIT] - logits[..., REJECT]
    outcome_bgo, counted_bg = jax.vmap(partial(outcomes, first_weight=settings.first_weight))(trajectory)
    target_bg = outcome_bgo @ outcome_weights(objective, settings)
    value_bgkt = log_odds + objective.threshold / objective.value_scale
    fitted_bg = jnp.sum(surprise(trajectory) * value_bgkt, axis=(-2, -1))
    error_bg = jnp.where(counted_bg, target_bg / objective.value_scale - fitted_bg, 0.0)
    loss = jnp.sum(error_bg**2) / jnp.maximum(jnp.sum(counted_bg), 1)
    return loss, jax.lax.stop_gradient(value_metrics(trajectory, counted_bg, log_odds, loss, settings.temperature))


def value_metrics(
    trajectory: Trajectory, counted_bg: Array, log_odds_bgkt: Array, loss: Array, temperature: Number
) -> dict[str, Array]:
    """The loss, and how often a greedy controller, or one that samples, would admit what was decided here."""
    where = trajectory.decision_mask_gkt & counted_bg[..., None, None]
    number = jnp.maximum(jnp.sum(where), 1)
    return {
        "learning/loss": loss,
        "learning/admits_greedily": jnp.sum(where & (log_odds_bgkt > 0.0)) / number,
        "learning/admit_probability": jnp.sum(jnp.where(where, jax.nn.sigmoid(log_odds_bgkt / temperature), 0.0))
        / number,
    }
