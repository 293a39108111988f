"""Which texts stand in a prompt of limited tokens: tokens by length, and three ways to fill a budget.

Every way returns places in the given order, and never more tokens than the budget. A value that is not positive is
never worth a token.
"""

from collections.abc import Sequence

import numpy as np

CHARACTERS_PER_TOKEN = 4


def estimated_tokens(text: str) -> int:
    """Tokens of a text by its length, rounded up; at least 1."""
    return max(1, -(-len(text) // CHARACTERS_PER_TOKEN))


def in_order(order: Sequence[int], tokens: Sequence[int], budget: int | None, most: int | None = None) -> list[int]:
    """Places taken in this order, each that still fits: at most `budget` tokens and `most` places, where given."""
    taken: list[int] = []
    left = budget
    for place in order:
        if most is not None and len(taken) >= most:
            break
        if left is None or tokens[place] <= left:
            taken.append(place)
            left = None if left is None else left - tokens[place]
    return taken


def greedily(values: Sequence[float], tokens: Sequence[int], budget: int | None, most: int | None = None) -> list[int]:
    """The most valuable first, equal ones in their order, each that still fits (RCR-Router, arXiv 2508.04903)."""
    return sorted(in_order(_ranked(values, values), tokens, budget, most))


def by_density(
    values: Sequence[float], tokens: Sequence[int], budget: int | None, most: int | None = None
) -> list[int]:
    """The largest value per token first, each that still fits."""
    density = [value / max(1, size) for value, size in zip(values, tokens, strict=True)]
    return sorted(in_order(_ranked(density, values), tokens, budget, most))


def exactly(values: Sequence[float], tokens: Sequence[int], budget: int | None, most: int | None = None) -> list[int]:
    """argmax over sets C of sum_C value, subject to sum_C tokens <= budget and |C| <= most: a 0/1 knapsack.

    A dynamic program over tokens: best[k, b] is the most that k items of b tokens are worth; O(n most budget), without
    `most` O(n budget). Where all fit, all that are worth something are taken.
    """
    worth = [place for place, value in enumerate(values) if value > 0]
    most = None if most is None or most >= len(worth) else most
    if budget is None or budget >= sum(tokens[place] for place in worth):
        return worth if most is None else greedily(values, tokens, None, most)
    if budget < 1 or most == 0:
        return []
    if most is not None:
        worth = _undominated(worth, values, tokens, most)
    room = min(budget, sum(tokens[place] for place in worth))
    best_kb = np.zeros(((most or 1) + 1, room + 1))
    taken_nkb = np.zeros((len(worth), *best_kb.shape), bool)
    step = 0 if most is None else 1  # without a limit of places one layer is enough
    for number, place in enumerate(worth):
        size = tokens[place]
        for layer in range(len(best_kb) - 1, 0, -1) if size <= room else ():
            with_it_b = best_kb[layer - step, : room + 1 - size] + values[place]
            better_b = with_it_b > best_kb[layer, size:] + 1e-12
            taken_nkb[number, layer, size:] = better_b
            best_kb[layer, size:] = np.where(better_b, with_it_b, best_kb[layer, size:])
    layer, left, found = len(best_kb) - 1, room, []
    for number in range(len(worth) - 1, -1, -1):
        if taken_nkb[number, layer, left]:
            found.append(worth[number])
            left -= tokens[worth[number]]
            layer -= step
    return found[::-1]


def _undominated(worth: Sequence[int], values: Sequence[float], tokens: Sequence[int], most: int) -> list[int]:
    """Places that fewer than `most` others are at least as good as, being worth no less and no longer.

    The others are never needed: of `most` that are as good, one is not among the at most `most` - 1 other places of a
    set, and can stand in its place.
    """
    value_n, token_n = np.array([values[place] for place in worth]), np.array([tokens[place] for place in worth])
    number_n = np.arange(len(worth))
    better_nn = (value_n[None] >= value_n[:, None]) & (token_n[None] <= token_n[:, None])
    equal_nn = (value_n[None] == value_n[:, None]) & (token_n[None] == token_n[:, None])
    better_nn &= ~equal_nn | (number_n[None] < number_n[:, None])  # of equal ones the earlier
    return [worth[number] for number in np.flatnonzero(better_nn.sum(axis=1) < most).tolist()]


def _ranked(by: Sequence[float], values: Sequence[float]) -> list[int]:
    """Places of positive value, the largest first."""
    return sorted((place for place, value in enumerate(values) if value > 0), key=lambda place: -by[place])
