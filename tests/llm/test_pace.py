"""How often calls may begin: by hand, as a law over random histories, and for a model whose calls wait their turn."""

import asyncio
import random
from math import inf

import pytest

from lts_jax.distributed.jumping_loop import run_jumping
from lts_jax.errors import UserError
from lts_jax.llm.chat import Completion
from lts_jax.llm.pace import Pace, PacedModel
from lts_jax.records import Message
from lts_jax.systems.run_folder import identity
from lts_jax.systems.world import ModelSettings, bare_model, own_model

ASKED = [Message("user", "What is it?")]


def begun(pace, until):
    """When calls begin if somebody always waits for one."""
    now, found = 0.0, []
    while now + (wait := pace.seconds_to_wait(now)) <= until:
        now += wait
        pace.take(now)
        found.append(now)
    return found


def test_two_a_second_by_hand():
    assert begun(Pace(2.0), 2.0) == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0])


def test_a_hundred_a_second_begin_with_ten_at_once():
    # a tenth of a second's calls, then one each hundredth
    assert begun(Pace(100.0), 0.035) == pytest.approx([0.0] * 10 + [0.01, 0.02, 0.03])


def test_without_a_rate_nothing_waits_and_at_rate_zero_everything():
    assert Pace().seconds_to_wait(5.0) == 0.0
    assert Pace(0.0).seconds_to_wait(5.0) == inf


def test_a_change_by_hand():
    pace = Pace(100.0)
    pace.change(1.0, 0.0)  # ten were in it, and one fits
    assert begun(pace, 1.5) == pytest.approx([0.0, 1.0])
    pace.change(4.0, 1.5)  # half a call is in it
    assert pace.seconds_to_wait(1.5) == pytest.approx(0.125)
    pace.change(0.0, 1.6)
    pace.change(4.0, 9.0)
    assert pace.seconds_to_wait(9.0) == pytest.approx(0.25)  # nothing was in it


@pytest.mark.parametrize("seed", range(20))
def test_no_stretch_of_time_sees_more_than_its_calls(seed):
    draw = random.Random(seed)
    pace, now, changed, found, rates = Pace(), 0.0, 0.0, [], [(0.0, None)]
    for _ in range(400):
        now += draw.expovariate(draw.choice([1.0, 30.0, 300.0]))
        if now >= changed:
            changed = now + draw.uniform(0.1, 3.0)
            rates.append((now, draw.choice([0.0, 0.5, 3.0, 80.0, 200.0])))
            pace.change(rates[-1][1], now)
        if pace.seconds_to_wait(now) == 0.0:
            pace.take(now)
            found.append(now)
    ends = [start for start, _ in rates[1:]] + [now]
    for (start, rate), end in zip(rates, ends, strict=True):
        inside = [one for one in found if start <= one < end]
        if rate is None:
            continue
        for first in range(0, len(inside), 3):
            for last in range(first, len(inside)):
                at_most = rate * (inside[last] - inside[first]) + max(1.0, 0.1 * rate)
                assert last - first + 1 <= at_most + 1e-6
    assert found


class Noting:
    """A model that notes when it is asked."""

    name = "noting"

    def __init__(self):
        self.at = []

    async def complete(self, messages, *, seed, json_reply=False):
        self.at.append((round(asyncio.get_running_loop().time(), 6), seed))
        await asyncio.sleep(3.0)
        return Completion("yes", 1, 1, "noting")


def test_calls_of_a_paced_model_begin_in_turn_and_end_when_they_do():
    inner = Noting()
    model = PacedModel(inner, 2.0)

    async def whole():
        await asyncio.gather(*(model.complete(ASKED, seed=seed) for seed in range(5)))
        return asyncio.get_running_loop().time()

    for _ in range(2):  # also on another loop
        inner.at.clear()
        assert run_jumping(whole()) == pytest.approx(5.0)
        assert inner.at == [(0.5 * seed, seed) for seed in range(5)]
    assert model.name == "noting"


def test_the_setting_paces_endpoints_alone_and_makes_no_other_run():
    given = {"name": "m", "base_url": "http://127.0.0.1:9/v1"}
    assert not isinstance(bare_model(ModelSettings(**given))[0], PacedModel)
    assert isinstance(bare_model(ModelSettings(**given, max_calls_per_second=5.0))[0], PacedModel)
    assert isinstance(own_model(ModelSettings(**given, max_calls_per_second=5.0), Noting()), PacedModel)
    assert not isinstance(bare_model(ModelSettings(max_calls_per_second=5.0))[0], PacedModel)  # it takes virtual time
    stored, now = ({"model": {"name": "m", "max_calls_per_second": rate}} for rate in (None, 5.0))
    assert identity(stored) == identity(now)
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(UserError, match=r"model.max_calls_per_second: expected None or more than 0, got"):
            ModelSettings(max_calls_per_second=wrong)
