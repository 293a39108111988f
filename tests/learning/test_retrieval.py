"""The retriever's losses by hand, its update by finite differences, and what cannot teach."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.learning.retrieval import (
    Lessons,
    RetrievalSettings,
    bce_head,
    contrastive,
    new_state,
    retrieval_loss,
    train,
    update,
)
from lts_jax.models.retriever import body, cosines, head_scores, init_retriever

D, C = 3, 4
QUERY_BD = jnp.array([[1.0, 0.5, -0.2], [0.3, -1.0, 0.4]])
CANDIDATE_BCD = jnp.array(
    [
        [[0.9, 0.1, 0.3], [-0.5, 0.8, 0.1], [0.2, 0.2, 1.0], [0.0, 0.0, 0.0]],
        [[0.1, -0.7, 0.6], [1.0, 0.2, 0.2], [-0.4, -0.4, 0.9], [0.5, 0.5, -0.5]],
    ]
)
POSITIVE_BC = jnp.array([[True, False, False, False], [False, False, True, True]])
NEGATIVE_BC = jnp.array([[False, True, True, False], [True, True, False, False]])
LESSONS = Lessons(QUERY_BD, CANDIDATE_BCD, POSITIVE_BC, NEGATIVE_BC)
BOTH = ("contrastive", "bce_head")


def test_bce_head_by_hand():
    """-log .8 - log(1 - .3) = .2231 + .3567."""
    loss = bce_head(jnp.array([0.8, 0.3, 0.5]), jnp.array([True, False, False]), jnp.array([False, True, False]))
    assert float(loss) == pytest.approx(0.5798, abs=5e-5)


def test_contrastive_by_hand():
    """.9 / .05 = 18 against 10 and 2: log(1 + e^-8 + e^-16) = 3.355e-4."""
    loss = contrastive(jnp.array([0.9, 0.5, 0.1]), jnp.array([1, 0, 0], bool), jnp.array([0, 1, 1], bool), 0.05)
    assert float(loss) == pytest.approx(3.355e-4, abs=5e-8)


def test_two_positives_are_averaged_and_not_each_others_negatives():
    """Positives 1 and 0, negative 0, t = 1: (log(1 + e^-1) + log 2) / 2."""
    loss = contrastive(jnp.array([1.0, 0.0, 0.0]), jnp.array([1, 1, 0], bool), jnp.array([0, 0, 1], bool), 1.0)
    assert float(loss) == pytest.approx((math.log1p(math.exp(-1)) + math.log(2)) / 2, rel=1e-6)


def test_untrained_is_the_encoders_cosine():
    params = init_retriever(2)
    found = cosines(params, jnp.array([3.0, 4.0]), jnp.array([[4.0, 3.0], [0.0, 2.0], [0.0, 0.0]]))
    np.testing.assert_allclose(found, [24 / 25, 4 / 5, 0.0], rtol=1e-6)
    np.testing.assert_allclose(body(params, jnp.array([3.0, 4.0])), [0.6, 0.8], rtol=1e-6)


def test_the_released_head_by_hand():
    """w = (1, 0, 0, 2), f(x) = (.6, .8), f(m) = (0, 1): sigmoid(.6 + 2)."""
    params = init_retriever(2) | {"head": jnp.array([1.0, 0.0, 0.0, 2.0])}
    found = head_scores(params, jnp.array([3.0, 4.0]), jnp.array([[0.0, 5.0]]))
    assert float(found[0]) == pytest.approx(1 / (1 + math.exp(-2.6)), rel=1e-6)


def plain_loss(settings, tables, lessons):
    """The loss with loops and Python's floats, from the formula."""
    weight, head = np.asarray(tables["map"], np.float64), np.asarray(tables["head"], np.float64)

    def f(x):
        y = weight @ np.asarray(x, np.float64)
        return y / math.sqrt(y @ y) if y @ y > 0 else y

    losses = []
    for row in range(len(lessons.query_bd)):
        query = f(lessons.query_bd[row])
        bodies = [f(one) for one in lessons.candidate_bcd[row]]
        positives = np.flatnonzero(lessons.is_positive_bc[row])
        negatives = np.flatnonzero(lessons.is_negative_bc[row])
        if settings.loss == "bce_head":
            score = [1 / (1 + math.exp(-(head @ np.concatenate([query, one])))) for one in bodies]
            losses.append(-sum(math.log(score[m]) for m in positives) - sum(math.log(1 - score[m]) for m in negatives))
        else:
            logit = [query @ one / settings.temperature for one in bodies]
            below = sum(math.exp(logit[m]) for m in negatives)
            losses.append(-np.mean([math.log(math.exp(logit[m]) / (math.exp(logit[m]) + below)) for m in positives]))
    return float(np.mean(losses))


def drawn_params():
    rng = np.random.default_rng(3)
    return {
        "map": jnp.asarray(np.eye(D) + 0.3 * rng.normal(size=(D, D)), jnp.float32),
        "head": jnp.asarray(rng.normal(size=2 * D), jnp.float32),
    }


@pytest.mark.parametrize("loss", BOTH)
def test_the_update_by_finite_differences(loss):
    """The gradient is that of the slow twin, and AdamW's first step goes lr * sign(gradient) along it, less decay."""
    settings = RetrievalSettings(loss=loss, temperature=0.5, learning_rate=1e-2, weight_decay=0.1)
    params = drawn_params()
    slope = {}
    for name, table in params.items():
        slope[name] = np.zeros(table.shape)
        for place in np.ndindex(table.shape):
            ends = []
            for sign in (1, -1):
                moved = np.array(table, np.float64)
                moved[place] += sign * 1e-4
                ends.append(plain_loss(settings, params | {name: moved}, LESSONS))
            slope[name][place] = (ends[0] - ends[1]) / 2e-4
    gradient = jax.jit(jax.grad(lambda tables: retrieval_loss(settings, tables, LESSONS)))(params)
    for name in params:
        np.testing.assert_allclose(gradient[name], slope[name], atol=2e-5)
    state = new_state(settings, D)
    state = type(state)(params, state.optimizer)
    made, before = update(settings, state, LESSONS)
    assert float(before) == pytest.approx(plain_loss(settings, params, LESSONS), rel=1e-5)
    for name, table in params.items():
        step = np.where(np.abs(slope[name]) > 1e-6, np.sign(slope[name]), 0.0) + 0.1 * np.asarray(table)
        np.testing.assert_allclose(made.params[name], np.asarray(table) - 1e-2 * step, atol=2e-5)


@pytest.mark.parametrize("loss", BOTH)
def test_padding_changes_nothing(loss):
    settings, params = RetrievalSettings(loss=loss), drawn_params()
    padded = Lessons(
        jnp.pad(QUERY_BD, ((0, 3), (0, 0))),
        jnp.pad(CANDIDATE_BCD, ((0, 3), (0, 2), (0, 0))),
        jnp.pad(POSITIVE_BC, ((0, 3), (0, 2))),
        jnp.pad(NEGATIVE_BC, ((0, 3), (0, 2))),
    )
    loss_of = jax.jit(jax.value_and_grad(lambda tables, lessons: retrieval_loss(settings, tables, lessons)))
    found = (jax.tree.leaves(loss_of(params, lessons)) for lessons in (LESSONS, padded))
    for one, other in zip(*found, strict=True):
        assert np.isfinite(other).all()
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("loss", BOTH)
def test_what_has_no_positive_or_no_negative_teaches_nothing(loss):
    settings = RetrievalSettings(loss=loss)
    state = new_state(settings, D)
    nothing = jnp.zeros_like(POSITIVE_BC)
    for lessons in (
        Lessons(QUERY_BD, CANDIDATE_BCD, nothing, NEGATIVE_BC),
        Lessons(QUERY_BD, CANDIDATE_BCD, POSITIVE_BC, nothing),
    ):
        made, before = update(settings, state, lessons)
        assert float(before) == 0.0
        jax.tree.map(np.testing.assert_array_equal, made, state)


def test_training_is_updates_in_order():
    settings = RetrievalSettings()
    state, losses = new_state(settings, D), []
    for _ in range(3):
        state, before = update(settings, state, LESSONS)
        losses.append(float(before))
    made, before = train(settings, new_state(settings, D), [LESSONS] * 3)
    np.testing.assert_allclose(before, losses, rtol=1e-5)
    np.testing.assert_allclose(made.params["map"], state.params["map"], rtol=1e-5)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": "hinge"},
        {"temperature": 0},
        {"learning_rate": -1},
        {"num_epochs": 0},
        {"batch_size": 0},
        {"weight_decay": -1},
    ],
)
def test_a_setting_that_cannot_be_is_one_line(wrong):
    with pytest.raises(UserError, match=f"retrieval.{next(iter(wrong))}: expected"):
        RetrievalSettings(**wrong)
