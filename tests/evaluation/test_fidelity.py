"""Credit fidelity: numbers worked by hand, a slow twin of ranks under ties, laws, and what cannot be known."""

import math
import warnings
from dataclasses import fields, replace

import numpy as np
import pytest
from scipy import stats

from lts_jax.evaluation.fidelity import credit_fidelity, effect_of_admission, within_rollout_fidelity
from lts_jax.evaluation.statistics import least_squares, rank_correlations
from lts_jax.trajectory import FlippedRollouts, Trajectory

ONE = np.ones((1, 1))
FEW = {"num_resamples": 200}


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_four_decisions_by_hand():
    # rank differences 0, 1, -1, 0: 1 - 6 * 2 / (4 * 15) = .8. Sums of products 40, of squares 5 and 500: slope 8,
    # r^2 = 1600 / 2500 = .64, signal to noise .64 / .36. All effects are positive, and all credit.
    got = credit_fidelity([1.0, 2.0, 3.0, 4.0], [10.0, 30.0, 20.0, 40.0], list("abcd"), **FEW)
    assert got.rank_correlation.estimate == pytest.approx(0.8)
    assert got.calibration_slope.estimate == pytest.approx(8.0)
    assert got.signal_to_noise.estimate == pytest.approx(0.64 / 0.36)
    assert (got.sign_agreement.estimate, got.constant_sign_agreement) == (1.0, 1.0)
    assert (got.num_decisions, got.num_with_effect, got.num_tasks, got.credit_variance) == (4, 4, 4, 1.25)
    assert math.isnan(got.rank_correlation.low) and math.isnan(got.rank_resolution)
    assert got.reason == "no intervals from 4 tasks; they need 5"


def test_ties_take_their_mean_rank():
    # ranks 1.5, 1.5, 3 against 1, 2, 3: products sum to 1.5, squares to 1.5 and 2
    got = credit_fidelity([1.0, 1.0, 2.0], [1.0, 2.0, 3.0], list("aaa"), **FEW)
    assert got.rank_correlation.estimate == pytest.approx(1.5 / math.sqrt(3.0))


def test_signs_by_hand():
    # of the four with an effect: right, wrong, silent (half), wrong. Two help and two hurt.
    got = credit_fidelity([1.0, -1.0, 0.0, 2.0, 5.0], [1.0, 1.0, -1.0, -1.0, 0.0], list("abcde"), **FEW)
    assert got.sign_agreement.estimate == 0.375 and got.constant_sign_agreement == 0.5
    assert (got.num_decisions, got.num_with_effect) == (5, 4)


def slow_spearman(x, y):
    def rank(values, value):
        return sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2

    ranks = [([rank(values, value) for value in values]) for values in (x, y)]
    (mean_x, mean_y) = (sum(each) / len(x) for each in ranks)
    products = sum((a - mean_x) * (b - mean_y) for a, b in zip(*ranks, strict=True))
    squares = sum((a - mean_x) ** 2 for a in ranks[0]) * sum((b - mean_y) ** 2 for b in ranks[1])
    return products / math.sqrt(squares)


X = np.array([3.0, 1.0, 3.0, 2.0, 2.0, 5.0, -1.0, 3.0, 0.5])
Y = np.array([1.0, 0.0, 4.0, 0.0, 0.0, 2.0, 0.0, -3.0, 0.0])
TASK = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])


def test_resampled_ranks_and_lines_against_slow_twins():
    weight_rb = np.array([[1, 1, 1], [2, 0, 1], [0, 0, 3], [1, 2, 0], [0, 3, 0]])
    ranks = rank_correlations(X, Y, TASK, weight_rb)
    slopes, squares = least_squares(X, Y, TASK, weight_rb)
    for row, weights in enumerate(weight_rb[:-1]):
        x, y = (np.repeat(values, weights[TASK]) for values in (X, Y))
        assert ranks[row] == pytest.approx(slow_spearman(x.tolist(), y.tolist()))
        assert ranks[row] == pytest.approx(stats.spearmanr(x, y).statistic)
        line = stats.linregress(x, y)
        assert (slopes[row], squares[row]) == pytest.approx((line.slope, line.rvalue**2))
    # task 1 alone has one credit and one effect
    assert np.isnan([ranks[-1], slopes[-1], squares[-1]]).all()


def test_large_resamples_are_cut_into_pieces(monkeypatch):
    weight_rb = np.random.default_rng(0).integers(0, 3, (50, 3)) + 1
    whole = rank_correlations(X, Y, TASK, weight_rb)
    monkeypatch.setattr("lts_jax.evaluation.statistics.MAX_RANKED", 40)  # four resamples at a time
    assert rank_correlations(X, Y, TASK, weight_rb).tolist() == whole.tolist()


def noisy(num_tasks=12, rows=6, seed=3):
    """Credit that follows the effect with noise, and with a part that a task's rows share."""
    generator = np.random.default_rng(seed)
    tasks = np.repeat([f"task {number:02d}" for number in range(num_tasks)], rows)
    effect = generator.normal(size=num_tasks * rows) + np.repeat(generator.normal(size=num_tasks), rows)
    credit = 0.5 * effect + generator.normal(size=effect.size)
    return credit, effect, tasks


def figures(fidelity):
    values = [getattr(fidelity, field.name) for field in fields(fidelity) if field.name != "reason"]
    return [
        number
        for value in values
        for number in ((value.estimate, value.low, value.high) if hasattr(value, "low") else (value,))
    ]


def test_a_rising_map_of_credit_leaves_its_order():
    credit, effect, tasks = noisy()
    plain, bent = (credit_fidelity(values, effect, tasks, **FEW) for values in (credit, np.exp(3 * credit)))
    assert plain.rank_correlation == bent.rank_correlation and plain.rank_resolution == bent.rank_resolution
    fallen = credit_fidelity(-credit, effect, tasks, **FEW)
    assert fallen.rank_correlation.estimate == pytest.approx(-plain.rank_correlation.estimate)
    assert fallen.sign_agreement.estimate == pytest.approx(1 - plain.sign_agreement.estimate)


def test_credit_in_other_units_scales_the_slope_alone():
    credit, effect, tasks = noisy()
    plain, scaled = (credit_fidelity(values, effect, tasks, **FEW) for values in (credit, 4.0 * credit))
    assert scaled.calibration_slope.estimate == pytest.approx(plain.calibration_slope.estimate / 4)
    assert scaled.calibration_slope.high == pytest.approx(plain.calibration_slope.high / 4)
    assert scaled.credit_variance == pytest.approx(16 * plain.credit_variance)
    same = {"calibration_slope": plain.calibration_slope, "credit_variance": plain.credit_variance}
    assert figures(replace(scaled, **same)) == pytest.approx(figures(plain))
    assert credit_fidelity(effect, effect, tasks, **FEW).calibration_slope.estimate == pytest.approx(1.0)


def test_the_order_of_rows_does_not_matter():
    credit, effect, tasks = noisy()
    order = np.random.default_rng(0).permutation(len(credit))
    shuffled = credit_fidelity(credit[order], effect[order], tasks[order], **FEW)
    assert figures(shuffled) == pytest.approx(figures(credit_fidelity(credit, effect, tasks, **FEW)))


def test_perfect_credit():
    _, effect, tasks = noisy()
    got = credit_fidelity(2 * effect, effect, tasks, **FEW)
    assert (got.rank_correlation.low, got.sign_agreement.low) == pytest.approx((1.0, 1.0))
    assert got.calibration_slope.high == pytest.approx(0.5)
    assert got.signal_to_noise.estimate > 1e9


def test_rows_of_a_task_stay_together():
    credit, effect, tasks = noisy(rows=1, num_tasks=40)
    once = credit_fidelity(credit, effect, tasks, **FEW)
    copied = credit_fidelity(*(np.repeat(values, 9) for values in (credit, effect, tasks)), **FEW)
    assert copied.calibration_slope.low == pytest.approx(once.calibration_slope.low)
    assert copied.rank_correlation.low == pytest.approx(once.rank_correlation.low, abs=0.01)


def test_the_interval_covers_what_is_true():
    # independent credit and effect, each with a part of the task's own: the true rank correlation is 0
    covered, found = 0, 0
    for trial in range(200):
        generator = np.random.default_rng(trial)
        credit, effect = (np.repeat(generator.normal(size=20), 4) + generator.normal(size=80) for _ in range(2))
        got = credit_fidelity(credit, effect, np.repeat([f"{n}" for n in range(20)], 4), seed=trial, **FEW)
        covered += got.rank_correlation.low <= 0.0 <= got.rank_correlation.high
        found += got.rank_resolution
    assert 0.90 <= covered / 200 <= 0.99
    # two rows of one task agree by half: 80 rows are worth about 80 / (1 + 3 * .5 * .5) = 46; (2.09 + .86) / sqrt(46)
    assert found / 200 == pytest.approx(0.435, abs=0.05)


def test_a_number_copied_to_a_whole_rollout_tells_its_decisions_nothing():
    rollouts = np.repeat(np.arange(10), 4)
    tasks = np.repeat([f"{number}" for number in range(5)], 8)
    copied = np.repeat(np.float32([0.1, -0.7, 0.3, 1.1, -0.2, 0.9, 0.33, -1.3, 0.6, 0.2]), 4)
    effect = copied + np.tile([0.0, 0.1, -0.2, 0.05], 10)
    assert credit_fidelity(copied, effect, tasks, **FEW).rank_correlation.estimate > 0.9
    within = within_rollout_fidelity(copied, effect, tasks, rollouts, **FEW)
    assert within.reason == "the credit is the same for every decision"
    assert math.isnan(within.rank_correlation.estimate) and math.isnan(within.sign_agreement.estimate)
    assert within.credit_variance == 0.0 and within.num_decisions == 40


def test_a_bonus_on_top_of_a_copied_number_is_what_is_left_within_rollouts():
    rollouts = np.repeat(np.arange(10), 4)
    tasks = np.repeat([f"{number}" for number in range(5)], 8)
    bonus = np.float32(0.5) * np.tile([0, 1, 1, 0, 1, 0, 0, 0], 5).astype(np.float32)
    copied = np.repeat(np.random.default_rng(1).normal(size=10).astype(np.float32), 4)
    effect = np.random.default_rng(2).normal(size=40) + bonus
    both = within_rollout_fidelity(copied + bonus, effect, tasks, rollouts, **FEW)
    alone = within_rollout_fidelity(bonus, effect, tasks, rollouts, **FEW)
    assert figures(both) == pytest.approx(figures(alone), abs=1e-5)


def test_within_rollouts_by_hand():
    # rollout 0: credit -1, 1 and effect -2, 2; rollout 1: credit 1, -1 and effect 1, -1; rollout 2 has one row known
    credit, effect = [4.0, 6.0, 1.0, -1.0, 9.0, 8.0], [0.0, 4.0, 11.0, 9.0, 5.0, math.nan]
    got = within_rollout_fidelity(credit, effect, list("abcdef"), [7, 7, 3, 3, 5, 5], **FEW)
    assert (got.num_decisions, got.sign_agreement.estimate) == (4, 1.0)
    assert got.calibration_slope.estimate == pytest.approx(1.5, abs=1e-4)  # (2 + 2 + 1 + 1) / 4
    assert got.rank_correlation.estimate == pytest.approx(
        4.0 / math.sqrt(20.0)
    )  # ranks 1.5, 3.5, 3.5, 1.5 and 1, 4, 3, 2


@pytest.mark.parametrize(
    ("credit", "effect", "reason"),
    [
        ([], [], "fewer than two decisions"),
        ([1.0, 2.0], [math.nan, 1.0], "fewer than two decisions"),
        ([0.1 + 0.2, 0.3, 0.3], [1.0, 2.0, -3.0], "the credit is the same for every decision"),
        ([1.0, 2.0, 3.0], [0.0, 0.0, 0.0], "the effect is the same for every decision"),
    ],
)
def test_what_cannot_be_known_says_why(credit, effect, reason):
    got = credit_fidelity(credit, effect, [f"{number}" for number in range(len(credit))], **FEW)
    assert got.reason == reason
    assert np.isnan([got.rank_correlation.estimate, got.calibration_slope.estimate, got.rank_resolution]).all()


def test_a_figure_that_most_resamples_lack_has_no_bounds():
    # Credit varies in task a alone and the effect in task b alone; a resample has both in 40 %, and either in 67 %.
    credit, effect = np.zeros(12), np.zeros(12)
    credit[0] = effect[2] = 1.0
    tasks = np.repeat(list("abcdef"), 2)
    got = credit_fidelity(credit, effect, tasks, **FEW)
    assert math.isfinite(got.rank_correlation.estimate) and math.isnan(got.rank_correlation.low)
    assert math.isnan(got.rank_resolution) and math.isnan(got.signal_to_noise.high)
    assert math.isfinite(credit_fidelity(credit, credit, tasks, **FEW).rank_correlation.low)


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="one credit, effect and task per row"):
        credit_fidelity([1.0], [1.0, 2.0], ["a", "b"])
    with pytest.raises(ValueError, match="credit must be a number"):
        credit_fidelity([math.nan, 1.0], [1.0, 2.0], ["a", "b"])
    with pytest.raises(ValueError, match="one rollout number per row"):
        within_rollout_fidelity([1.0, 2.0], [1.0, 2.0], ["a", "b"], [0])


def trajectory():
    """Two rollouts, one team, two steps. The first rollout's first decision was flipped."""
    nothing = {field.name: np.zeros((2, 1, 2)) for field in fields(Trajectory)}
    nothing |= dict.fromkeys(("value_gkt", "coalitions", "regrouped"))
    unknown = math.nan
    flipped = FlippedRollouts(
        np.array([[[0.25, unknown]], [[unknown, unknown]]]),
        np.array([[[1.0, unknown]], [[unknown, unknown]]]),
        np.array([[[90.0, unknown]], [[unknown, unknown]]]),
    )
    rewards = {"reward_agg_g": np.array([1.0, 0.0]), "reward_first_g": np.array([0.5, unknown])}
    return Trajectory(**(nothing | rewards | {"runtime_g": np.array([60.0, 70.0]), "flipped": flipped}))


def test_effect_by_hand():
    # (1 + .5) - (.25 + 1) = .25, and 30 seconds saved; without the first answer's weight .75
    reward, seconds = effect_of_admission(trajectory())
    unknown = math.nan
    np.testing.assert_allclose(reward, [[[0.25, unknown]], [[unknown, unknown]]])
    np.testing.assert_allclose(seconds, [[[30.0, unknown]], [[unknown, unknown]]])
    np.testing.assert_allclose(effect_of_admission(trajectory(), first_weight=0.0)[0][0, 0, 0], 0.75)
    with pytest.raises(ValueError, match=r"needs trajectory\.flipped"):
        effect_of_admission(replace(trajectory(), flipped=None))


def test_stacked_groups_keep_their_axis():
    one = trajectory()
    flipped = FlippedRollouts(*(np.stack([getattr(one.flipped, field.name)] * 3) for field in fields(FlippedRollouts)))
    stacked = replace(
        one,
        flipped=flipped,
        **{name: np.stack([getattr(one, name)] * 3) for name in ("reward_agg_g", "reward_first_g", "runtime_g")},
    )
    for whole, single in zip(effect_of_admission(stacked), effect_of_admission(one), strict=True):
        np.testing.assert_array_equal(whole[1], single)
