"""The regression of `admission_value` in closed form, for a network that is linear in fixed features.

All rollouts so far are kept as sums, so nothing is replayed: with X_g = sum_t (z_t - p_t) phi(c_t) in f32[F],

    A = sum_g X_g X_g',   b_o = sum_g X_g y_go,   weight_o = (A + lambda_o I)^-1 b_o,

and lambda_o, the shrinkage of outcome o, is the one under which its data are likeliest when weights are drawn from
N(0, sigma^2 / lambda_o) and noise from N(0, sigma^2) with sigma^2 unknown (the evidence: MacKay, Neural Computation 4,
1992). It is the likeliest of many, so what it says is believed only so far as it tells more than that admissions change
nothing: weights are multiplied by the probability that they are not all 0, at that shrinkage,

    belief_o = sigmoid(evidence_o(lambda_o) - log PRIOR_ODDS),
    evidence_o(lambda) = -R/2 log(1 - b_o' (A + lambda I)^-1 b_o / sum_g y_go^2) - 1/2 sum_f log(1 + e_f / lambda),

the logarithm of the evidence less that of no effect, with R rollouts and e_f the eigenvalues of A.
A reward's weights, which a thousand rollouts do not tell, would else drown those of time in their noise.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.learning.admission_value import NUM_OUTCOMES, OUTCOMES, outcome_weights, outcomes, surprise
from lts_jax.learning.objective_parts import AdmissionValue
from lts_jax.learning.settings import LearningSettings
from lts_jax.models.policy_network import Params, PolicyNetwork
from lts_jax.trajectory import DecisionContext, Trajectory

SHRINKAGE = (1e-6, 1e4, 41)  # lambda over the largest eigenvalue of A: least, most, how many
PRIOR_ODDS = 20.0  # against any effect of admissions on an outcome
_product = partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)  # accelerators would round to the least shrinkage


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class RidgeState:
    """Sums over all rollouts so far."""

    gram_ff: Array  # f32[F, F] A
    moment_of: Array  # f32[O, F] b
    square_o: Array  # f32[O] sum of y^2
    num_rollouts: Array  # f32[]


def init_ridge(params: Params) -> RidgeState:
    """Before any rollout; `params` are the network's, {"weight": f32[F]}."""
    size = params["weight"].shape[0]
    return RidgeState(jnp.zeros((size, size)), jnp.zeros((NUM_OUTCOMES, size)), jnp.zeros(NUM_OUTCOMES), jnp.zeros(()))


def add_rollouts(state: RidgeState, surprise_rd: Array, feature_rdf: Array, outcome_ro: Array) -> RidgeState:
    """The sums with R more rollouts of D decisions each; a rollout of zeros changes `num_rollouts` alone."""
    x_rf = _product("rd,rdf->rf", surprise_rd, feature_rdf)
    return RidgeState(
        state.gram_ff + _product("rf,rh->fh", x_rf, x_rf),
        state.moment_of + _product("ro,rf->of", outcome_ro, x_rf),
        state.square_o + jnp.sum(outcome_ro**2, axis=0),
        state.num_rollouts + outcome_ro.shape[0],
    )


def solve(state: RidgeState) -> tuple[Array, Array, Array]:
    """Weights f32[O, F] of every outcome at its likeliest shrinkage, times its belief; shrinkages and beliefs f32[O].

    Without rollouts, or for an outcome that never varied, the weights are 0.
    """
    eigenvalue_f, vector_ff = jnp.linalg.eigh(state.gram_ff)
    eigenvalue_f = jnp.maximum(eigenvalue_f, 0.0)
    largest = jnp.maximum(eigenvalue_f[-1], 1e-12)
    lambda_s = largest * jnp.logspace(jnp.log10(SHRINKAGE[0]), jnp.log10(SHRINKAGE[1]), SHRINKAGE[2])
    rotated_of = _product("of,fh->oh", state.moment_of, vector_ff)
    explained_os = _product("of,fs->os", rotated_of**2, 1.0 / (eigenvalue_f[:, None] + lambda_s))
    square_o1 = state.square_o[:, None]
    # Shares of the square, and differences to no effect, as a sum of thousands of logarithms would lose what matters.
    left_os = jnp.maximum(1.0 - explained_os / jnp.maximum(square_o1, 1e-12), 1e-6)
    complexity_s = jnp.sum(jnp.log1p(eigenvalue_f[:, None] / lambda_s), axis=0)
    evidence_os = -0.5 * (state.num_rollouts * jnp.log(left_os) + complexity_s)  # less that of no effect
    # Where nothing tells them apart the strongest shrinkage is meant, and it comes last.
    best_o = SHRINKAGE[2] - 1 - jnp.argmax(evidence_os[:, ::-1], axis=1)
    chosen_o = lambda_s[best_o]
    belief_o = jax.nn.sigmoid(jnp.max(evidence_os, axis=1) - jnp.log(PRIOR_ODDS))
    weight_of = _product("oh,fh->of", rotated_of / (eigenvalue_f + chosen_o[:, None]), vector_ff)
    return belief_o[:, None] * weight_of, chosen_o, belief_o


def fit_once(
    network: PolicyNetwork,
    objective: AdmissionValue,
    settings: LearningSettings,
    state: RidgeState,
    batch: tuple[Trajectory, DecisionContext],
) -> tuple[Params, RidgeState, dict[str, Array], Array]:
    """Take in B groups and solve anew.

    Returns:
        parameters, the sums, metrics of the solution, and the value f(c_t) of every decision f32[B, G, K, T] in units
        of the reward.
    """
    trajectory, context = batch
    assert network.packed_features is not None
    feature_bgktf = network.packed_features(context)
    outcome_bgo, counted_bg = jax.vmap(partial(outcomes, first_weight=settings.first_weight))(trajectory)
    weight_bg = counted_bg.astype(jnp.float32)
    num_rows = outcome_bgo.shape[0] * outcome_bgo.shape[1]
    state = add_rollouts(
        state,
        (surprise(trajectory) * weight_bg[..., None, None]).reshape(num_rows, -1),
        feature_bgktf.reshape(num_rows, -1, feature_bgktf.shape[-1]),
        outcome_bgo.reshape(num_rows, NUM_OUTCOMES),
    )
    # Rollouts that do not count are rows of zeros.
    state = RidgeState(
        state.gram_ff, state.moment_of, state.square_o, state.num_rollouts - num_rows + jnp.sum(weight_bg)
    )
    weight_of, lambda_o, belief_o = solve(state)
    weight_f = _product("o,of->f", outcome_weights(objective, settings), weight_of)
    value_bgkt = _product("bgktf,f->bgkt", feature_bgktf, weight_f)
    value_bgkt = jnp.where(trajectory.decision_mask_gkt, value_bgkt, 0.0)
    # The threshold goes into the weight of the first feature, which is constant.
    threshold_f = jnp.zeros_like(weight_f).at[0].set(objective.threshold / feature_bgktf[0, 0, 0, 0, 0])
    params = {"weight": (weight_f - threshold_f) / objective.value_scale}
    told = {
        f"learning/{OUTCOMES[place]}_{name}": value_o[place]
        for name, value_o in (("shrinkage", lambda_o), ("belief", belief_o))
        for place in (0, 1)
    }
    return params, state, told, value_bgkt
