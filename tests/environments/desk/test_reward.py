"""AgeMem's reward, worked by hand: every term, every penalty."""

import numpy as np
import pytest

from lts_jax.environments.desk.reward import Told, context, memory, reward, tools

WORKED = Told(
    score=np.float32(0.8),
    has_answered=np.True_,
    is_last_round=np.False_,
    token_ratio=0.25,
    prevented=1.0,
    preserved=1.0,
    storage=2 / 3,
    maintenance=1.0,
    relevance=0.5,
    num_calls=4,
    num_rounds=4,
    most_rounds=5,
    used_retrieve=1.0,
    used_context_tool=1.0,
    used_add=1.0,
    overflowed=np.False_,
)


def test_the_worked_example() -> None:
    # Context (.75 + 1 + 1) / 3; memory (2/3 + 1 + .5) / 3; tools .2 + .5 + .2 (1 - 4/5).
    assert float(context(WORKED)) == pytest.approx(0.916667, abs=1e-6)
    assert float(memory(WORKED)) == pytest.approx(0.722222, abs=1e-6)
    assert float(tools(WORKED)) == pytest.approx(0.74, abs=1e-6)
    assert float(reward(WORKED)) == pytest.approx(0.79383, abs=1e-5)  # .4 + .1375 + .10833 + .148


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"overflowed": np.True_}, 0.29383),  # half less
        ({"has_answered": np.False_}, 0.39383 - 1.0),  # no score, and the penalty
        ({"has_answered": np.False_, "is_last_round": np.True_}, -1.0),  # -1.60617, clipped
        ({"num_calls": 1}, 0.79383 - 0.04),  # a quarter of a call a round: no scale
        ({"num_calls": 13}, 0.79383 - 0.06),  # more than three a round: -.1 instead of .2
        ({"token_ratio": 1.5}, 0.79383 - 0.15 * 0.25),  # the ratio pays nothing beyond the limit
    ],
)
def test_what_each_change_costs(changed: dict, expected: float) -> None:
    assert float(reward(WORKED._replace(**changed))) == pytest.approx(expected, abs=1e-5)
