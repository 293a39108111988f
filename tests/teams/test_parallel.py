"""K teams on a tiny virtual clock: who stops whom, when, and that teams without a bank do not touch each other."""

import asyncio
import contextlib
import time

import pytest

from lts_jax.llm.chat import ModelFailure
from lts_jax.records import Message, StopReason, ToolResult
from lts_jax.teams.parallel import RaceParts, run_teams
from lts_jax.teams.settings import ParallelSettings, TeamSettings
from lts_jax.teams.team import run_team


def bench_of(kit, clock, call_seconds, num_steps=1, **changed):
    """A team of 2 + 3 * num_steps + 2 calls, so of (4 + 3 * num_steps) * call_seconds seconds."""
    ledgers = [kit.ledger_text(asked=f"Search {i}.") for i in range(num_steps)] + [kit.ledger_text(satisfied=True)]
    script = {"ledger": ledgers, "answer": [f"FINAL ANSWER: after {call_seconds}"]} | changed
    return kit.Bench(kit.ScriptedModel(**script), clock, call_seconds)


def race(kit, benches, *, on_finish=None, **parallel):
    clock = benches[0].clock

    async def run():
        return await run_teams(
            kit.task,
            len(benches),
            RaceParts(lambda team: benches[team].ports(), clock, on_finish),
            TeamSettings(),
            ParallelSettings(**parallel),
        )

    return asyncio.run(run())


def told(results):
    return [(each.answer.text, each.answer.seconds, each.answer.stop_reason.value) for each in results]


def three(kit):
    clock = kit.TinyClock()
    return [bench_of(kit, clock, seconds) for seconds in (3.0, 1.0, 2.0)]


def test_all_waits_for_the_slowest(kit):
    order = []
    results = race(kit, three(kit), mode="all", on_finish=lambda result: order.append(result.answer.team))
    assert told(results) == [
        ("after 3.0", 21.0, "satisfied"),
        ("after 1.0", 7.0, "satisfied"),
        ("after 2.0", 14.0, "satisfied"),
    ]
    assert order == [1, 2, 0]


def test_the_first_answer_stops_the_others_in_that_moment(kit):
    benches = three(kit)
    results = race(kit, benches, mode="first")
    assert told(results) == [("", 7.0, "cancelled"), ("after 1.0", 7.0, "satisfied"), ("", 7.0, "cancelled")]
    clock = benches[0].clock
    assert max(clock.wakes) == 7.0
    # calls that ended by second 7: of 3 seconds two, of 2 seconds three
    assert [len(bench.model.requests) for bench in benches] == [2, 7, 3]
    assert [len(result.thread) for result in results] == [1, 3, 2]


def test_the_stop_does_not_wait_for_the_waiter(kit):
    """A clock that moves on before `run_teams` is told finds the others cancelled already."""

    class HastyClock(kit.TinyClock):
        async def join(self, futures):
            await super().join(futures)
            await super().join([self.spawn(self.sleep(20.0))])

    clock = HastyClock()
    benches = [bench_of(kit, clock, seconds) for seconds in (3.0, 1.0, 2.0)]
    race(kit, benches, mode="first")
    assert (clock.now(), sorted(set(clock.wakes))) == (27.0, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 27.0])
    assert [len(bench.model.requests) for bench in benches] == [2, 7, 3]


def test_what_a_stopped_team_did_stays(kit):
    clock = kit.TinyClock()
    benches = [bench_of(kit, clock, 1.0, num_steps=2), bench_of(kit, clock, 1.5, num_steps=5)]
    results = race(kit, benches, mode="first")
    stopped = results[1].answer
    assert (stopped.seconds, stopped.num_steps, len(benches[1].steps)) == (10.0, 1, 1)
    assert results[1].thread[2] == Message("user", benches[1].steps[0].output, "WebSurfer")


def test_a_quorum_of_two(kit):
    results = race(kit, three(kit), mode="quorum", quorum=2)
    assert told(results) == [
        ("", 14.0, "cancelled"),
        ("after 1.0", 7.0, "satisfied"),
        ("after 2.0", 14.0, "satisfied"),
    ]


def test_the_deadline_stops_the_unfinished(kit):
    benches = three(kit)
    results = race(kit, benches, mode="all", deadline_seconds=8.5)
    assert told(results) == [("", 8.5, "time_limit"), ("after 1.0", 7.0, "satisfied"), ("", 8.5, "time_limit")]
    assert max(benches[0].clock.wakes) == 8.5


def test_a_deadline_that_is_not_reached_does_not_hold_up_the_end(kit):
    benches = three(kit)
    assert told(race(kit, benches, deadline_seconds=100.0))[0] == ("after 3.0", 21.0, "satisfied")
    assert benches[0].clock.now() == 21.0


def test_teams_without_an_answer_stop_nobody(kit):
    clock = kit.TinyClock()
    benches = [
        bench_of(kit, clock, 1.0, act=[ModelFailure("budget: tokens")]),
        bench_of(kit, clock, 2.0, answer=[ModelFailure("timeout")]),
        bench_of(kit, clock, 3.0),
        bench_of(kit, clock, 4.0),
    ]
    benches[3].breaks["use_tool"] = ZeroDivisionError("no")
    results = race(kit, benches, mode="first")
    assert told(results)[:2] == [("", 4.0, "budget"), ("", 14.0, "model_error")]
    assert told(results)[2:] == [("after 3.0", 21.0, "satisfied"), ("", 16.0, "crashed")]


def test_when_every_team_fails_the_run_still_ends(kit):
    benches = three(kit)
    for bench in benches:
        bench.breaks["select_values"] = RuntimeError("no")
    results = race(kit, benches, mode="quorum", quorum=2)
    assert [each.answer.stop_reason for each in results] == [StopReason.CRASHED] * 3


def test_a_tie_has_one_winner(kit):
    clock = kit.TinyClock()
    results = race(kit, [bench_of(kit, clock, 1.0), bench_of(kit, clock, 1.0)], mode="first")
    assert told(results) == [("after 1.0", 7.0, "satisfied"), ("", 7.0, "cancelled")]


def test_one_team_is_the_single_team_step_for_step(kit):
    def fresh():
        return bench_of(kit, kit.TinyClock(), 1.0, num_steps=4)

    alone, raced = fresh(), fresh()

    async def single():
        working = alone.clock.spawn(run_team(kit.task, 0, alone.ports(), TeamSettings()))
        await alone.clock.join([working])
        return working.result()

    for mode in ("all", "first"):
        alone, raced = fresh(), fresh()
        assert [asyncio.run(single())] == race(kit, [raced], mode=mode)
        assert (alone.steps, alone.model.requests) == (raced.steps, raced.model.requests)
        assert len(raced.steps) == 4


def transcripts(kit, prepare, num_teams=3):
    """Results, steps and requests of teams 1 and up, when team 0 was prepared in some way."""
    clock = kit.TinyClock()
    benches = [bench_of(kit, clock, 1.0 + team / 4, num_steps=2 + team) for team in range(num_teams)]
    prepare(benches[0])
    results = race(kit, benches)
    rest = [(bench.steps, bench.model.requests) for bench in benches[1:]]
    return results[0].answer.stop_reason, results[1:], rest


def crash(bench):
    bench.breaks["finish_step"] = ValueError("broken")


def crash_in_ports(bench):
    bench.ports = lambda: 1 / 0


def change(bench):
    bench.call_seconds, bench.tools["web_search"] = 0.3, ToolResult("another page")


def test_without_a_bank_no_team_depends_on_another(kit):
    stop_reason, *expected = transcripts(kit, lambda bench: None)
    assert stop_reason == StopReason.SATISFIED
    for prepare, how in ((crash, "crashed"), (crash_in_ports, "crashed"), (change, "satisfied")):
        stop_reason, *others = transcripts(kit, prepare)
        assert stop_reason.value == how
        assert others == expected


def test_cancelling_the_whole_run_cancels_its_teams(kit):
    benches = three(kit)
    clock = benches[0].clock

    async def run():
        everything = asyncio.create_task(
            run_teams(
                kit.task,
                3,
                RaceParts(lambda team: benches[team].ports(), WaitingClock(clock)),
                TeamSettings(),
                ParallelSettings(),
            )
        )
        await clock.join([clock.spawn(clock.sleep(3.5))])
        everything.cancel()
        with pytest.raises(asyncio.CancelledError):
            await everything
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1
    assert [len(bench.model.requests) for bench in benches] == [1, 3, 1]


class WaitingClock:
    """The same clock, driven by somebody else."""

    def __init__(self, clock):
        self.now, self.sleep, self.spawn = clock.now, clock.sleep, clock.spawn

    async def join(self, futures):
        await asyncio.wait(futures)


def test_a_tool_that_swallows_its_cancellation_delays_nobody_and_adds_nothing(kit):
    benches = three(kit)[:2]
    slow, fast = benches

    is_over = asyncio.Event()

    async def stubborn(name, arguments):
        ends = time.monotonic() + 60
        while not is_over.is_set() and time.monotonic() < ends:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.02)
        return ToolResult("late")

    slow.use_tool, slow.call_seconds = stubborn, 0.5

    async def run():
        started = time.monotonic()
        results = await run_teams(
            kit.task,
            2,
            RaceParts(lambda team: benches[team].ports(), slow.clock),
            TeamSettings(),
            ParallelSettings(mode="first", grace_seconds=0.02),
        )
        late = time.monotonic() - started
        is_over.set()
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
        return results, late

    results, late = asyncio.run(run())
    assert late < 30
    assert told(results) == [("", 7.0, "cancelled"), (f"after {fast.call_seconds}", 7.0, "satisfied")]
    assert (slow.steps, slow.model.purposes()) == ([], ["facts", "plan", "ledger", "act"])


def test_an_error_of_the_caller_is_raised_and_stops_everything(kit):
    def complain(result):
        raise LookupError("mine")

    benches = three(kit)
    with pytest.raises(LookupError, match="mine"):
        race(kit, benches, on_finish=complain)
    assert max(benches[0].clock.wakes) == 7.0


@pytest.mark.parametrize(
    ("num_teams", "parallel", "said"),
    [
        (0, {}, "num_teams: expected at least 1, got 0"),
        (2, {"mode": "quorum", "quorum": 3}, r"quorum: expected at most the number of teams \(2\), got 3"),
        (1, {"mode": "fastest"}, "mode: expected one of all, first, quorum, got 'fastest'"),
        (1, {"deadline_seconds": 0.0}, "deadline_seconds: expected positive or None, got 0.0"),
        (1, {"grace_seconds": -1.0}, "grace_seconds: expected zero or more, got -1.0"),
    ],
)
def test_wrong_settings_say_what_was_expected(kit, num_teams, parallel, said):
    async def run():
        ports = kit.Bench(kit.ScriptedModel()).ports()
        await run_teams(
            kit.task,
            num_teams,
            RaceParts(lambda team: ports, kit.TinyClock()),
            TeamSettings(),
            ParallelSettings(**parallel),
        )

    with pytest.raises(ValueError, match=said):
        asyncio.run(run())
