"""The value of an admission by regression: by hand, unbiased in a made-up world, and what leaves it as it was."""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.learning.admission_value import OUTCOMES, outcome_weights, outcomes, surprise, value_loss
from lts_jax.learning.metrics import METRICS, as_floats
from lts_jax.learning.objective_parts import AdmissionValue, make_objective
from lts_jax.learning.ridge import SHRINKAGE, RidgeState, add_rollouts, fit_once, init_ridge, solve
from lts_jax.learning.settings import LearningSettings
from lts_jax.learning.state import TrainState, init_state
from lts_jax.learning.update import Learner, make_update, update_once
from lts_jax.models.linear import LinearSettings, linear
from lts_jax.models.policy_network import PolicyNetwork
from lts_jax.trajectory import DecisionContext, Trajectory

sys.path.insert(0, str(Path(__file__).parent))
from rollouts_by_chance import context_of, drawn, plain_network, trajectory_of

EFFECT = [0.05, 0.1, -0.2, 0.0]  # of a constant, of two numbers that matter, and of one that does not
SETTINGS = LearningSettings(runtime_weight=0.0)
BARE = AdmissionValue(threshold=0.0, value_scale=1.0)  # logits are values


def coin(feature: np.ndarray) -> np.ndarray:
    return np.full(feature.shape[:-1], 0.5)


def leaning(feature: np.ndarray) -> np.ndarray:
    """Rarely where the second number is low, often where it is high, by the third a little more."""
    return 0.5 + 0.3 * feature[..., 1] - 0.1 * feature[..., 2]


def fitted(
    *batches: tuple[Trajectory, DecisionContext],
    objective: AdmissionValue = BARE,
    settings: LearningSettings = SETTINGS,
) -> np.ndarray:
    """The weights after all batches."""
    network = plain_network(len(EFFECT))
    params = network.init(jax.random.key(0))
    state = init_ridge(params)
    for batch in batches:
        params, state, _, _ = jax.jit(partial(fit_once, network, objective, settings))(state, batch)
    return np.asarray(params["weight"])


def test_outcomes_by_hand() -> None:
    """Each less the mean of the others that count; the fourth broke off, the fifth has no score."""
    template, _ = drawn(0, EFFECT, coin, num_tasks=1, num_rollouts=5)
    group = jax.tree.map(lambda leaf: leaf[0], template)
    group = replace(
        group,
        reward_agg_g=jnp.array([1.0, 0.0, 0.5, 1.0, jnp.nan]),
        reward_first_g=jnp.array([1.0, 0.0, 0.0, 1.0, 1.0]),
        runtime_g=jnp.array([60.0, 90.0, 30.0, 999.0, 999.0]),
        rollout_mask_g=jnp.array([True, True, True, False, True]),
    )
    found, counted = outcomes(group, first_weight=1.0)
    assert OUTCOMES == ("reward", "runtime", "token", "dollar") and counted.tolist() == [True] * 3 + [False] * 2
    # Scores 1, 0, .25; shares of the mean 60 s: 1, 1.5, .5.
    np.testing.assert_allclose(found[:, 0], [0.875, -0.625, -0.25, 0.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(found[:, 1], [0.0, 0.75, -0.75, 0.0, 0.0], atol=1e-6)
    assert (found[:, 2:] == 0.0).all()  # nobody counted them
    # Without R_first: 1, 0, .5; tokens 2, 1, 3 of a mean of 2.
    counting = replace(group, tokens_g=jnp.array([2.0, 1.0, 3.0, 9.0, 9.0]))
    found, _ = outcomes(counting, first_weight=0.0)
    np.testing.assert_allclose(found[:3, 0], [0.75, -0.75, 0.0], atol=1e-6)
    np.testing.assert_allclose(found[:3, 2], [0.0, -0.75, 0.75], atol=1e-6)
    weights = outcome_weights(AdmissionValue(score_weight=2.0), LearningSettings(token_weight=0.5))
    np.testing.assert_allclose(weights, [2.0, -0.2, -0.5, 0.0])
    assert outcome_weights(AdmissionValue(), LearningSettings(runtime_weight=0.7))[1] == np.float32(-0.7)


def test_surprise_by_hand_and_none_of_what_was_certain() -> None:
    action, probability = np.array([[[[1, 0, 1, 0]]]]), np.array([[[[0.2, 0.2, 1.0, 0.0]]]])
    trajectory = trajectory_of(action, probability, np.zeros((1, 1)))
    np.testing.assert_allclose(surprise(trajectory), [[[[0.8, -0.2, 0.0, 0.0]]]], atol=1e-6)
    trajectory.decision_mask_gkt[..., 0] = False
    np.testing.assert_allclose(surprise(trajectory), [[[[0.0, -0.2, 0.0, 0.0]]]], atol=1e-6)


def test_known_effects_are_found_whatever_the_chances_were() -> None:
    """Also where chances follow the very numbers that matter, and where old rollouts were made under others."""
    of_coin, of_leaning = (drawn(seed, EFFECT, chance, num_tasks=1500) for seed, chance in ((1, coin), (2, leaning)))
    for found in (fitted(of_coin), fitted(of_leaning), fitted(of_coin, of_leaning)):
        np.testing.assert_allclose(found, EFFECT, atol=0.02)  # three standard errors


def test_an_admission_answers_for_what_it_makes_of_later_chances() -> None:
    """The second step adds .4, and is admitted with .2, or with .8 after the first: the first is worth .1 + .6 * .4."""
    rng, shape = np.random.default_rng(3), (3000, 4, 1)
    first = rng.random(shape) < 0.3
    chance = np.where(first, 0.8, 0.2)
    action = np.stack([first, rng.random(shape) < chance], axis=-1)
    reward = rng.normal(0.0, 3.0, (3000, 1)) + (action @ [0.1, 0.4])[..., 0]
    feature = np.broadcast_to([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]], (*action.shape, 4))
    trajectory = trajectory_of(action, np.stack([np.full(shape, 0.3), chance], axis=-1), reward)
    weight = fitted((trajectory, context_of(feature)))
    np.testing.assert_allclose(weight[:2] @ [[1.0, 1.0], [1.0, 0.0]], [0.34, 0.4], atol=0.015)


def test_what_all_rollouts_of_a_task_have_changes_nothing() -> None:
    trajectory, context = drawn(4, EFFECT, leaning, num_tasks=60)
    shift = 8.0 * np.arange(60, dtype=np.float32)[:, None] / 60
    moved = replace(
        trajectory, reward_agg_g=trajectory.reward_agg_g + shift, reward_first_g=trajectory.reward_first_g + shift
    )
    np.testing.assert_allclose(fitted((moved, context)), fitted((trajectory, context)), atol=1e-5)


def test_groups_that_tell_nothing_leave_the_sums_as_they_were() -> None:
    network, settings = plain_network(4), SETTINGS
    step = jax.jit(partial(fit_once, network, BARE, settings))
    params, state, _, _ = step(init_ridge(network.init(jax.random.key(0))), drawn(5, EFFECT, coin, num_tasks=8))
    assert float(state.num_rollouts) == 32.0
    trajectory, context = drawn(6, EFFECT, coin, num_tasks=8)
    alone = replace(trajectory, rollout_mask_g=np.arange(4) == np.arange(8)[:, None] % 4)
    unscored = replace(trajectory, reward_agg_g=np.full((8, 4), np.nan, np.float32))
    for nothing in (alone, unscored):
        again, same, _, _ = step(state, (nothing, context))
        np.testing.assert_array_equal(again["weight"], params["weight"])
        assert all(jax.tree.leaves(jax.tree.map(np.array_equal, same, state)))
    certain = replace(trajectory, behavior_log_prob_gkt=np.zeros_like(trajectory.behavior_log_prob_gkt))
    _, counted, _, _ = step(state, (certain, context))  # rollouts that count, without a decision by chance
    np.testing.assert_array_equal(counted.gram_ff, state.gram_ff)
    np.testing.assert_array_equal(counted.moment_of, state.moment_of)
    assert float(counted.num_rollouts) == 64.0
    # The loss is of no use there either, and its gradient is zero, not NaN.
    slope = jax.jit(jax.grad(partial(value_loss, network, BARE, settings), has_aux=True))
    for batch in (alone, unscored, certain):
        gradient, metrics = slope({"weight": jnp.ones(4)}, (batch, context))
        np.testing.assert_array_equal(gradient["weight"], np.zeros(4))
        assert np.isfinite(float(metrics["learning/loss"]))


def test_before_any_rollout_and_without_any_difference_weights_are_zero() -> None:
    weight_of, *_ = jax.jit(solve)(init_ridge({"weight": jnp.zeros(3)}))
    np.testing.assert_array_equal(weight_of, np.zeros((4, 3)))
    rows = jnp.ones((6, 1)), jnp.arange(18.0).reshape(6, 1, 3), jnp.zeros((6, 4))
    state = add_rollouts(init_ridge({"weight": jnp.zeros(3)}), *rows)
    weight_of, lambda_o, _ = jax.jit(solve)(state)
    np.testing.assert_array_equal(weight_of, np.zeros((4, 3)))
    np.testing.assert_allclose(lambda_o / jnp.linalg.eigvalsh(state.gram_ff)[-1], SHRINKAGE[1], rtol=1e-4)


def log_evidence(x_rf: np.ndarray, y_r: np.ndarray, shrinkage: float) -> float:
    """log N(y | 0, s^2 C), C = I + X X' / lambda, at its likeliest s^2 = y' C^-1 y / R; less what is constant."""
    covariance = np.eye(len(y_r)) + x_rf @ x_rf.T / shrinkage
    variance = y_r @ np.linalg.solve(covariance, y_r) / len(y_r)
    return float(-0.5 * len(y_r) * np.log(variance) - 0.5 * np.linalg.slogdet(covariance)[1])


def test_the_closed_form_equals_a_slow_twin() -> None:
    """Weights are drawn, so that data differ in what they can tell: strongly, weakly, hardly, and not at all."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(40, 5)) * [1.0, 1.0, 0.5, 0.2, 2.0]
    y = np.stack([x @ rng.normal(size=5) + noise * rng.normal(size=40) for noise in (0.1, 3.0, 20.0)], axis=1)
    y = np.concatenate([y, rng.normal(size=(40, 1))], axis=1)
    state = init_ridge({"weight": jnp.zeros(5)})
    for rows in (slice(0, 15), slice(15, 40)):  # sums do not care in how many parts they come
        one = np.ones((len(x[rows]), 1), np.float32)
        state = add_rollouts(state, one, x[rows, None].astype(np.float32), y[rows].astype(np.float32))
    weight_of, lambda_o, belief_o = (np.asarray(part) for part in solve(state))
    low, high, number = SHRINKAGE
    grid = np.linalg.eigvalsh(x.T @ x)[-1] * np.logspace(np.log10(low), np.log10(high), number)
    chosen = set()
    for place in range(4):
        evidence = [log_evidence(x, y[:, place], shrinkage) for shrinkage in grid]
        best = grid[np.argmax(evidence)]
        np.testing.assert_allclose(lambda_o[place], best, rtol=1e-3)
        odds = np.exp(max(evidence) - log_evidence(0.0 * x, y[:, place], 1.0)) / 20.0  # of an effect against none
        np.testing.assert_allclose(belief_o[place], odds / (1.0 + odds), rtol=1e-3)
        expected = odds / (1.0 + odds) * np.linalg.solve(x.T @ x + best * np.eye(5), x.T @ y[:, place])
        np.testing.assert_allclose(weight_of[place], expected, rtol=1e-3, atol=1e-5)
        chosen.add(best)
    assert len(chosen) >= 3 and belief_o[0] > 0.999 and 0.01 < belief_o[3] < 0.1


def test_one_number_by_hand() -> None:
    """x = 1, 2 and y = 1, 3: A = 5, b = 7, weight 7 / (5 + lambda), which explains 49 / (5 + lambda) of y'y = 10."""
    x, y = jnp.array([[[1.0]], [[2.0]]]), jnp.zeros((2, 4)).at[:, 0].set(jnp.array([1.0, 3.0]))
    state = add_rollouts(init_ridge({"weight": jnp.zeros(1)}), jnp.ones((2, 1)), x, y)
    assert (float(state.gram_ff[0, 0]), float(state.moment_of[0, 0]), float(state.square_o[0])) == (5.0, 7.0, 10.0)
    weight_of, lambda_o, belief_o = solve(state)
    shrunk = 5.0 + float(lambda_o[0])
    odds = (1.0 - 4.9 / shrunk) ** -1.0 * (shrunk / float(lambda_o[0])) ** -0.5 / 20.0
    assert float(belief_o[0]) == pytest.approx(odds / (1.0 + odds), rel=1e-4)
    assert float(weight_of[0, 0]) == pytest.approx(7.0 / shrunk * odds / (1.0 + odds), rel=1e-4)


def worded(seed: int, *, num_tasks: int = 40) -> tuple[PolicyNetwork, tuple[Trajectory, DecisionContext]]:
    """The `linear` network, and rollouts whose reward follows its features."""
    network, rng = (
        linear(LinearSettings(embedding_width=3, texts="none", novelty_power=0.0)),
        np.random.default_rng(seed),
    )
    shape = (num_tasks, 4, 2, 4)
    normal = lambda *sizes: rng.normal(size=sizes).astype(np.float32)  # noqa: E731
    context = DecisionContext(
        normal(num_tasks, 3), normal(*shape[:2], 6, 3), rng.integers(0, 7, shape).astype(np.int32), normal(*shape, 3, 3)
    )
    assert network.packed_features is not None
    feature = np.asarray(network.packed_features(context))
    action = rng.random(shape) < 0.4
    reward = (action * (feature @ rng.normal(size=feature.shape[-1]))).sum((-1, -2))
    return network, (trajectory_of(action, np.full(shape, 0.4), reward), context)


def descended(slope: Callable[[np.ndarray], jax.Array], start: jax.Array) -> np.ndarray:
    """Conjugate gradients, by slopes alone: on a square loss they end at its minimum after as many steps as numbers."""
    at = np.asarray(start, np.float64)
    gradient = np.asarray(slope(at), np.float64)
    direction = -gradient
    for _ in range(2 * len(at)):
        curved = np.asarray(slope(at + direction), np.float64) - gradient
        at = at + direction * (gradient @ gradient) / (direction @ curved)
        new = np.asarray(slope(at), np.float64)
        if np.abs(new).max() < 1e-5:
            break
        direction = -new + direction * (new @ new) / (gradient @ gradient)
        gradient = new
    return at


def test_descent_on_the_loss_ends_at_the_closed_form_without_shrinkage() -> None:
    """With a threshold and a scale of values other than none; and the shrunk weights follow from the same sums."""
    network, batch = worded(8)
    objective, fresh = AdmissionValue(threshold=0.3, value_scale=0.5), network.init(jax.random.key(0))
    fit = jax.jit(partial(fit_once, network, objective, SETTINGS))
    params, state, told, value_bgkt = fit(init_ridge(fresh), batch)
    gram, moment = np.asarray(state.gram_ff, np.float64), np.asarray(state.moment_of[0], np.float64)

    def expected(shrinkage: float) -> np.ndarray:
        weight = np.linalg.solve(gram + shrinkage * np.eye(12), moment)
        weight *= float(told["learning/reward_belief"]) if shrinkage else 1.0
        weight[0] -= 0.3 / 0.5  # the first feature is .5 everywhere
        return weight / 0.5

    def loss(weight: jax.Array) -> jax.Array:
        return value_loss(network, objective, SETTINGS, {"weight": weight}, batch)[0]

    np.testing.assert_allclose(descended(jax.jit(jax.grad(loss)), fresh["weight"]), expected(0.0), atol=0.01)
    shrunk = expected(float(told["learning/reward_shrinkage"]))
    np.testing.assert_allclose(params["weight"], shrunk, atol=0.001)
    assert np.abs(shrunk).max() > 1.0 and np.abs(shrunk - expected(0.0)).max() > 0.05
    # The credit is the value itself: what the logits say, in units of the return.
    logits = network.packed_logits(params, batch[1])
    np.testing.assert_allclose(value_bgkt, 0.5 * (logits[..., 1] - logits[..., 0]) + 0.3, rtol=1e-3, atol=1e-3)


def test_a_threshold_moves_the_decision_and_nothing_else() -> None:
    """Values of the four kinds of step: .05 -+ .1 +- .2; those above the threshold have positive log-odds."""
    batch = drawn(1, EFFECT, coin, num_tasks=1500)
    kinds = np.array([[1.0, a, b, 0.0] for a in (-1, 1) for b in (-1, 1)])  # .15, -.25, .35, -.05
    for threshold, admitted in ((0.0, [1, 0, 1, 0]), (0.2, [0, 0, 1, 0]), (-0.1, [1, 0, 1, 1])):
        weight = fitted(batch, objective=AdmissionValue(threshold=threshold, value_scale=0.1))
        np.testing.assert_allclose(0.1 * (kinds @ weight), kinds @ EFFECT - threshold, atol=0.03)
        assert ((kinds @ weight) > 0).tolist() == [bool(one) for one in admitted]


def test_time_saved_is_worth_its_weight() -> None:
    """Every admission saves 5 of about 50 s and adds nothing to the score: .2 * .1 of a return each."""
    rng, shape = np.random.default_rng(9), (400, 4, 1, 3)
    action, feature = rng.random(shape) < 0.5, np.zeros((*shape, 4))
    feature[..., 0] = 1.0
    runtime = 57.5 - 5.0 * action.sum((-1, -2))
    batch = trajectory_of(action, np.full(shape, 0.5), np.full(shape[:2], 0.5), runtime), context_of(feature)
    assert fitted(batch, settings=LearningSettings())[0] == pytest.approx(0.02, abs=0.001)
    assert fitted(batch, settings=LearningSettings(runtime_weight=0.0))[0] == 0.0


def solved_and_stepped() -> tuple[PolicyNetwork, PolicyNetwork]:
    network = plain_network(len(EFFECT))
    return network, replace(network, packed_features=None, name="stepped")


@pytest.mark.parametrize("network", solved_and_stepped(), ids=["solved", "stepped"])
def test_an_update_is_traced_once_tells_finite_metrics_and_stays_where_numbers_break(network: PolicyNetwork) -> None:
    objective, settings = AdmissionValue(), LearningSettings(learning_rate=0.1)

    def credit(trajectory: Trajectory) -> jax.Array:
        raise AssertionError("no credit scheme is asked")

    update = make_update(network, credit, settings, objective=objective)
    state = init_state(network, settings, jax.random.key(0), objective=objective)
    assert isinstance(state.opt_state, RidgeState) == (network.packed_features is not None)
    batch = drawn(1, EFFECT, coin, num_tasks=20)
    before = state
    for _ in range(3):
        state, metrics, value = update(state, *batch)
    told = as_floats(metrics)
    assert set(told) <= set(METRICS) and all(np.isfinite(number) for number in told.values())
    assert {"learning/loss", "learning/admits_greedily", "learning/admit_probability", "credit/mean"} <= set(told)
    assert ("learning/reward_shrinkage" in told) == (network.packed_features is not None)
    assert (int(state.num_updates), int(state.num_skipped)) == (3, 0)
    assert value.shape == batch[0].action_gkt.shape and not np.array_equal(
        state.params["weight"], before.params["weight"]
    )
    batch[1].step_gktsd[0, 0, 0, 0, 1, 1] = np.inf
    after, _, _ = update(state, *batch)
    assert (int(after.num_updates), int(after.num_skipped)) == (3, 1)
    same = jax.tree.map(np.array_equal, (after.params, after.opt_state), (state.params, state.opt_state))
    assert all(jax.tree.leaves(same))


def test_the_loss_of_an_update_is_that_of_the_parameters_before_it() -> None:
    """For a network that is solved as for one that takes steps: a batch that was not yet seen."""
    batch = drawn(1, EFFECT, coin, num_tasks=20)
    for network in solved_and_stepped():
        state = init_state(network, SETTINGS, jax.random.key(0), objective=BARE)
        _, metrics, _ = make_update(network, lambda _: jnp.zeros(()), SETTINGS, objective=BARE)(state, *batch)
        score = np.asarray(batch[0].reward_agg_g, np.float64)
        square = (score - (score.sum(axis=1, keepdims=True) - score) / 3) ** 2  # less the mean of the three others
        assert float(metrics["learning/loss"]) == pytest.approx(square.mean(), rel=1e-4)
        assert float(metrics["learning/admit_probability"]) == 0.5


@pytest.mark.parametrize("network", solved_and_stepped(), ids=["solved", "stepped"])
def test_many_weights_of_time_in_one_program(network: PolicyNetwork) -> None:
    batch = drawn(1, EFFECT, coin, num_tasks=20)
    runtime = 60.0 - 8.0 * batch[0].action_gkt.sum((-1, -2))
    batch = replace(batch[0], runtime_g=runtime.astype(np.float32)), batch[1]

    def trained(runtime_weight: float | jax.Array) -> tuple[TrainState, dict[str, jax.Array]]:
        settings = LearningSettings(runtime_weight=runtime_weight)
        learner = Learner(network, lambda _: jnp.zeros(()), settings, objective=AdmissionValue())
        state = init_state(network, settings, jax.random.key(0), objective=AdmissionValue())
        return update_once(learner, state, *batch)[:2]

    state, metrics = jax.jit(jax.vmap(trained))(jnp.array([0.0, 0.2, 1.0]))
    for place, weight in enumerate((0.0, 1.0)):
        alone, told = jax.jit(trained)(weight)
        np.testing.assert_allclose(state.params["weight"][2 * place], alone.params["weight"], rtol=1e-3, atol=1e-4)
        assert float(metrics["learning/loss"][2 * place]) == pytest.approx(float(told["learning/loss"]), rel=1e-5)
    assert float(metrics["learning/loss"][1]) != pytest.approx(float(metrics["learning/loss"][0]), rel=1e-3)
    if network.packed_features is not None:
        assert state.params["weight"][2, 0] > state.params["weight"][0, 0] + 1.0


def test_a_weight_of_what_nobody_counts_is_refused() -> None:
    batch = drawn(1, EFFECT, coin, num_tasks=2)
    for network in solved_and_stepped():
        settings = LearningSettings(token_weight=0.1)
        state = init_state(network, settings, jax.random.key(0), objective=BARE)
        with pytest.raises(UserError, match=r"^learning.token_weight: the simulator counts no tokens"):
            update_once(Learner(network, lambda _: jnp.zeros(()), settings, objective=BARE), state, *batch)


def test_objectives_by_text() -> None:
    assert make_objective("admission_value") == AdmissionValue()
    assert make_objective("admission_value(threshold=0.01, min_probability=0.2)").min_probability == 0.2
    assert make_objective("policy_gradient").min_probability == 0.0
    for wrong, message in (
        ("admission_value(min_probability=0)", "more than 0 and at most 0.5, got 0"),
        ("admission_value(min_probability=0.6)", "more than 0 and at most 0.5, got 0.6"),
        ("admission_value(value_scale=0)", "more than 0, got 0"),
        ("admission_value(score_weight=-1)", "at least 0, got -1"),
        ("admission_value(num_steps=0)", "at least 1, got 0"),
        ("admission_worth", "admission_value"),
    ):
        with pytest.raises(UserError, match=message) as raised:
            make_objective(wrong)
        assert "\n" not in str(raised.value)


def test_decisions_that_edit_are_refused_by_name() -> None:
    trajectory, context = drawn(0, EFFECT, coin, num_tasks=1, num_rollouts=3)
    edited = replace(trajectory, target_gkt=jnp.full_like(trajectory.action_gkt, -1))
    with pytest.raises(UserError, match="admission_value: expected decisions that admit or reject, got some that edit"):
        fitted((edited, context))
