"""The axis S of a sweep: points outermost, the seeds of a point side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

Point = Mapping[str, float]


def stack_points(records: Sequence[Any], num_seeds: int) -> Any:
    """Every number of the points' records as f32[S]: each repeated for all seeds."""

    def column(*values: float) -> Array:
        return jnp.repeat(jnp.asarray(values, jnp.float32), num_seeds)

    return jax.tree.map(column, *records)


def tile_seeds(tree: Any, num_points: int) -> Any:
    """Arrays [seeds, ...] as [S, ...]: all of them again for every point."""
    return jax.tree.map(lambda leaf: jnp.tile(leaf, (num_points,) + (1,) * (jnp.ndim(leaf) - 1)), tree)


def seed_keys(seeds: Sequence[int], num_points: int) -> Array:
    """Random keys [S]: a seed has the same at every point."""
    return jax.vmap(jax.random.key)(tile_seeds(jnp.asarray(seeds, jnp.uint32), num_points))


def unstack(measures: Mapping[str, Array], num_seeds: int) -> dict[str, np.ndarray]:
    """Measures [S] as f64[points, seeds]."""
    return {name: np.asarray(value, np.float64).reshape(-1, num_seeds) for name, value in measures.items()}


def grid_rows(points: Sequence[Point], seeds: Sequence[int], measures: Mapping[str, Array]) -> list[dict[str, Any]]:
    """One row for each of S: the point's values, the seed, and the measures."""
    columns = {name: np.asarray(values, np.float64) for name, values in measures.items()}
    places = [(point, seed) for point in points for seed in seeds]
    return [
        {**point, "seed": seed, **{name: float(values[row]) for name, values in columns.items()}}
        for row, (point, seed) in enumerate(places)
    ]
