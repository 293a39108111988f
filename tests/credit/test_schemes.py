"""Schemes by name, and their sums."""

import ast
import inspect
import textwrap
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.credit.check import check_credit
from lts_jax.credit.group_relative import group_relative
from lts_jax.credit.schemes import SCHEMES, add, bind, numbers_of, scheme
from lts_jax.credit.usage import usage_aware, usage_bonus
from lts_jax.errors import UserError
from lts_jax.trajectory import Trajectory


def group() -> Trajectory:
    shape = (2, 1, 2)
    return Trajectory(
        reward_agg_g=np.array([1.0, 0.0], np.float32),
        reward_first_g=np.array([1.0, 0.5], np.float32),
        runtime_g=np.ones(2, np.float32),
        finish_seconds_gk=np.ones((2, 1), np.float32),
        action_gkt=np.ones(shape, np.int32),
        behavior_log_prob_gkt=np.zeros(shape, np.float32),
        decision_seconds_gkt=np.zeros(shape, np.float32),
        used_gkt=np.array([[[True, False]], [[True, True]]]),
        num_other_readers_gkt=np.ones(shape, np.int32),
        first_pull_seconds_gkt=np.ones(shape, np.float32),
        step_seconds_gkt=np.ones(shape, np.float32),
        step_mask_gkt=np.ones(shape, bool),
        decision_mask_gkt=np.ones(shape, bool),
        rollout_mask_g=np.ones(2, bool),
    )


def test_the_schemes_of_the_comparison_are_there() -> None:
    assert {"reinforce", "group_relative", "leave_one_out", "usage_aware", "return_to_go"} <= set(SCHEMES)


def test_a_scheme_carries_its_settings_and_takes_the_return_of_the_run() -> None:
    plain = bind(scheme("group_relative"), first_weight=0.0)(group())
    np.testing.assert_array_equal(plain, group_relative(group(), first_weight=0.0))
    bound = bind(scheme("usage_aware(usage_weight=.25)"), first_weight=0.0)(group())
    np.testing.assert_array_equal(bound, usage_aware(group(), usage_weight=0.25, first_weight=0.0))
    assert not np.array_equal(bound, plain)
    own = bind(scheme("usage_aware(first_weight=0.5)"), first_weight=0.0)(group())
    np.testing.assert_array_equal(own, usage_aware(group(), first_weight=0.5))


def test_a_function_is_a_scheme_with_what_it_binds() -> None:
    part = scheme(partial(usage_aware, usage_weight=0.25))
    assert part.text == "lts_jax.credit.usage:usage_aware(usage_weight=0.25)"
    np.testing.assert_array_equal(bind(part)(group()), usage_aware(group(), usage_weight=0.25))
    assert numbers_of(part) == {"usage_weight": 0.25, "first_weight": 1.0, "epsilon": 1e-6}


def test_an_unknown_name_is_refused_with_the_nearest_ones() -> None:
    with pytest.raises(UserError, match=r"credit: .* got 'group_relativ' \(did you mean group_relative\?\)"):
        scheme("group_relativ")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("usage_aware(usage_weight=-0.1)", "usage_weight: expected at least 0, got -0.1"),
        ("gae(discount=1.5)", "discount: expected from 0 to 1, got 1.5"),
        ("time_discounted_usage(decay_seconds=0)", "decay_seconds: expected at least 1e-06, got 0"),
        ("saved_work(epsilon=-1)", "epsilon: expected at least 0, got -1"),
        ("counterfactual(runtime_weight=-2)", "runtime_weight: expected at least 0, got -2"),
        ("comam(local_weight=-2)", "local_weight: expected at least 0, got -2"),
    ],
)
def test_a_number_out_of_range_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        check_credit(text, bind(scheme(text)))


def test_the_credit_of_lts_is_a_sum() -> None:
    total = add(group_relative, partial(usage_bonus, usage_weight=0.25))(group())
    np.testing.assert_array_equal(total, usage_aware(group(), usage_weight=0.25))


def test_the_numbers_of_a_named_scheme_may_be_traced() -> None:
    @jax.jit
    @jax.vmap
    def swept(usage_weight: jax.Array, first_weight: jax.Array) -> jax.Array:
        part = scheme("usage_aware(bonus_on=return)")
        credit = bind(part, usage_weight=usage_weight, first_weight=first_weight)
        return credit(group())

    weights, firsts = jnp.array([0.0, 0.25, 0.5]), jnp.array([0.0, 1.0, 0.5])
    for found, usage_weight, first_weight in zip(swept(weights, firsts), weights, firsts, strict=True):
        expected = usage_aware(
            group(), usage_weight=float(usage_weight), first_weight=float(first_weight), bonus_on="return"
        )
        np.testing.assert_allclose(found, expected, atol=1e-5)


def lines_of_code(function: object) -> int:
    """Lines of a function that are neither docstring, comment nor blank."""
    source = textwrap.dedent(inspect.getsource(function))  # type: ignore[arg-type]
    body = ast.parse(source).body[0].body  # type: ignore[attr-defined]
    first = body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    documented = range(first.lineno, first.end_lineno + 1) if is_docstring else range(0)
    lines = [line.strip() for number, line in enumerate(source.splitlines(), 1) if number not in documented]
    return sum(bool(line) and not line.startswith("#") for line in lines)


def test_lines_are_counted_as_said() -> None:
    assert lines_of_code(group) == 18
    assert lines_of_code(lines_of_code) == 8


@pytest.mark.parametrize("name", list(SCHEMES))
def test_no_scheme_is_longer_than_forty_lines(name: str) -> None:
    assert lines_of_code(SCHEMES[name]) <= 40
