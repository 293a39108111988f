"""The assignment against all permutations, on every shape up to 4 x 4 and both with and without the solver."""

import itertools
import math
import random

import pytest

from lts_jax.tasks.scoring.alignment import mean, mean_assigned


def _best_by_permutations(scores: list[list[float]], num_predicted: int) -> float:
    size = max(len(scores), num_predicted)
    square = [row + [0.0] * (size - num_predicted) for row in scores]
    square += [[0.0] * size for _ in range(size - len(scores))]
    orders = itertools.permutations(range(size))
    return max(sum(square[row][column] for row, column in enumerate(order)) for order in orders) / size


@pytest.mark.parametrize("num_gold", [1, 2, 3, 4])
@pytest.mark.parametrize("num_predicted", [1, 2, 3, 4])
def test_equals_the_best_permutation(num_gold: int, num_predicted: int) -> None:
    draw = random.Random(num_gold * 10 + num_predicted)
    for _ in range(60):  # few distinct values, so ties and collisions are common
        scores = [[draw.choice([0.0, 0.2, 0.5, 2 / 3, 1.0]) for _ in range(num_predicted)] for _ in range(num_gold)]
        assert mean_assigned(scores, num_predicted) == pytest.approx(_best_by_permutations(scores, num_predicted))


def test_empty_sides() -> None:
    assert math.isnan(mean_assigned([], 0))
    assert mean_assigned([], 3) == 0.0
    assert mean_assigned([[], []], 0) == 0.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_scores_that_cannot_be_assigned(bad: float) -> None:
    with pytest.raises(ValueError, match="expected finite scores"):
        mean_assigned([[bad]], 1)


def test_mean_of_short_and_long_lists() -> None:
    assert mean([0.5, 1.0]) == 0.75
    assert mean([1.0] * 9 + [0.0]) == 0.9
    assert math.isnan(mean([]))
