"""The journal: durable before it says so, one sync for all who wait, one writing process, and a full disk said once."""

import asyncio
import errno
import json
import os
import subprocess
import sys

import pytest

from lts_jax.errors import UserError
from lts_jax.llm.chat import Completion
from lts_jax.llm.journal import open_journal
from lts_jax.llm.recorded import RecordingModel
from lts_jax.records import Message
from lts_jax.storage import line_of

HOLD = """
import asyncio, sys
from lts_jax.llm.journal import open_journal
journal = open_journal(sys.argv[1])
asyncio.run(journal.append({"number": 0}))
print("held", flush=True)
sys.stdin.read()
"""


def lines(path):
    return [json.loads(line)["number"] for line in path.read_text().splitlines()]


def test_a_thousand_lines_at_once_share_their_syncs(tmp_path):
    journal = open_journal(tmp_path / "calls.jsonl")

    async def append_all():
        await asyncio.gather(*(journal.append({"number": number}) for number in range(1024)))

    asyncio.run(append_all())
    assert lines(journal.path) == list(range(1024))
    assert 1 <= journal.num_syncs <= 20
    asyncio.run(journal.append({"number": 1024}))  # in another event loop
    assert lines(journal.path)[-1] == 1024


def test_a_line_is_synced_before_its_writer_goes_on(tmp_path, monkeypatch):
    synced = []
    real_sync = os.fsync

    def sync(descriptor):
        real_sync(descriptor)
        synced.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr("os.fsync", sync)
    journal = open_journal(tmp_path / "calls.jsonl")

    async def append(number):
        await journal.append({"number": number})
        place = journal.path.read_bytes().index(b'{"number": %d, ' % number)
        assert synced[-1] > place

    async def append_some():
        for wave in range(10):
            await asyncio.gather(*(append(100 + 5 * wave + number) for number in range(5)))

    asyncio.run(append_some())
    assert len(lines(journal.path)) == 50


def test_a_cancelled_writer_leaves_the_others_alone(tmp_path):
    journal = open_journal(tmp_path / "calls.jsonl")

    async def cancel_one():
        tasks = [asyncio.create_task(journal.append({"number": number})) for number in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, third = asyncio.run(cancel_one())
    assert first is None and third is None and isinstance(second, asyncio.CancelledError)
    assert lines(journal.path) == [0, 1, 2]  # what was handed over is kept


def test_two_processes_do_not_write_to_one_folder(tmp_path):
    path = tmp_path / "calls.jsonl"
    command = [sys.executable, "-c", HOLD, str(path)]

    class Unasked:
        name = "unasked"

        async def complete(self, messages, *, seed, json_reply=False):
            raise AssertionError("a call was made that cannot be recorded")

    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match=f"^{tmp_path}: another process records calls in this folder"):
            open_journal(path)
        with pytest.raises(UserError, match="another process"):
            asyncio.run(RecordingModel(Unasked(), tmp_path).complete((Message("user", "Go."),), seed=1))
        other.kill()
    journal = open_journal(path)  # the lock ended with its holder
    assert open_journal(path) is journal
    asyncio.run(journal.append({"number": 1}))
    assert lines(path) == [0, 1]


@pytest.mark.parametrize("torn", [b"", b'{"numb', b"\0" * 70_000])
def test_a_torn_line_is_cut_off_when_the_journal_is_opened(tmp_path, torn):
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b'{"number": 0}\n' + torn)
    asyncio.run(open_journal(path).append({"number": 1}))
    assert path.read_bytes() == b'{"number": 0}\n' + line_of({"number": 1})


def test_a_full_disk_ends_the_run_in_words_and_keeps_what_was_durable(tmp_path, monkeypatch):
    class Says:
        name = "says"

        async def complete(self, messages, *, seed, json_reply=False):
            return Completion("x" * 500, 1, 1)

    model = RecordingModel(Says(), tmp_path)
    asked = (Message("user", "Go."),)
    asyncio.run(model.complete(asked, seed=0))
    kept = model.journal.read_bytes()
    real_write = os.write

    def write(descriptor, content):
        if len(content) < 200:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_write(descriptor, bytes(content[:200]))

    with monkeypatch.context() as patch:
        patch.setattr("os.write", write)
        with pytest.raises(UserError, match=r"calls\.jsonl: cannot be written \(No space left on device\)"):
            asyncio.run(model.complete(asked, seed=1))
    assert model.journal.read_bytes() == kept
    with pytest.raises(UserError, match="cannot be written"):  # a journal that has failed stays closed
        asyncio.run(model.complete(asked, seed=2))
    assert model.journal.read_bytes() == kept
