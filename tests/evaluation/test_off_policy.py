"""Estimates of a policy that was not run: by hand, with the logging policy itself, and where decisions add up."""

import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.evaluation.off_policy import LoggedDecisions, estimates


def logged(outcome, admitted, target, *, probability=0.5, tasks=None, features=None):
    admitted = np.array(admitted, bool)
    shape = admitted.shape
    return LoggedDecisions(
        tasks=tuple(tasks or [f"t{row // 2}" for row in range(shape[0])]),
        outcome_r=np.array(outcome, float),
        mask_rj=np.ones(shape, bool),
        admitted_rj=admitted,
        logged_rj=np.full(shape, probability),
        target_rj=np.broadcast_to(np.array(target, float), shape),
        features_rjd=np.ones((*shape, 1)) if features is None else features,
    )


def by_name(found):
    return {one.name: one for one in found}


def test_by_hand():
    # Two rollouts of one task, one decision each, a coin: admitting gave 3, rejecting 1. Less the sibling: +2 and -2.
    # Admit always: rho = 2 and 0; d = (2 - 1) * 2 and (0 - 1) * -2, mean 2. Of the four pairs that the coin may give
    # two are like this one and two, (3, 3) and (1, 1), give 0: in the mean 1, which is 3 - (3 + 1) / 2, the truth.
    found = by_name(estimates(logged([3.0, 1.0], [[1], [0]], 1.0)))
    assert found["per decision"].difference.estimate == pytest.approx(2.0)
    assert found["self-normalised"].difference.estimate == pytest.approx(2.0)  # mean rho is 1
    assert found["whole trajectory"].difference.estimate == pytest.approx(2.0)
    assert found["whole trajectory"].effective_rollouts == pytest.approx(1.0)
    # Never: the other way round; the same coin: nothing.
    assert by_name(estimates(logged([3.0, 1.0], [[1], [0]], 0.0)))["per decision"].difference.estimate == -2.0
    for one in estimates(logged([3.0, 1.0], [[1], [0]], 0.5)):
        assert one.difference.estimate == pytest.approx(0.0)


def test_where_decisions_add_up_the_estimates_find_the_truth():
    # y = sum_j z_j g_j + noise of the task; the target admits with 0.8 what is good and 0.1 what is not.
    generator = np.random.default_rng(0)
    num_tasks, num_rollouts, size = 200, 6, 8
    good = generator.random((num_tasks, 1, size)) < 0.5
    good = np.broadcast_to(good, (num_tasks, num_rollouts, size)).reshape(-1, size)
    admitted = generator.random(good.shape) < 0.4
    gain = np.where(good, 0.3, -0.2)
    luck = np.repeat(generator.normal(0, 1, num_tasks), num_rollouts)
    outcome = (admitted * gain).sum(1) + luck + generator.normal(0, 0.1, len(good))
    target = np.where(good, 0.8, 0.1)
    tasks = [f"t{row // num_rollouts:03d}" for row in range(len(good))]
    features = np.stack([np.ones(good.shape), good], axis=-1)
    found = by_name(estimates(logged(outcome, admitted, target, probability=0.4, tasks=tasks, features=features)))
    truth = ((target - 0.4) * gain).sum(1).mean()
    for name in ("per decision", "self-normalised", "doubly robust"):
        one = found[name].difference
        assert one.low <= truth <= one.high, name
    widths = {name: one.difference.high - one.difference.low for name, one in found.items()}
    assert widths["doubly robust"] < 0.7 * widths["per decision"] < widths["whole trajectory"]
    assert found["whole trajectory"].effective_rollouts < 0.2 * len(good)


def test_padding_and_order_of_rollouts_change_nothing():
    generator = np.random.default_rng(1)
    admitted = generator.random((12, 3)) < 0.5
    one = logged(generator.normal(0, 1, 12), admitted, 0.7)
    arrays = (one.mask_rj, one.admitted_rj, one.logged_rj, one.target_rj)
    padded = [np.pad(array, ((0, 0), (0, 2))) for array in arrays]
    pad = LoggedDecisions(one.tasks, one.outcome_r, *padded, np.pad(one.features_rjd, ((0, 0), (0, 2), (0, 0))))
    order = generator.permutation(12)
    moved = LoggedDecisions(
        tuple(one.tasks[place] for place in order),
        *(array[order] for array in (one.outcome_r, *arrays)),
        one.features_rjd[order],
    )
    expected = [each.difference.estimate for each in estimates(one)]
    for other in (pad, moved):
        np.testing.assert_allclose([each.difference.estimate for each in estimates(other)], expected, atol=1e-12)


def test_what_cannot_be_told_is_refused():
    with pytest.raises(UserError, match="at least two rollouts of every task, got one of t1"):
        estimates(logged([1.0, 2.0, 3.0], [[1], [0], [1]], 1.0, tasks=["t0", "t0", "t1"]))
    with pytest.raises(UserError, match="expected chance in each"):
        estimates(logged([1.0, 2.0], [[1], [1]], 0.0, probability=1.0))
    same = estimates(logged([1.0, 2.0], [[1], [1]], 1.0, probability=1.0))
    assert all(one.difference.estimate == pytest.approx(0.0) for one in same)
