"""Virtual time: order of events, standing still, cancellation, joins; worked by hand."""

import asyncio

import pytest

from lts_jax.rollouts.clock import VirtualClock
from lts_jax.rollouts.latency import LatencySettings, model_seconds, tool_seconds


def test_three_sleepers_wake_in_order_of_time_and_ties_in_order_of_falling_asleep():
    async def main():
        clock, log = VirtualClock(), []

        async def sleeper(name, naps):
            for nap in naps:
                await clock.sleep(nap)
                log.append((name, clock.now()))

        await clock.join(
            [clock.spawn(sleeper("a", (2, 2))), clock.spawn(sleeper("b", (1, 3))), clock.spawn(sleeper("c", (9,)))]
        )
        return log, clock.now()

    log, end = asyncio.run(main())
    # At 4.0 both a and b are due: b fell asleep at 1.0, a at 2.0, so b wakes first.
    assert log == [("b", 1.0), ("a", 2.0), ("b", 4.0), ("a", 4.0), ("c", 9.0)]
    assert end == 9.0


def test_the_clock_stands_still_while_a_task_waits_for_something_that_is_not_time():
    async def main():
        clock = VirtualClock()
        outside = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.02, outside.set_result, None)

        async def waiter():
            await clock.sleep(1.0)
            await outside
            return clock.now()

        async def sleeper():
            await clock.sleep(5.0)
            return clock.now()

        tasks = [clock.spawn(waiter()), clock.spawn(sleeper())]
        await clock.join(tasks)
        return [task.result() for task in tasks]

    assert asyncio.run(main()) == [1.0, 5.0]


def test_a_joiner_resumes_before_the_clock_moves_to_a_later_sleeper():
    async def main():
        clock = VirtualClock()

        async def nap(seconds):
            await clock.sleep(seconds)

        short, alarm = clock.spawn(nap(3.0)), clock.spawn(nap(100.0))
        await clock.join([short])
        at_join = clock.now()
        alarm.cancel()
        await clock.join([alarm])
        await clock.sleep(2.0)
        return at_join, clock.now()

    assert asyncio.run(main()) == (3.0, 5.0)


@pytest.mark.parametrize("cancel_at", [0.5, 1.0, 2.5])
def test_cancelling_a_sleeper_leaves_the_others_their_time(cancel_at):
    async def main():
        clock = VirtualClock()

        async def nap(*naps):
            for seconds in naps:
                await clock.sleep(seconds)
            return clock.now()

        victim, other = clock.spawn(nap(1.0, 1.0, 1.0)), clock.spawn(nap(10.0))

        async def killer():
            await clock.sleep(cancel_at)
            victim.cancel()

        await clock.join([victim, other, clock.spawn(killer())])
        return victim.cancelled(), other.result(), clock.now()

    assert asyncio.run(main()) == (True, 10.0, 10.0)


def worked(contention, *pieces):
    """(name, seconds) in order of ending, of pieces (name, start, seconds alone)."""

    async def main():
        clock, log = VirtualClock(), []

        async def piece(name, start, seconds):
            await clock.sleep(start)
            await clock.work(seconds, contention)
            log.append((name, clock.now()))

        await clock.join([clock.spawn(piece(*each)) for each in pieces])
        return log

    return asyncio.run(main())


def test_work_without_contention_is_sleep():
    assert worked(0.0, ("a", 0, 4), ("b", 1, 2)) == [("b", 3.0), ("a", 4.0)]
    assert worked(0.5, ("a", 0, 4), ("b", 4, 2)) == [("a", 4.0), ("b", 6.0)]  # never two at work


def test_work_at_the_same_time_advances_more_slowly():
    # Contention 1/2: two at work advance at 1 / 1.5 each. From 1 to 4 s b does its 2 s and a 2 of its 3 left; then a
    # has 1 s left, alone.
    assert worked(0.5, ("a", 0, 4), ("b", 1, 2)) == [("b", 4.0), ("a", 5.0)]
    # One server for three: each advances at 1/3 until all are done together, in the order in which they came.
    assert worked(1.0, ("a", 0, 2), ("b", 0, 2), ("c", 0, 2)) == [("a", 6.0), ("b", 6.0), ("c", 6.0)]
    # A newcomer puts off what was due before it: a was due at 2, b halves its speed from 1 on.
    assert worked(1.0, ("a", 0, 2), ("b", 1, 9)) == [("a", 3.0), ("b", 11.0)]


@pytest.mark.parametrize("contention", [0.0, 0.3, 1.0])
def test_work_depends_on_no_order_of_the_workers(contention):
    pieces = [("a", 0, 3.5), ("b", 1, 2.25), ("c", 1.5, 6), ("d", 8, 1)]
    forward, backward = worked(contention, *pieces), worked(contention, *reversed(pieces))
    assert dict(forward) == pytest.approx(dict(backward))


def test_work_that_is_cancelled_slows_the_others_until_then():
    async def main():
        clock = VirtualClock()

        async def piece(seconds):
            await clock.work(seconds, 1.0)
            return clock.now()

        victim, other = clock.spawn(piece(9.0)), clock.spawn(piece(3.0))
        await clock.sleep(2.0)  # both have done one second
        victim.cancel()
        await clock.join([victim, other])
        return victim.cancelled(), other.result()

    assert asyncio.run(main()) == (True, 4.0)


def test_latency_of_a_call_without_noise_is_the_sum_of_its_parts():
    settings = LatencySettings(noise_sigma=0.0)
    # 0.6 + 0.0002 * 5000 + 0.02 * 292
    assert model_seconds(settings, 5000, 292, 0.3) == pytest.approx(7.44)
    assert tool_seconds(settings, "visit_url", 0.99) == 30.0
    assert tool_seconds(settings, "open_file", 0.99) == 0.5
    # Median of the working web actions: 3 + e^1.2
    assert tool_seconds(settings, "web_search", 0.49) == pytest.approx(3 + 2.718281828**1.2, rel=1e-6)


def test_a_lone_runner_takes_its_turn_at_once_and_a_tie_goes_to_who_slept_first():
    async def main():
        clock, log = VirtualClock(), []

        async def sleeper():
            await clock.sleep(5.0)
            log.append(("sleeper", clock.now()))

        async def runner():
            await clock.sleep(1.0)  # the sleeper may not have fallen asleep yet
            for nap in (1.0, 2.0, 1.0, 1.0):  # 2, 4, then 5: due with the sleeper, who fell asleep first
                await clock.sleep(nap)
                log.append(("runner", clock.now()))

        await clock.join([clock.spawn(sleeper()), clock.spawn(runner())])
        return log

    assert asyncio.run(main()) == [("runner", 2.0), ("runner", 4.0), ("sleeper", 5.0), ("runner", 5.0), ("runner", 6.0)]
