"""Journals of workers that do not see the run folder: each line is durable with the driver before its reply is used."""

import asyncio
import json
import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from lts_jax.distributed.calls import RecordedCalls
from lts_jax.distributed.crew import Assignment, Errand
from lts_jax.distributed.executor import Workers
from lts_jax.distributed.keeper import FarJournal, LineKeeper, journal_writer, leave_mark
from lts_jax.distributed.leases import Terms
from lts_jax.distributed.worker import RolloutWorker
from lts_jax.errors import UserError
from lts_jax.llm.journal import Journal, open_journal
from lts_jax.rollouts.executor import Work
from lts_jax.rollouts.restart import purpose_of
from lts_jax.systems.world import ModelSettings

_HERE = runpy.run_path(str(Path(__file__).with_name("test_workers.py")))
JOB, SHORT, TRAINING = _HERE["JOB"], _HERE["SHORT"], _HERE["TRAINING"]
Counting, InProcess, arm_of = _HERE["Counting"], _HERE["InProcess"], _HERE["arm_of"]
PAYING = replace(TRAINING, model=ModelSettings(base_url="http://127.0.0.1:9", max_completion_tokens=99))


class Slow:
    """A keeper that takes its time, and notes how many lines came in each message."""

    def __init__(self, folder):
        self.inner, self.sizes = LineKeeper(str(folder)), []

    async def append(self, journal, lines):
        self.sizes.append(len(lines))
        await asyncio.sleep(0.01)
        return await self.inner.append(journal, lines)


def test_lines_that_wait_travel_together_and_keep_their_order(tmp_path):
    keeper = Slow(tmp_path)

    async def write():
        journal = FarJournal(keeper, "far-1-1.jsonl")
        await asyncio.gather(*(journal.append({"call": number}) for number in range(9)))
        await journal.append({"call": 9})

    asyncio.run(write())
    assert keeper.sizes == [9, 1]
    lines = (tmp_path / "far-1-1.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["call"] for line in lines] == list(range(10))


def test_a_caller_that_is_cancelled_takes_nothing_back(tmp_path):
    async def write():
        journal = FarJournal(Slow(tmp_path), "far.jsonl")
        first = asyncio.create_task(journal.append({"call": 0}))
        await asyncio.sleep(0)
        first.cancel()
        await journal.append({"call": 1})

    asyncio.run(write())
    assert len((tmp_path / "far.jsonl").read_bytes().splitlines()) == 2


def test_who_sees_the_mark_writes_the_file_and_who_does_not_sends(tmp_path):
    keeper, mark = LineKeeper(str(tmp_path)), leave_mark(tmp_path)
    assert mark.parent == tmp_path and mark.exists()
    assert isinstance(journal_writer(str(tmp_path), "a.jsonl", mark.name, keeper), Journal)
    assert isinstance(journal_writer(str(tmp_path), "b.jsonl", ".seen-another", keeper), FarJournal)
    assert isinstance(journal_writer(str(tmp_path), "c.jsonl", "", keeper), FarJournal)
    assert isinstance(journal_writer(str(tmp_path), "d.jsonl", "", None), Journal)  # nobody else could write it


@pytest.mark.parametrize("kind", ["full", "gone"])
def test_a_line_that_cannot_be_kept_is_a_line_for_the_user(kind, tmp_path):
    class Gone:
        async def append(self, journal, lines):
            raise UserError("workers: the keeper of their calls is gone (ActorDiedError)")

    (tmp_path / "a file").write_text("")
    keeper = Gone() if kind == "gone" else LineKeeper(str(tmp_path / "a file" / "calls"))
    with pytest.raises(UserError, match=r"is gone|cannot be written \(Not a directory\)"):
        asyncio.run(FarJournal(keeper, "far.jsonl").append({"call": 1}))


def test_what_nobody_thought_of_does_not_leave_a_call_waiting():
    class Odd:
        async def append(self, journal, lines):
            raise RuntimeError("odd")

    with pytest.raises(UserError, match="odd"):
        asyncio.run(FarJournal(Odd(), "far.jsonl").append({"call": 1}))


def test_a_job_that_is_run_again_asks_only_what_was_sent(tmp_path, monkeypatch):
    monkeypatch.setattr("lts_jax.distributed.worker.bare_model", lambda settings: (Counting(), "{}"))
    order = replace(arm_of().parts.order, settings=PAYING)
    kept = tmp_path / "driver"
    worker = RolloutWorker("far-1-1")
    worker.prepare(Assignment(1, order, SHORT, 1, str(tmp_path / "nowhere"), ".seen-x", LineKeeper(str(kept))))
    worker.beat(Terms(share=8))
    Counting.asked = 0
    whole = asyncio.run(worker.run(Errand(JOB, 1))).rollout
    assert Counting.asked == len(whole.calls) > 10 and not (tmp_path / "nowhere").exists()
    calls, purpose = RecordedCalls(kept), purpose_of("all", JOB.coordinates)
    calls.read_all([purpose])
    assert len(calls.lines(purpose)) == len(whole.calls)
    again = asyncio.run(worker.run(Errand(JOB, 1, calls.lines(purpose)))).rollout
    assert again == whole and Counting.asked == len(whole.calls)


class Keeps(InProcess):
    """A staff with a keeper."""

    def keep_calls(self, folder):
        return LineKeeper(folder)


@pytest.mark.parametrize("is_shared", [None, True, False])
def test_the_run_folder_holds_the_same_whoever_wrote_it(is_shared, tmp_path, monkeypatch):
    monkeypatch.setattr("lts_jax.distributed.worker.bare_model", lambda settings: (Counting(), "{}"))
    arm = arm_of(PAYING)
    workers = Workers(Keeps(), tmp_path, is_shared=is_shared)
    ended = []
    workers.run([JOB], Work(arm.parts, SHORT, 1), ended.append)
    lines = (tmp_path / "calls" / "here-1-1.jsonl").read_bytes().splitlines()
    assert len(lines) == len(ended[0].rollout.calls)
    marks = list((tmp_path / "calls").glob(".seen-*"))
    assert len(marks) == (1 if is_shared is None else 0)
    workers.close()
    assert not list((tmp_path / "calls").glob(".seen-*"))


@pytest.mark.parametrize("kind", ["file", "keeper"])
def test_after_a_flush_the_line_of_a_caller_that_was_stopped_is_there(kind, tmp_path):
    async def write():
        path = tmp_path / "here.jsonl"
        journal = open_journal(path) if kind == "file" else FarJournal(Slow(tmp_path), path.name)
        callers = [asyncio.create_task(journal.append({"call": number})) for number in range(5)]
        await asyncio.sleep(0)
        for caller in callers:
            caller.cancel()
        await journal.flush()
        assert len(path.read_bytes().splitlines()) == 5
        await journal.flush()  # nothing waits

    asyncio.run(write())
