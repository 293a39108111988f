"""The minimum of a function of numbers without its gradient: an evolution strategy with covariance adaptation."""

from collections.abc import Callable

import numpy as np


def minimum(
    losses: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    *,
    spread: float,
    population: int,
    generations: int,
    seed: int,
) -> np.ndarray:
    """Where `losses` is least, as far as found: the centre of the last generation, f64[n].

    CMA-ES with the standard constants (Hansen, "The CMA Evolution Strategy: A Tutorial", arXiv 1604.00772, sections
    2 to 4, without negative weights). Losses that are not finite count as worst. One seed, one result.

    Args:
        losses: f64[population, n] to f64[population]; the same function at every call (common random numbers).
        start: f64[n] first centre.
        spread: first standard deviation of every component.
        population: points a generation.
        generations: how many.
        seed: of the draws.
    """
    generator, n = np.random.default_rng(seed), len(start)
    num_parents = population // 2
    weight = np.log(num_parents + 0.5) - np.log(np.arange(1, num_parents + 1))
    weight /= weight.sum()
    effective = 1.0 / np.sum(weight**2)
    sigma_rate = (effective + 2) / (n + effective + 5)
    damping = 1 + 2 * max(0.0, np.sqrt((effective - 1) / (n + 1)) - 1) + sigma_rate
    path_rate = (4 + effective / n) / (n + 4 + 2 * effective / n)
    rank_one = 2 / ((n + 1.3) ** 2 + effective)
    rank_many = min(1 - rank_one, 2 * (effective - 2 + 1 / effective) / ((n + 2) ** 2 + effective))
    expected = np.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2))
    centre, sigma, covariance = np.array(start, float), spread, np.eye(n)
    sigma_path, path = np.zeros(n), np.zeros(n)
    for generation in range(1, generations + 1):
        scale, axes = np.linalg.eigh(covariance)
        scale = np.sqrt(np.maximum(scale, 1e-12))
        drawn = generator.standard_normal((population, n))
        moved = drawn * scale @ axes.T
        loss = np.asarray(losses(centre + sigma * moved), float)
        best = np.argsort(np.where(np.isfinite(loss), loss, np.inf), kind="stable")[:num_parents]
        mean_move = weight @ moved[best]
        centre = centre + sigma * mean_move
        whitened = axes @ ((axes.T @ mean_move) / scale)
        sigma_path = (1 - sigma_rate) * sigma_path + np.sqrt(sigma_rate * (2 - sigma_rate) * effective) * whitened
        length = np.linalg.norm(sigma_path)
        is_short = length / np.sqrt(1 - (1 - sigma_rate) ** (2 * generation)) < (1.4 + 2 / (n + 1)) * expected
        path = (1 - path_rate) * path + is_short * np.sqrt(path_rate * (2 - path_rate) * effective) * mean_move
        kept = rank_one * (1 - is_short) * path_rate * (2 - path_rate)
        covariance = (
            (1 - rank_one - rank_many + kept) * covariance
            + rank_one * np.outer(path, path)
            + rank_many * (moved[best].T * weight) @ moved[best]
        )
        sigma *= np.exp(sigma_rate / damping * (length / expected - 1))
    return centre
