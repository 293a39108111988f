"""Costs in the return: by hand, in replays as in the rollouts themselves, and nothing at all at weight 0."""

import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.credit.replays import difference_rewards, local_group, shapley
from lts_jax.credit.schemes import SCHEMES, bind, scheme
from lts_jax.errors import UserError
from lts_jax.lab.settings import LabSettings, at_point
from lts_jax.learning.costs import over_tasks, share_of_mean, with_costs
from lts_jax.learning.objective_parts import POLICY_GRADIENT
from lts_jax.learning.settings import LearningSettings
from lts_jax.trajectory import Coalitions, FlippedRollouts, RegroupedRollouts, Trajectory

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
from rollouts_by_chance import trajectory_of
from test_credit_laws import group_of

FREE = {"runtime": 0.0, "token": 0.0, "dollar": 0.0}


def two_rollouts() -> Trajectory:
    """One group: rewards 1 and 0 after 40 and 60 s; one team, two decisions, the first of each admitted."""
    action = np.array([[[[1, 0]], [[1, 0]]]])
    batch = trajectory_of(action, np.full(action.shape, 0.5), np.array([[1.0, 0.0]]), np.array([[40.0, 60.0]]))
    return jax.tree.map(lambda leaf: leaf[0], batch)


def test_shares_by_hand() -> None:
    """The third broke off: no part of the mean, no share. Where nothing counts, or all cost nothing, there is none."""
    counted = jnp.array([True, True, False])
    np.testing.assert_allclose(share_of_mean(jnp.array([40.0, 60.0, jnp.nan]), counted), [0.8, 1.2, 0.0])
    np.testing.assert_array_equal(share_of_mean(jnp.array([40.0, 60.0, 1.0]), ~counted & counted), np.zeros(3))
    np.testing.assert_array_equal(share_of_mean(jnp.zeros(3), counted), np.zeros(3))


def test_rewards_by_hand() -> None:
    group = replace(two_rollouts(), tokens_g=jnp.array([300.0, 100.0]), usd_g=jnp.array([0.0, 2.0]))
    charged = with_costs(group, {"runtime": 0.5, "token": 0.1, "dollar": 0.01})
    # 1 - .5 * .8 - .1 * 1.5 - .01 * 0 and 0 - .5 * 1.2 - .1 * .5 - .01 * 2
    np.testing.assert_allclose(charged.reward_agg_g, [0.45, -0.67], rtol=1e-6)
    np.testing.assert_array_equal(charged.reward_first_g, group.reward_first_g)
    np.testing.assert_array_equal(charged.runtime_g, group.runtime_g)
    both = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), group)
    again = jax.jit(lambda weight: over_tasks(both, {"runtime": weight, "token": 0.1, "dollar": 0.01}))(0.5)
    np.testing.assert_allclose(again.reward_agg_g, [[0.45, -0.67]] * 2, rtol=1e-6)


def test_the_mean_is_over_what_the_return_counts() -> None:
    """Without R_first the second does not count, unless nobody asks for R_first."""
    group = replace(two_rollouts(), reward_first_g=jnp.array([1.0, jnp.nan]))
    np.testing.assert_allclose(with_costs(group, {"runtime": 0.5}).reward_agg_g, [0.5, 0.0])
    np.testing.assert_allclose(with_costs(group, {"runtime": 0.5}, first_weight=0.0).reward_agg_g, [0.6, -0.6])


def test_replays_are_charged_against_the_mean_of_the_rollouts_themselves() -> None:
    """Mean 50 s at weight .5: a second costs .01."""
    nothing = jnp.full((2, 1, 2), jnp.nan)
    flipped = FlippedRollouts(*(nothing.at[0, 0, 0].set(value) for value in (1.0, 0.0, 90.0)))
    group = replace(two_rollouts(), flipped=flipped)
    charged = with_costs(group, {"runtime": 0.5})
    assert float(charged.flipped.reward_agg_gkt[0, 0, 0]) == pytest.approx(0.1)  # 1 - .01 * 90
    # .6 - .1 for the one that was replayed; it is what the scheme's own weight of runtime gives, too.
    credit = difference_rewards(charged, first_weight=0.0)
    np.testing.assert_allclose(credit, [[[0.5, 0.0]], [[0.0, 0.0]]], atol=1e-6)
    own = difference_rewards(group, first_weight=0.0, runtime_weight=0.5)
    np.testing.assert_allclose(own, credit, atol=1e-6)

    # One permutation of one block: an empty bank takes 80 and 60 s.
    gpc = lambda *rows: jnp.array(rows, jnp.float32)[:, None]  # noqa: E731
    block, reward, runtime = jnp.zeros((2, 1, 1, 2), jnp.int32), gpc([1, 1], [0, 0]), gpc([80, 40], [60, 60])
    charged = with_costs(replace(group, coalitions=Coalitions(block, reward, reward, runtime)), {"runtime": 0.5})
    np.testing.assert_allclose(charged.coalitions.reward_agg_gpc[:, 0], [[0.2, 0.6], [-0.6, -0.6]], atol=1e-6)
    np.testing.assert_allclose(charged.coalitions.reward_agg_gpc[:, 0, 1], charged.reward_agg_g, atol=1e-6)
    np.testing.assert_allclose(shapley(charged, first_weight=0.0)[:, 0, 0], [0.4, 0.0], atol=1e-6)

    # Two re-rollouts of the first decision, both right, after 20 and 50 s.
    again = jnp.full((2, 2, 1, 2), jnp.nan)
    reward = again.at[0, :, 0, 0].set(1.0)
    regrouped = RegroupedRollouts(reward, reward, again.at[0, :, 0, 0].set(jnp.array([20.0, 50.0])))
    charged = with_costs(replace(group, regrouped=regrouped), {"runtime": 0.5})
    np.testing.assert_allclose(charged.regrouped.reward_agg_gmkt[0, :, 0, 0], [0.8, 0.5], atol=1e-6)
    # Both rewards are right, so 1 more: 1.6 less the mean of 1.6, 1.8 and 1.5; free of charge all three are 2.
    np.testing.assert_allclose(local_group(charged)[0, 0, 0], 1.6 - 4.9 / 3, atol=1e-6)
    assert float(local_group(replace(group, regrouped=regrouped))[0, 0, 0]) == 0.0


@pytest.mark.parametrize("name", list(SCHEMES))
def test_at_weight_zero_every_scheme_gives_the_same_bits(name: str) -> None:
    group = group_of(1)
    timed = replace(
        group,
        coalitions=replace(group.coalitions, runtime_gpc=np.full_like(group.coalitions.reward_agg_gpc, 90.0)),
        regrouped=replace(group.regrouped, runtime_gmkt=np.full_like(group.regrouped.reward_agg_gmkt, 90.0)),
    )
    credit = bind(scheme(name))
    expected = np.asarray(credit(group))
    assert with_costs(group, FREE) is group
    np.testing.assert_array_equal(credit(with_costs(timed, {"runtime": jnp.float32(0.0)})), expected)


def test_the_paper_s_objective_charges_nothing_unless_told() -> None:
    assert LearningSettings().cost_weights(POLICY_GRADIENT.runtime_weight) == FREE
    group = two_rollouts()
    assert over_tasks(group, LearningSettings().cost_weights(POLICY_GRADIENT.runtime_weight)) is group
    assert LearningSettings(runtime_weight=0.3).cost_weights(0.0)["runtime"] == 0.3
    assert LearningSettings().cost_weights(0.2)["runtime"] == 0.2
    assert LearningSettings(runtime_weight=0.0).cost_weights(0.2)["runtime"] == 0.0


def test_what_cannot_be_charged_is_refused_in_one_line() -> None:
    group = group_of(1)
    for cost, message in (
        ("token", "learning.token_weight: the simulator counts no tokens; use lts train, or set it to 0"),
        ("dollar", "learning.dollar_weight: the simulator counts no dollars; use lts train, or set it to 0"),
        ("runtime", "learning.runtime_weight: these coalitions rollouts were not timed; set it to 0"),
    ):
        with pytest.raises(UserError) as raised:
            with_costs(group, FREE | {cost: 0.1})
        assert str(raised.value) == message
    counting = replace(group, tokens_g=jnp.ones(5), usd_g=jnp.ones(5))
    with pytest.raises(UserError, match=r"^learning.token_weight, learning.dollar_weight: replays count neither"):
        with_costs(counting, FREE | {"token": 0.1})
    with pytest.raises(UserError, match=r"^learning.token_weight: expected at least 0, got -1"):
        LearningSettings(token_weight=-1.0)


def test_the_laboratory_refuses_what_it_cannot_count_before_anything_runs() -> None:
    with pytest.raises(UserError, match=r"^learning.token_weight: the simulator counts no tokens"):
        LabSettings(learning=LearningSettings(token_weight=0.1))
    with pytest.raises(UserError, match=r"^learning.dollar_weight: the simulator counts no dollars"):
        at_point(LabSettings(), {"learning.dollar_weight": 0.1})
    assert at_point(LabSettings(), {"learning.runtime_weight": 0.1}).learning.runtime_weight == 0.1
