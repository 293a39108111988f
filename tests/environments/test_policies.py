"""How a logit becomes an action: by hand, and with a smallest probability of either action."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.environments.contract import Acting
from lts_jax.environments.policies import choose_action, constant_logit


@pytest.mark.parametrize(
    ("probability", "least", "acted"),
    [(0.05, 0.2, 0.2), (0.3, 0.2, 0.3), (0.95, 0.2, 0.8), (0.05, 0.5, 0.5), (0.05, 0.0, 0.05), (0.0, 0.1, 0.1)],
)
def test_the_stored_probability_is_the_one_acted_with(probability: float, least: float, acted: float) -> None:
    logit, acting = constant_logit(probability), Acting(1.0, False, least)
    draws = jnp.array([0.5 * acted, acted - 1e-4, acted + 1e-4, 0.5 + 0.5 * acted])
    action, log_prob = jax.vmap(choose_action, in_axes=(None, 0, None))(logit, draws, acting)
    assert action.tolist() == [1, 1, 0, 0]
    np.testing.assert_allclose(log_prob, np.log([acted, acted, 1.0 - acted, 1.0 - acted]), rtol=1e-5)


def test_without_a_smallest_probability_no_bit_changes_and_it_may_be_traced() -> None:
    logit = jnp.array([-90.0, -0.3, 0.0, 2.0, 90.0])
    free, expected = Acting(1.0, False), jax.nn.log_sigmoid(logit)
    of_all = jax.vmap(choose_action, in_axes=(0, None, None))
    action, log_prob = of_all(logit, jnp.float32(0.4), free)
    assert action.tolist() == [0, 1, 1, 1, 1]  # sigmoid(-.3) = .426
    np.testing.assert_array_equal(log_prob, jnp.where(action == 1, expected, jax.nn.log_sigmoid(-logit)))
    traced = jax.jit(lambda least: of_all(logit, jnp.float32(0.9), Acting(1.0, False, least))[1])
    np.testing.assert_allclose(np.asarray(traced(0.25))[[0, 4]], np.log([0.75, 0.25]), rtol=1e-5)  # both rejected


def test_the_greedy_one_does_not_try() -> None:
    action, _ = jax.vmap(choose_action, in_axes=(0, None, None))(
        jnp.array([-0.1, 0.1]), jnp.float32(0.5), Acting(1.0, True, 0.5)
    )
    assert action.tolist() == [0, 1]


def test_what_a_script_prescribes_keeps_the_probability_that_it_had() -> None:
    forced, log_prob = choose_action(constant_logit(0.05), jnp.float32(0.9), Acting(1.0, False, 0.2), 1)
    assert int(forced) == 1 and float(log_prob) == pytest.approx(math.log(0.2), rel=1e-5)
