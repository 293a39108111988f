"""What workers may spend and how many calls they may have in flight: by hand, and as a law over random histories."""

import asyncio
import random

import pytest

from lts_jax.distributed.gate import Gate, GatedModel
from lts_jax.distributed.jumping_loop import run_jumping
from lts_jax.distributed.leases import UNITS, Beat, Lender, Spent, Terms
from lts_jax.llm.budget import Budget, BudgetSettings, Price
from lts_jax.llm.chat import BudgetExhausted, Completion, ModelFailure
from lts_jax.records import Message


class Clock:
    seconds = 0.0

    def __call__(self):
        return self.seconds


def lender(max_in_flight=8, clock=None, **limits):
    return Lender(BudgetSettings(**limits), max_in_flight, clock or Clock())


def test_calls_in_flight_are_divided_and_never_exceed_the_whole():
    made = lender(max_in_flight=5)
    assert made.terms("a").share == 5
    made.heard("a", Beat(num_in_flight=5))
    # b's fair part is 2, but a still has five in flight
    assert made.terms("b").share == 0
    assert made.terms("a").share == 3
    made.heard("a", Beat(num_in_flight=4))
    assert made.terms("b").share == 1
    made.heard("a", Beat(num_in_flight=3))
    assert made.terms("b").share == 2
    made.lost("a", Spent())
    assert made.terms("b").share == 5


def test_a_429_halves_the_calls_in_flight_and_quiet_raises_them_again():
    clock = Clock()
    made = lender(max_in_flight=16, clock=clock)
    made.terms("a")
    made.heard("a", Beat(num_rate_limited=3))
    assert made.max_in_flight == 8
    made.heard("a", Beat(num_rate_limited=9))  # of the calls before
    assert made.max_in_flight == 8
    clock.seconds = 11.0
    made.heard("a", Beat(num_rate_limited=10))
    assert made.max_in_flight == 4
    clock.seconds = 42.0
    made.heard("a", Beat(num_rate_limited=10))
    assert made.max_in_flight == 5  # 4 * 1.1 + 1
    clock.seconds = 1000.0
    for _ in range(40):
        clock.seconds += 31.0
        made.heard("a", Beat(num_rate_limited=10))
    assert made.max_in_flight == 16


def test_calls_a_second_are_divided_and_never_exceed_the_whole():
    made = Lender(BudgetSettings(), 8, Clock(), rate=12.0)
    assert made.terms("a").rate == 12.0
    made.heard("a", Beat())
    assert made.terms("b").rate == 0.0  # a may still keep to twelve
    made.heard("b", Beat())
    assert made.terms("a").rate == 6.0
    assert made.terms("b").rate == 0.0  # until a has said that it heard
    made.heard("a", Beat())
    assert made.terms("b").rate == 6.0
    made.heard("b", Beat(num_rate_limited=1))  # a 429 halves them
    assert made.terms("a").rate == made.terms("b").rate == 3.0
    made.lost("a", Spent())
    assert made.terms("b").rate == 6.0
    assert Lender(BudgetSettings(), 8, Clock()).terms("a").rate is None


@pytest.mark.parametrize("seed", range(10))
def test_workers_together_keep_to_the_calls_a_second(seed):
    """They come, die, and hear of their terms late; each always has calls waiting."""
    draw = random.Random(seed)
    rate, begun, churn = draw.choice([3.0, 40.0]), [], 0

    async def call(gate):
        reserved = await gate.enter(Spent())
        begun.append(asyncio.get_running_loop().time())
        await asyncio.sleep(draw.uniform(0.0, 0.3))
        gate.leave(reserved, Spent())

    async def lane(gate):
        while True:
            await call(gate)

    async def whole():
        nonlocal churn
        loop = asyncio.get_running_loop()
        made = Lender(BudgetSettings(), 64, loop.time, rate)
        workers = {}
        while loop.time() < 60.0:
            if len(workers) < 3 or draw.random() < 0.02:
                churn += 1
                gate = Gate()
                workers[churn] = gate, [asyncio.create_task(lane(gate)) for _ in range(4)]
            name = draw.choice(list(workers))
            gate, lanes = workers[name]
            made.heard(name, gate.beat(made.terms(name)))
            if len(workers) > 3 or draw.random() < 0.01:
                for one in lanes:
                    one.cancel()
                made.lost(name, Spent())
                del workers[name]
            await asyncio.sleep(draw.uniform(0.0, 0.5))
        for _, lanes in workers.values():
            for one in lanes:
                one.cancel()

    run_jumping(whole())
    most = rate * 60.0 + churn * max(1.0, 0.1 * rate)
    assert 0.6 * rate * 60.0 < len(begun) <= most


def test_slices_by_hand():
    made = lender(max_tokens=800)
    # a quarter of what is left, as there is one worker
    assert made.terms("a").limit.tokens == 200.0
    made.heard("a", Beat(Spent(50.0), limit=Spent(200.0)))
    assert made.terms("a").limit.tokens == 200.0  # 150 of it is not used yet: more than half of a slice of 150
    # two workers: an eighth of the 600 that are left
    assert made.terms("b").limit.tokens == 75.0
    made.heard("b", Beat(Spent(75.0), limit=Spent(75.0), lacks=Spent(100.0)))
    # an eighth of 525 is 65.6, and it lacks 100
    assert made.terms("b").limit.tokens == 175.0
    assert made.left("tokens") == 800.0 - 200.0 - 175.0
    # a dead worker's loan comes back but what its journal shows
    made.lost("a", Spent(60.0))
    assert made.left("tokens") == 800.0 - 60.0 - 175.0


def test_a_worker_that_lacks_money_gets_what_others_have_not_spent():
    made = lender(max_tokens=100)
    made.terms("a")
    made.heard("a", Beat(Spent(0.0), limit=Spent(100.0)))  # it holds everything
    made.terms("b")
    made.heard("b", Beat(lacks=Spent(40.0), limit=Spent(0.0)))
    told = made.terms("b")
    assert told.limit.tokens == 0.0 and not told.is_exhausted
    assert made.terms("a").limit.tokens == 0.0  # to be given back
    made.heard("a", Beat(Spent(30.0), Spent(20.0), limit=Spent(50.0)))  # what it keeps: spent and reserved
    assert made.terms("b").limit.tokens == 40.0


def test_of_two_that_lack_money_the_first_is_served_with_what_both_have_left():
    made = lender(max_tokens=100)
    for name in ("a", "b"):
        made.terms(name)
        made.heard(name, Beat(Spent(20.0), limit=Spent(50.0), lacks=Spent(40.0)))  # each has 30 left, and needs 40
    assert not made.terms("a").is_exhausted and made.terms("a").limit.tokens == 50.0
    assert made.terms("b").limit.tokens == 20.0
    made.heard("b", Beat(Spent(20.0), limit=Spent(20.0), lacks=Spent(40.0)))
    assert made.terms("a").limit.tokens == 60.0


def test_nothing_is_left_once_neither_pool_nor_others_have_enough():
    made = lender(max_tokens=100)
    made.terms("a")
    made.heard("a", Beat(Spent(90.0), limit=Spent(95.0), lacks=Spent(20.0)))
    assert made.terms("a").is_exhausted
    made.heard("a", Beat(Spent(70.0), Spent(20.0), limit=Spent(95.0), lacks=Spent(20.0)))
    assert not made.terms("a").is_exhausted  # what is reserved may come back


def test_what_was_spent_before_the_workers_is_taken_from_the_budget():
    budget = Budget(BudgetSettings(max_tokens=1000))
    budget.spend(300, 100, 0.0, 0.0)
    made = lender(max_tokens=1000)
    made.begin(budget)
    assert made.left("tokens") == 600.0
    made.terms("a")
    made.heard("a", Beat(Spent(100.0), limit=Spent(150.0)))
    budget.spend(100, 0, 0.0, 0.0)  # the same hundred, in a rollout that has ended
    made.begin(budget)
    assert made.left("tokens") == 1000.0 - 400.0 - 150.0


@pytest.mark.parametrize("seed", range(20))
def test_the_sum_never_exceeds_the_budget_whatever_happens(seed):
    """Workers spend as fast as they may, lose their lives and come back; nobody asks before a call."""
    draw = random.Random(seed)
    limit = draw.choice([500, 5_000, 50_000])
    made = lender(max_in_flight=draw.choice([1, 7, 64]), max_tokens=limit, max_usd=limit / 50)
    price = Price(usd_per_million_prompt_tokens=2e4)
    gates, dead, spent_of_dead = {f"w{place}": Gate() for place in range(4)}, 0, Spent()

    async def spend(gate, calls):
        for most, cost in calls:
            try:
                reserved = await asyncio.wait_for(gate.enter(Spent(most, price.usd_of_tokens(most, 0))), 1e-3)
            except (TimeoutError, BudgetExhausted):
                return
            gate.leave(reserved, Spent(cost, price.usd_of_tokens(cost, 0)))

    async def whole():
        nonlocal dead, spent_of_dead
        for _ in range(60):
            name = draw.choice(list(gates))
            made.heard(name, gates[name].beat(made.terms(name)))
            amounts = [draw.randrange(1, 60) for _ in range(draw.randrange(4))]
            await spend(gates[name], [(most, draw.randrange(most + 1)) for most in amounts])
            if draw.random() < 0.1:
                charged = gates.pop(name).beat(Terms(0)).charged
                made.lost(name, charged)
                spent_of_dead, dead = spent_of_dead.plus(charged), dead + 1
                gates[f"n{dead}"] = Gate()

    asyncio.run(whole())
    total = spent_of_dead
    for gate in gates.values():
        total = total.plus(gate.beat(Terms(0)).charged)
    assert total.tokens <= limit and total.usd <= limit / 50 + 1e-9
    assert total.tokens > 0
    assert min(made.left("tokens"), made.left("usd")) >= -1e-9


class Slow:
    name = "slow"

    def __init__(self):
        self.most = self.now = 0
        self.num_rate_limited = 0

    async def complete(self, messages, *, seed, json_reply=False):
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.001)
        self.now -= 1
        if seed == 7:
            self.num_rate_limited += 2
            raise ModelFailure("429", prompt_tokens=5)
        return Completion("yes", 10, 2, "slow", seconds=0.5)


def test_a_gated_model_keeps_to_its_share_and_counts_what_calls_cost():
    inner, gate = Slow(), Gate()
    model = GatedModel(inner, gate, Price(1e6, 2e6), max_completion_tokens=4)
    asked = [Message("user", "What is it?")]

    async def whole():
        gate.beat(Terms(share=3, limit=Spent(1e6, 1e6, 1e6)))
        calls = [model.complete(asked, seed=seed) for seed in range(10)]
        return await asyncio.gather(*calls, return_exceptions=True)

    found = asyncio.run(whole())
    assert inner.most == 3 and model.name == "slow"
    assert sum(isinstance(one, ModelFailure) for one in found) == 1
    said = gate.beat(Terms(3, Spent()))
    # nine calls of 10 + 2 tokens, one that failed after 5; a dollar and two a token
    assert said.charged == Spent(9 * 12 + 5.0, 9 * 14 + 5.0, 4.5)
    assert said.reserved == Spent() and said.num_rate_limited == 2
    assert all(getattr(said.limit, unit) == getattr(said.charged, unit) for unit in UNITS)


def test_whoever_waits_for_money_is_told_when_there_is_none():
    gate = Gate()

    async def whole():
        gate.beat(Terms(share=1, limit=Spent(10.0)))
        waiting = asyncio.create_task(gate.enter(Spent(11.0)))
        await asyncio.sleep(0)
        assert gate.beat(Terms(share=1, limit=Spent(10.0))).lacks == Spent(11.0)
        await asyncio.sleep(0.001)
        gate.beat(Terms(share=1, limit=Spent(10.0), is_exhausted=True))
        with pytest.raises(BudgetExhausted, match="used up"):
            await waiting
        assert gate.beat(Terms(1, Spent(10.0))).lacks is None

    asyncio.run(whole())
