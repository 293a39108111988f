"""The objective term by term, worked by hand, and its gradients to the derived formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.learning.losses import (
    action_log_probs,
    entropy,
    over_rollouts,
    peer_distillation_loss,
    policy_gradient_loss,
    sparsity_loss,
    target_log_prob,
)


def decision_loss(d: float, action: int, credit: float, sparsity_weight: float, temperature: float) -> jax.Array:
    """One decision's loss as a function of d = logit of ADMIT - logit of REJECT."""
    log_probs = action_log_probs(jnp.stack([jnp.zeros(()), jnp.asarray(d)]), temperature=temperature)
    return policy_gradient_loss(log_probs, jnp.asarray(action), jnp.asarray(credit)) + (
        sparsity_weight * sparsity_loss(log_probs)
    )


def test_gradients_of_the_published_toy_decision() -> None:
    # p = .7, advantage 1.25, beta .5, lambda .05. Admitted and used: -1.75 * .3 + .05 * .21 = -.5145.
    # Rejected: 1.25 * .7 + .05 * .21 = .8855.
    d = float(np.log(0.7 / 0.3))
    assert float(jax.grad(decision_loss)(d, 1, 1.75, 0.05, 1.0)) == pytest.approx(-0.5145, abs=1e-6)
    assert float(jax.grad(decision_loss)(d, 0, 1.25, 0.05, 1.0)) == pytest.approx(0.8855, abs=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 1.2])
def test_gradients_equal_the_derivation(temperature: float) -> None:
    rng = np.random.default_rng(0)
    slope = jax.jit(jax.grad(decision_loss))
    for _ in range(30):
        d, credit, weight = float(rng.normal(0, 2)), float(rng.normal()), float(rng.random())
        p = 1.0 / (1.0 + np.exp(-d / temperature))
        admitted = (-credit * (1 - p) + weight * p * (1 - p)) / temperature
        rejected = (credit * p + weight * p * (1 - p)) / temperature
        assert float(slope(d, 1, credit, weight, temperature)) == pytest.approx(admitted, abs=1e-6)
        assert float(slope(d, 0, credit, weight, temperature)) == pytest.approx(rejected, abs=1e-6)


def test_expected_gradient_is_the_threshold_law() -> None:
    # Over actions drawn from the policy: p (1 - p) (E[c | NO] - E[c | YES] + lambda), at temperature 1.
    p, admitted, rejected, weight = 0.3, 0.8, 0.2, 0.25
    d = float(np.log(p / (1 - p)))
    slope = jax.grad(decision_loss)
    mean = p * slope(d, 1, admitted, weight, 1.0) + (1 - p) * slope(d, 0, rejected, weight, 1.0)
    assert float(mean) == pytest.approx(p * (1 - p) * (rejected - admitted + weight), abs=1e-6)


def test_terms_of_a_coin() -> None:
    log_probs = action_log_probs(jnp.zeros((3, 2)), temperature=1.2)
    np.testing.assert_allclose(sparsity_loss(log_probs), 0.5, atol=1e-6)
    np.testing.assert_allclose(entropy(log_probs), 0.693147, atol=1e-6)
    loss = policy_gradient_loss(log_probs, jnp.array([0, 1, 1]), jnp.array([1.0, 2.0, -1.0]))
    np.testing.assert_allclose(loss, [0.693147, 1.386294, -0.693147], atol=1e-6)


def test_credit_is_a_constant() -> None:
    log_probs = action_log_probs(jnp.zeros(2), temperature=1.0)
    assert float(jax.grad(lambda credit: policy_gradient_loss(log_probs, jnp.asarray(1), credit))(2.0)) == 0.0


@pytest.mark.parametrize(("reduction", "expected"), [("sum", (6.0 + 4.0 + 0.0) / 3), ("mean", (2.0 + 4.0 + 0.0) / 3)])
def test_reduction_is_over_decisions_then_over_counted_rollouts(reduction: str, expected: float) -> None:
    # Rollouts: three decisions (1, 2, 3), one (4), none, and one that does not count.
    value = jnp.array([[[1.0, 2.0, 3.0]], [[4.0, 9.0, 9.0]], [[9.0, 9.0, 9.0]], [[9.0, 9.0, 9.0]]])
    counted = jnp.array([[[1, 1, 1]], [[1, 0, 0]], [[0, 0, 0]], [[0, 0, 0]]], bool)
    rollouts = jnp.array([True, True, True, False])
    loss = over_rollouts(value, counted, rollouts.sum(), step_reduction=reduction)  # type: ignore[arg-type]
    assert float(loss) == pytest.approx(expected)


def test_nothing_that_counts_is_a_loss_of_zero() -> None:
    nothing = jnp.zeros((2, 1, 3), bool)
    assert float(over_rollouts(jnp.full((2, 1, 3), jnp.nan), nothing, jnp.int32(0), step_reduction="sum")) == 0.0


LEFT, RIGHT = jnp.log(jnp.array([0.7, 0.2, 0.1])), jnp.log(jnp.array([0.4, 0.4, 0.2]))


def distilled(logits: jax.Array, teachers: jax.Array, alpha: float = 1.0, tau: float = 1.0) -> jax.Array:
    weights = jnp.full(len(teachers), 1.0 / len(teachers))
    return peer_distillation_loss(logits, teachers, distillation_weight=alpha, temperature=tau, teacher_weights=weights)


def test_distillation_is_the_divergence_from_the_teacher() -> None:
    # .7 ln(.7/.4) + .2 ln(.2/.4) + .1 ln(.1/.2) = .1838; the other way round .1920.
    assert float(distilled(RIGHT, LEFT[None])) == pytest.approx(0.1838, abs=5e-5)
    assert float(distilled(LEFT, RIGHT[None])) == pytest.approx(0.1920, abs=5e-5)
    # Two teachers of half the weight each, one of them the learner itself; alpha 3.
    assert float(distilled(RIGHT, jnp.stack([LEFT, RIGHT]), 3.0)) == pytest.approx(3 * 0.1838 / 2, abs=2e-4)
    # Temperature 2 of doubled logits is temperature 1.
    assert float(distilled(2 * RIGHT, 2 * LEFT[None], tau=2.0)) == pytest.approx(0.1838, abs=5e-5)
    # Leading axes: one loss per decision.
    pair = distilled(jnp.stack([LEFT, RIGHT]), jnp.stack([RIGHT, RIGHT])[None])
    np.testing.assert_allclose(pair, [0.1920, 0.0], atol=5e-5)


def test_equal_policies_do_not_pull_at_each_other_and_no_weight_is_no_loss() -> None:
    loss, slope = jax.value_and_grad(distilled)(RIGHT + 5.0, jnp.stack([RIGHT, RIGHT - 2.0]))
    assert float(loss) == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(slope, 0.0, atol=1e-6)
    loss, slope = jax.value_and_grad(distilled)(RIGHT, LEFT[None], 0.0)
    assert float(loss) == 0.0
    np.testing.assert_array_equal(slope, np.zeros(3))


def test_distillation_moves_the_learner_towards_the_teacher_and_not_the_teacher() -> None:
    # Gradient of the divergence: softmax of the learner less that of the teacher, over the temperature.
    slope, teacher_slope = jax.grad(distilled, argnums=(0, 1))(RIGHT, LEFT[None], 1.0, 1.0)
    np.testing.assert_allclose(slope, [-0.3, 0.2, 0.1], atol=1e-6)
    np.testing.assert_array_equal(teacher_slope, np.zeros((1, 3)))


def test_a_masked_action_with_a_target_by_hand() -> None:
    """Four actions of which two are legal, .25 and .75; the second points at one of three entries, one of them dead."""
    legal = jnp.array([True, False, True, False])
    log_probs = action_log_probs(jnp.array([0.0, 9.0, float(np.log(3.0)), 5.0]), temperature=1.0, legal=legal)
    np.testing.assert_allclose(jnp.exp(log_probs), [0.25, 0.0, 0.75, 0.0], atol=1e-6)
    np.testing.assert_allclose(entropy(log_probs), 0.562335, atol=1e-6)
    alive = jnp.array([True, False, True])
    logits = jnp.array([0.0, 50.0, float(np.log(4.0))])  # .2 and .8 of the living
    pointed = target_log_prob(logits, jnp.asarray(2), alive, temperature=1.0)
    np.testing.assert_allclose(log_probs[2] + pointed, np.log(0.75 * 0.8), atol=1e-6)
    assert float(target_log_prob(logits, jnp.asarray(-1), alive, temperature=1.0)) == 0.0
    slope = jax.grad(lambda z: target_log_prob(z, jnp.asarray(2), alive, temperature=1.0))(logits)
    np.testing.assert_allclose(slope, [-0.2, 0.0, 0.2], atol=1e-6)
    unmasked = jax.grad(lambda z: entropy(action_log_probs(z, temperature=1.0, legal=legal)))(jnp.zeros(4))
    assert bool(jnp.isfinite(unmasked).all())
