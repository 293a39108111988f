"""Learning curves out of the lines of a training run's metrics file."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_CURVES = 8
X_NAMES = ("iteration", "num_updates")
# what people look at first: a metric's rank is that of the first word found in its name
ORDER = (
    "return", "reward", "score", "admit_probability", "admission", "used", "runtime", "entropy",
    "policy_gradient_loss", "sparsity", "loss", "advantage", "admitted", "gradient_norm",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Curve:
    """One training metric over iterations; values that were not finite are left out."""

    name: str  # as in the metrics file, such as "memory/admission_fraction"
    x_name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


def learning_curves(lines: Sequence[Mapping[str, Any]], *, max_curves: int = MAX_CURVES) -> tuple[Curve, ...]:
    """The `max_curves` most telling numeric metrics that have at least two finite values, ranked by `ORDER`.

    A line without an x value (`X_NAMES`) gets its line number. Constant bookkeeping such as seeds is left out.
    """
    x_name = next((name for name in X_NAMES if any(name in line for line in lines)), "line")
    names = {name: None for line in lines for name, value in line.items() if _is_number(value)}
    curves = []
    for name in sorted((name for name in names if _rank(name) < len(ORDER)), key=_rank):
        points = [
            (float(line.get(x_name, number)), float(line[name]))
            for number, line in enumerate(lines)
            if _is_number(line.get(name)) and math.isfinite(line[name]) and _is_number(line.get(x_name, number))
        ]
        if len(points) >= 2:
            xs, ys = zip(*sorted(points), strict=True)
            curves.append(Curve(name=name, x_name=x_name, x=xs, y=ys))
    return tuple(curves[:max_curves])


def _rank(name: str) -> int:
    return next((rank for rank, word in enumerate(ORDER) if word in name.lower()), len(ORDER))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
