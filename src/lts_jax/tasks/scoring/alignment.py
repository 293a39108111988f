"""One-to-one assignment of predicted items to gold items, and the mean over the longer of the two lists.

The assignment is SciPy's. Two shortcuts give the same numbers without it: one row or one column, and rows whose best
columns do not collide (a fully correct answer is of this kind), where every optimal assignment takes each row's best.
"""

import math

_TIE_WIDTH = 1e-9  # rounding inside the solver is far smaller; nearer ties than this are left to the solver
_PAIRWISE_LENGTH = (
    8  # from this many numbers on NumPy's mean sums in pairs, so the plain loop may differ in the last bit
)


def mean(values: list[float]) -> float:
    """Arithmetic mean, equal to `numpy.mean` to the last bit; NaN of no values."""
    if not values:
        return math.nan
    if len(values) >= _PAIRWISE_LENGTH:
        import numpy as np

        return float(np.mean(values))
    total = 0.0
    for value in values:  # not the built-in sum, which compensates rounding from Python 3.12 on
        total += value
    return total / len(values)


def mean_assigned(scores: list[list[float]], num_predicted: int) -> float:
    """Mean over max(gold, predicted) items of the scores picked by the assignment with the largest total.

    Args: scores: one row per gold item, one column per predicted item; num_predicted: the number of columns.
    Returns: a mean in the units of the scores; NaN when both lists are empty.
    Raises: ValueError if a score is NaN or +inf (no assignment is defined then).
    """
    if not scores and not num_predicted:
        return math.nan
    if not scores or not num_predicted:
        return 0.0
    if any(math.isnan(score) or score == math.inf for row in scores for score in row):
        raise ValueError("expected finite scores to assign, got NaN or infinity")
    size = max(len(scores), num_predicted)
    picked = _without_solver(scores, num_predicted)
    if picked is None:
        picked = _with_solver(scores)
    per_item = [max(0.0, score) for score in picked]
    return mean(per_item + [0.0] * (size - len(per_item)))


def _without_solver(scores: list[list[float]], num_predicted: int) -> list[float] | None:
    if len(scores) == 1:
        return [max(scores[0])]
    if num_predicted == 1:
        column = [row[0] for row in scores]
        best_row = column.index(max(column))
        return [score if row_index == best_row else 0.0 for row_index, score in enumerate(column)]
    best_of_rows, taken = [], set()
    for row in scores:
        best = max(row)
        best_of_rows.append(best)
        if best <= 0.0:
            continue  # worth nothing wherever it lands
        column_index = row.index(best)
        near_tie = any(best - _TIE_WIDTH < score < best for score in row)
        if near_tie or column_index in taken:
            return None
        taken.add(column_index)
    return best_of_rows


def _with_solver(scores: list[list[float]]) -> list[float]:
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    gains = np.array(scores, dtype=float)
    picked = [0.0] * len(scores)
    for row, column in zip(*linear_sum_assignment(-gains), strict=True):
        picked[row] = scores[row][column]
    return picked
