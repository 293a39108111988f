"""Who teaches whom, how much, and on what: by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.learning.distillation import (
    SharingSettings,
    add_contexts,
    diversity,
    drawn_contexts,
    empty_contexts,
    peers,
    sharing_weight,
    teacher_weights,
)


def test_the_ring_keeps_the_newest():
    """Five contexts in a ring of three: 3, 4, 2 lie in it, and only what was added is drawn."""
    ring = empty_contexts(jnp.zeros(1), 3)
    ring = add_contexts(ring, jnp.asarray([[0.0], [1.0]]))
    drawn = drawn_contexts(ring, jax.random.key(0), 50)
    assert set(np.asarray(drawn)[:, 0]) == {0.0, 1.0}
    ring = add_contexts(ring, jnp.asarray([[2.0], [3.0], [4.0]]))
    np.testing.assert_array_equal(ring.kept_n[:, 0], [3.0, 4.0, 2.0])
    with pytest.raises(UserError, match=r"sharing.num_contexts: expected at least 4"):
        add_contexts(ring, jnp.zeros((4, 1)))


def test_the_weight_falls_in_a_line_and_only_every_so_often():
    settings = SharingSettings(weight=2.0, period=5, num_decay_updates=10)
    told = [float(sharing_weight(settings, jnp.asarray(number))) for number in (0, 1, 5, 10, 15)]
    assert told == [2.0, 0.0, 1.0, 0.0, 0.0]


def test_teachers_are_all_others_or_the_best_of_them():
    returns, alike = jnp.asarray([1.0, 3.0, 2.0]), peers([0, 0, 0])
    np.testing.assert_allclose(
        teacher_weights(SharingSettings(), returns, alike), [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    )
    best = teacher_weights(SharingSettings(teachers="best"), returns, alike)
    np.testing.assert_array_equal(best, [[0, 1, 0], [0, 0, 1], [0, 1, 0]])


@pytest.mark.parametrize("teachers", ["all", "best"])
def test_nobody_learns_from_another_role(teachers):
    """Two of one role and one of another: the two teach each other, the third learns nothing."""
    weights = teacher_weights(SharingSettings(teachers=teachers), jnp.asarray([1.0, 3.0, 2.0]), peers([0, 1, 0]))
    np.testing.assert_array_equal(weights, [[0, 0, 1], [0, 0, 0], [1, 0, 0]])


def test_diversity_by_hand():
    """KL([.7,.2,.1] || [.4,.4,.2]) = .1838 and .1920 the other way: their mean; equal policies have none."""
    policies = jnp.log(jnp.asarray([[[0.7, 0.2, 0.1]], [[0.4, 0.4, 0.2]]]))
    alike = peers([0, 0])
    np.testing.assert_allclose(diversity(policies, alike), (0.1838 + 0.1920) / 2, atol=1e-4)
    np.testing.assert_allclose(diversity(policies[:1].repeat(2, axis=0), alike), 0.0, atol=1e-7)
    twice = jnp.concatenate([policies, policies[::-1]], axis=1)
    np.testing.assert_allclose(diversity(twice, alike, jnp.asarray([True, False])), 0.1879, atol=1e-4)
    np.testing.assert_allclose(diversity(policies, peers([0, 1])), 0.0, atol=1e-7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"period": 0}, "sharing.period: expected at least 1"),
        ({"weight": -1.0}, "sharing.weight: expected at least 0"),
        ({"temperature": 0.0}, "sharing.temperature: expected more than 0"),
        ({"teachers": "nobody"}, "sharing.teachers: expected all or best"),
    ],
)
def test_what_cannot_be_meant_is_one_line(changes, message):
    with pytest.raises(UserError, match=message):
        SharingSettings(**changes)
