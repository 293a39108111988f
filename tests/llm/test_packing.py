"""Packing: by hand, against every subset, and what must hold of any budget."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lts_jax.llm.packing import by_density, estimated_tokens, exactly, greedily, in_order

WAYS = (greedily, by_density, exactly)


def test_three_items_by_hand() -> None:
    values, tokens = [0.9, 0.8, 0.7], [60, 50, 50]
    assert greedily(values, tokens, 100) == [0]  # .9, and 40 tokens are left
    assert exactly(values, tokens, 100) == [1, 2]  # 1.5
    assert by_density(values, tokens, 100) == [1, 2]  # .016 a token; .015 needs 60, which do not fit; .014
    assert exactly(values, tokens, 100, most=1) == [0]


def test_tokens_by_length() -> None:
    assert [estimated_tokens(text) for text in ("", "abc", "abcd", "abcde")] == [1, 1, 1, 2]


def test_in_order_passes_over_what_does_not_fit() -> None:
    assert in_order([2, 0, 1], [5, 4, 9], 13) == [2, 1]  # 9, then 5 do not fit, then 4 do
    assert in_order([2, 0, 1], [5, 3, 9], None, most=2) == [2, 0]


def _worth(places: list[int], values: list[float]) -> float:
    return sum(values[place] for place in places)


@pytest.mark.parametrize("most", [None, 0, 1, 3, 12])
@given(
    items=st.lists(st.tuples(st.integers(-2, 40), st.integers(1, 30)), max_size=12),
    budget=st.none() | st.integers(0, 120),
)
def test_the_exact_knapsack_against_every_subset(
    items: list[tuple[int, int]], budget: int | None, most: int | None
) -> None:
    values, tokens = [value / 8 for value, _ in items], [size for _, size in items]
    best = max(
        sum(values[place] for place in chosen)
        for size in range(len(items) + 1 if most is None else min(most, len(items)) + 1)
        for chosen in combinations(range(len(items)), size)
        if budget is None or sum(tokens[place] for place in chosen) <= budget
    )
    assert _worth(exactly(values, tokens, budget, most), values) == pytest.approx(best)


@given(
    items=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 300)), max_size=40),
    budgets=st.tuples(st.integers(0, 2000), st.integers(0, 2000)),
    most=st.none() | st.integers(0, 8),
)
def test_a_budget_is_never_exceeded_and_exact_grows_with_it(
    items: list[tuple[float, int]], budgets: tuple[int, int], most: int | None
) -> None:
    values, tokens = [value for value, _ in items], [size for _, size in items]
    small, large = sorted(budgets)
    for way in WAYS:
        places = way(values, tokens, small, most)
        assert sum(tokens[place] for place in places) <= small
        assert places == sorted(set(places)) and len(places) <= (len(items) if most is None else most)
        everything = [place for place, value in enumerate(values) if value > 0]
        assert way(values, tokens, None) == everything
        assert _worth(places, values) <= _worth(exactly(values, tokens, small, most), values) + 1e-9
    assert (
        _worth(exactly(values, tokens, small, most), values)
        <= _worth(exactly(values, tokens, large, most), values) + 1e-9
    )
