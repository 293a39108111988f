"""Budgets: what a call costs, when calls end, and by how much calls in flight may overshoot."""

import asyncio
import math
import random

import pytest

from lts_jax.errors import UserError
from lts_jax.llm.budget import Budget, BudgetSettings, Price
from lts_jax.llm.chat import BudgetExhausted, Completion, ModelFailure


def test_a_price_is_per_million_tokens_of_each_kind():
    price = Price(usd_per_million_prompt_tokens=2.5, usd_per_million_completion_tokens=10.0)
    assert price.usd(Completion("", 1200, 300)) == pytest.approx(0.006)
    assert Price().usd(Completion("", 10**9, 10**9)) == 0.0


@pytest.mark.parametrize(
    "make",
    [
        lambda: Price(usd_per_million_prompt_tokens=-0.1),
        lambda: Price(usd_per_million_completion_tokens=math.nan),
        lambda: BudgetSettings(max_tokens=-1),
        lambda: BudgetSettings(max_usd=math.nan),
        lambda: BudgetSettings(max_seconds=-0.5),
    ],
)
def test_wrong_settings_are_refused(make):
    with pytest.raises(UserError, match="expected zero or more"):
        make()


def test_no_limit_is_no_limit():
    budget = Budget()
    budget.spend(10**12, 10**12, 1e9, 1e9)
    budget.check()


@pytest.mark.parametrize(
    "settings, message",
    [
        (BudgetSettings(max_tokens=30), "30 of 30 tokens are used"),
        (BudgetSettings(max_usd=0.5), "0.5 of 0.5 usd are used"),
        (BudgetSettings(max_seconds=4.0), "4 of 4 seconds are used"),
    ],
)
def test_reaching_a_limit_ends_calls_and_says_which(settings, message):
    budget = Budget(settings)
    budget.check()
    budget.spend(10, 5, 0.25, 2.0)
    budget.check()
    budget.spend(10, 5, 0.25, 2.0)
    for _ in range(2):  # for good
        with pytest.raises(BudgetExhausted, match=f"^{message}$"):
            budget.check()
    assert issubclass(BudgetExhausted, ModelFailure)


def test_a_budget_of_zero_allows_no_call():
    for settings in (BudgetSettings(max_tokens=0), BudgetSettings(max_usd=0.0), BudgetSettings(max_seconds=0.0)):
        with pytest.raises(BudgetExhausted):
            Budget(settings).check()


def test_overshoot_is_at_most_one_call_of_each_worker_and_no_call_starts_after_the_end():
    draw = random.Random(5)

    async def run(num_workers, limit):
        budget = Budget(BudgetSettings(max_tokens=limit))
        started_late = 0

        async def work():
            nonlocal started_late
            while True:
                try:
                    budget.check()
                except BudgetExhausted:
                    return
                started_late += budget.tokens >= limit
                for _ in range(draw.randrange(3)):
                    await asyncio.sleep(0)
                budget.spend(draw.randrange(50), draw.randrange(1, 51), 0.0, 0.0)

        await asyncio.gather(*(work() for _ in range(num_workers)))
        return budget.tokens, started_late

    for _ in range(100):
        num_workers, limit = draw.randrange(1, 6), draw.randrange(1, 2000)
        tokens, started_late = asyncio.run(run(num_workers, limit))
        assert started_late == 0
        assert limit <= tokens < limit + 100 * num_workers
