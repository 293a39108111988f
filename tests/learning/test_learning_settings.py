"""Settings, schedules and metric names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.learning.metrics import METRICS, as_floats
from lts_jax.learning.settings import LearningSettings
from lts_jax.learning.state import optimizer


def learning_rates(settings: LearningSettings, num_updates: int) -> list[float]:
    """Step sizes of AdamW under a constant gradient: its first moment over the root of its second is one."""
    transformation = optimizer(settings)
    params, sizes = jnp.zeros(1), []
    state = transformation.init(params)
    for _ in range(num_updates):
        change, state = transformation.update(jnp.ones(1), state, params)
        sizes.append(-float(change[0]))
    return sizes


def test_schedule_rises_linearly_and_falls_as_a_cosine() -> None:
    constant = LearningSettings(learning_rate=0.5, weight_decay=0.0)
    np.testing.assert_allclose(learning_rates(constant, 3), [0.5] * 3, rtol=1e-4)
    shaped = LearningSettings(learning_rate=0.5, weight_decay=0.0, num_warmup_updates=2, num_decay_updates=2)
    # Rising 0, .25; then .5 * (1 + cos(pi * n / 2)) / 2 at n = 0, 1, 2.
    np.testing.assert_allclose(learning_rates(shaped, 5), [0.0, 0.25, 0.5, 0.25, 0.0], atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"value_weight": -0.1}, "learning.value_weight: expected at least 0, got -0.1"),
        ({"sparsity_weight": float("nan")}, "sparsity_weight: expected at least 0, got nan"),
        ({"temperature": 0.0}, "temperature: expected more than 0"),
        ({"learning_rate": 0.0}, "learning_rate: expected more than 0"),
        ({"beta1": 1.0}, r"beta1: expected a number in \[0, 1\)"),
        ({"num_warmup_updates": -1}, "num_warmup_updates: expected at least 0"),
        ({"step_reduction": "median"}, "sum or mean"),
    ],
)
def test_wrong_values_are_refused(changes: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        LearningSettings(**changes)


def test_metrics_have_a_folder_a_meaning_and_a_direction() -> None:
    for name, metric in METRICS.items():
        assert name.split("/")[0] in {"learning", "credit", "memory"}
        assert metric.meaning
        assert metric.better in {"up", "down", ""}
    assert as_floats({"learning/loss": jax.numpy.asarray(0.5)}) == {"learning/loss": 0.5}
    with pytest.raises(KeyError, match="learning/lost"):
        as_floats({"learning/lost": jax.numpy.asarray(0.5)})
