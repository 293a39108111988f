"""A scheme that breaks its contract is refused by name, and what a scheme needs is found out."""

import re
from collections.abc import Callable

import jax.numpy as jnp
import pytest
from jax import Array

from lts_jax.credit.check import check_credit, needs
from lts_jax.credit.contract import per_decision
from lts_jax.credit.reinforce import reinforce
from lts_jax.credit.returns import episode_return
from lts_jax.credit.schemes import SCHEMES, add
from lts_jax.errors import UserError
from lts_jax.trajectory import Trajectory


@pytest.mark.parametrize("name", list(SCHEMES))
def test_every_scheme_passes(name: str) -> None:
    check_credit(name, SCHEMES[name])


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("gae", {"value_gkt"}),
        ("counterfactual", {"flipped"}),
        ("difference_rewards", {"flipped"}),
        ("shapley", {"coalitions"}),
        ("local_group", {"regrouped"}),
        ("usage_aware", set()),
        ("comam", set()),
    ],
)
def test_what_a_scheme_needs_is_found_out(name: str, fields: set[str]) -> None:
    assert needs(SCHEMES[name]) == fields


def one_per_rollout(trajectory: Trajectory) -> Array:
    return episode_return(trajectory)[0]


def one_team(trajectory: Trajectory) -> Array:
    return reinforce(trajectory)[:, :1]


def integers(trajectory: Trajectory) -> Array:
    return trajectory.decision_mask_gkt.astype(jnp.int32)


def missing_reward(trajectory: Trajectory) -> Array:
    return jnp.where(trajectory.decision_mask_gkt, trajectory.reward_agg_g[:, None, None], 0.0)


def unguarded_deviation(trajectory: Trajectory) -> Array:
    """Not a number only where all returns are equal."""
    return_g, counted_g = episode_return(trajectory)
    mean = jnp.sum(return_g) / jnp.maximum(jnp.sum(counted_g), 1)
    spread = jnp.sqrt(jnp.sum(jnp.where(counted_g, return_g - mean, 0.0) ** 2))
    return per_decision((return_g - mean) / spread, trajectory, counted_g)


def on_padding(trajectory: Trajectory) -> Array:
    return_g, counted_g = episode_return(trajectory)
    return jnp.broadcast_to(jnp.where(counted_g, return_g, 0.0)[:, None, None], trajectory.action_gkt.shape)


def on_undecided(trajectory: Trajectory) -> Array:
    return_g, counted_g = episode_return(trajectory)
    return jnp.where(trajectory.step_mask_gkt & counted_g[:, None, None], return_g[:, None, None], 0.0)


def to_failed_rollouts(trajectory: Trajectory) -> Array:
    return jnp.where(trajectory.decision_mask_gkt, 1.0, 0.0)


def branches(trajectory: Trajectory) -> Array:
    return reinforce(trajectory) if trajectory.reward_agg_g[0] > 0 else jnp.zeros(trajectory.action_gkt.shape)


def broken(trajectory: Trajectory) -> Array:
    raise KeyError("no such thing\nand more")


def nothing(trajectory: Trajectory) -> None:
    return None


@pytest.mark.parametrize(
    ("credit", "complaint"),
    [
        (one_per_rollout, "expected shape [G, K, T] = (4, 3, 4), got (4,)"),
        (one_team, "expected shape [G, K, T] = (4, 3, 4), got (4, 1, 4)"),
        (integers, "expected float32, got int32"),
        (missing_reward, "expected numbers, got nan at (2, 0, 0) of an ordinary group"),
        (unguarded_deviation, "expected numbers, got nan at (0, 0, 0) of a group of one"),
        (on_padding, "gave credit where no decision was taken, at (0, 0, 3) of an ordinary group"),
        (on_undecided, "gave credit where no decision was taken, at (0, 2, 1) of an ordinary group"),
        (to_failed_rollouts, "gave credit to a rollout that does not count, at (3, 0, 0) of an ordinary group"),
        (branches, "raised TracerBoolConversionError: "),
        (broken, "raised KeyError: 'no such thing"),
        (nothing, "expected an array, got NoneType"),
    ],
)
def test_what_breaks_the_contract_is_refused_by_name(credit: Callable, complaint: str) -> None:
    with pytest.raises(UserError, match=re.escape(f"credit scheme mine: {complaint}")) as refused:
        check_credit("mine", credit)
    assert "\n" not in str(refused.value)


def test_the_check_takes_the_number_of_teams() -> None:
    def for_two(trajectory: Trajectory) -> Array:
        return reinforce(trajectory) * jnp.arange(2.0)[:, None]

    check_credit("for_two", for_two, num_teams=2)
    with pytest.raises(UserError, match="credit scheme for_two: raised "):
        check_credit("for_two", for_two, num_teams=3)


def test_needs_of_sums_and_of_schemes_that_do_not_say() -> None:
    def quick(trajectory: Trajectory) -> Array:
        return jnp.where(trajectory.decision_mask_gkt, trajectory.value_gkt * 2, 0.0)

    assert needs(quick) == {"value_gkt"}
    assert needs(add(SCHEMES["gae"], SCHEMES["shapley"])) == {"value_gkt", "coalitions"}
