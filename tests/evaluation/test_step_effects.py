"""What an admission is worth: by hand, on made-up rollouts whose effects add up, and as a table."""

import math
from dataclasses import replace

import numpy as np
import pytest
from fake_rollouts import make_rollout

from lts_jax.admission.step_kinds import LISTING, RIGHT, StepLabel
from lts_jax.evaluation.step_effects import admission_effects, controller_auc, kind_table
from lts_jax.records import Decision, MemoryEntry, Pull


def test_two_kinds_by_hand():
    # One task, coin of 1/2. With effects -20 and +4 around 100 the four deviations give 92, 88, 112, 108.
    deviations = np.array([[0.5, 0.5], [0.5, -0.5], [-0.5, 0.5], [-0.5, -0.5]])
    found = admission_effects(deviations, [92.0, 88.0, 112.0, 108.0], ["a"] * 4)
    assert [one.estimate for one in found] == pytest.approx([-20.0, 4.0])
    assert math.isnan(found[0].low)  # one task


def made_up(num_tasks, noise, seed=0):
    """Deviations and outcomes of rollouts in which p differs by kind, effects add up, and tasks differ widely."""
    rng = np.random.default_rng(seed)
    tasks = np.repeat([f"task {number}" for number in range(num_tasks)], 4)
    counts_rk = rng.integers(0, 9, (len(tasks), 3))
    p_k = np.array([0.5, 0.2, 0.7])
    admitted_rk = rng.binomial(counts_rk, p_k)
    level_r = np.repeat(rng.normal(300, 90, num_tasks), 4)
    # `counts_rk` also takes time, whatever is admitted: the coin makes that noise, not bias.
    outcome_r = level_r + admitted_rk @ np.array([-20.0, 3.0, 8.0]) + noise * rng.normal(size=len(tasks))
    return admitted_rk - counts_rk * p_k, outcome_r, tasks


def test_effects_that_add_up_are_found_and_covered():
    found = admission_effects(*made_up(250, 30.0), num_resamples=500)
    for effect, truth in zip(found, (-20.0, 3.0, 8.0), strict=True):
        assert effect.low < truth < effect.high
        assert effect.high - effect.low < 12


def test_the_level_of_a_task_does_not_matter():
    deviations, outcomes, tasks = made_up(20, 10.0)
    moved = outcomes + 1000 * (tasks == "task 7")
    first, second = (admission_effects(deviations, each, tasks, num_resamples=50) for each in (outcomes, moved))
    assert [one.estimate for one in first] == pytest.approx([one.estimate for one in second])
    assert [one.low for one in first] == pytest.approx([one.low for one in second])


def test_no_draw_and_one_rollout_a_task_tell_nothing():
    deviations, outcomes, tasks = made_up(20, 10.0)
    deviations[:, 1] = 0.0  # this kind was always admitted
    found = admission_effects(deviations, outcomes, tasks, num_resamples=50)
    assert math.isnan(found[1].estimate) and math.isfinite(found[0].estimate)
    alone = admission_effects(deviations[::4], outcomes[::4], tasks[::4], num_resamples=50)
    assert all(math.isnan(one.estimate) for one in alone)


def test_missing_outcomes_are_left_out():
    deviations, outcomes, tasks = made_up(20, 10.0)
    with_nan, kept = outcomes.copy(), np.arange(len(outcomes)) != 5
    with_nan[5] = math.nan
    found = admission_effects(deviations, with_nan, tasks, num_resamples=50)
    assert found == admission_effects(deviations[kept], outcomes[kept], tasks[kept], num_resamples=50)


def drawn(base, number, actions, seconds):
    """A rollout with four decisions: two right values, the second a repeat where the first is stored, two listings."""
    decisions, entries = [], []
    for place, action in enumerate(actions):
        entry = len(entries) if action else -1
        if action:
            entries.append(MemoryEntry(entry, "key", "value", 0, place, 0.0))
        decisions.append(Decision(0, place, action, 0.0, 0.5, len(entries), place, 0.0, entry))
    pulls = tuple(Pull(one.entry, 1, 0, 1, 1.0) for one in entries if one.step == 0)
    place = replace(base.coordinates, rollout=number)
    return replace(
        base,
        coordinates=place,
        steps=(),
        decisions=tuple(decisions),
        entries=tuple(entries),
        pulls=pulls,
        seconds=seconds,
    )


def test_the_table_by_hand():
    base = make_rollout("random_0.5", 0, 0)
    labels = (StepLabel(RIGHT, True), StepLabel(RIGHT, False), StepLabel(LISTING, True), StepLabel(LISTING, True))
    # Seconds: 100, less 10 for the first value.
    rollouts = [
        drawn(base, 0, (1, 0, 0, 0), 90.0),
        drawn(base, 1, (0, 1, 0, 1), 100.0),
        drawn(base, 2, (1, 1, 1, 0), 90.0),
        drawn(base, 3, (0, 0, 1, 1), 100.0),
    ]
    rows = kind_table(rollouts, [labels] * 4)
    assert [(row.kind, row.is_new, row.num_decisions, row.share) for row in rows] == [
        (RIGHT, True, 4, 0.25),
        (RIGHT, False, 4, 0.25),
        (LISTING, True, 8, 0.5),
    ]
    assert [row.admitted for row in rows] == [0.5, 0.5, 0.5]
    assert [row.read_rate for row in rows] == [1.0, 0.0, 0.0]  # only what the first step stored was pulled
    assert [row.seconds.estimate for row in rows] == pytest.approx([-10.0, 0.0, 0.0])


def test_steps_take_time_whether_they_are_admitted_or_not():
    base = make_rollout("random_0.5", 0, 0)
    # 100 s, 30 for each decision, less 10 for each admission. Deviations z - 1/2 add up to .5, -.5, .5, -.5: the slope
    # is (-30 * .5 + 20 * .5 + 20 * .5 - 30 * .5) / 1 = -10. Admissions alone (1, 0, 2, 1) would say +20.
    actions = [(1,), (0,), (1, 1, 0), (1, 0, 0)]
    rollouts = [drawn(base, number, one, 100 + 30 * len(one) - 10 * sum(one)) for number, one in enumerate(actions)]
    (row,) = kind_table(rollouts, [[StepLabel(RIGHT, True)] * len(one) for one in actions])
    assert row.seconds.estimate == pytest.approx(-10.0)


def test_a_controllers_auc_over_no_rollouts_is_unknown():
    assert math.isnan(controller_auc([]).estimate)
