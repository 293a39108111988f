"""Recording and replay: the same call is the same completion, a kill costs at most the calls in flight."""

import asyncio
import json
import random
from hashlib import blake2b

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lts_jax.errors import UserError
from lts_jax.llm.chat import Completion, ModelFailure
from lts_jax.llm.recorded import JOURNAL, RecordingModel, ReplayModel, call_digest, opening
from lts_jax.records import Message

ASKED = (Message("system", "You are Coder."), Message("user", "Write code.\nGo.", "Orchestrator"))


COOL = '{"temperature":0.0}'
WARM = '{"temperature":1.0}'


class Counter:
    """A model that numbers its replies, so that a repeated call shows."""

    def __init__(self, name="counter", suffix=""):
        self.name = name
        self.suffix = suffix
        self.num_calls = 0

    async def complete(self, messages, *, seed, json_reply=False):
        self.num_calls += 1
        return Completion(f"{self.num_calls}{self.suffix}", 10, self.num_calls, "counter-1", 2, 0.5)


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    """Hundreds of tiny files are written here; what survives a power cut is not the matter."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def ask(model, seed=1, messages=ASKED, json_reply=False):
    return asyncio.run(model.complete(messages, seed=seed, json_reply=json_reply))


def test_what_was_recorded_is_replayed_without_the_model(tmp_path):
    recording = RecordingModel(Counter(), tmp_path)
    recorded = [ask(recording, seed) for seed in (1, 2, 3)]
    replay = ReplayModel(tmp_path)
    assert replay.name == recording.name == "counter"
    assert [ask(replay, seed) for seed in (3, 1, 2, 1)] == [recorded[place] for place in (2, 0, 1, 0)]
    assert recorded[2] == Completion("3", 10, 3, "counter-1", 2, 0.5)


def test_the_journal_is_readable_without_our_code_and_its_digests_are_pinned(tmp_path):
    ask(RecordingModel(Counter(), str(tmp_path / "new")), seed=5)
    (line,) = (tmp_path / "new" / JOURNAL).read_text().splitlines()
    assert json.loads(line) == {
        "call": "cc955448614d4db3226381d3a24ace85",
        "asked_model": "counter",
        "options": "",
        "opening": "Write code.",
        "seed": 5,
        "reply": "1",
        "prompt_tokens": 10,
        "completion_tokens": 1,
        "model": "counter-1",
        "attempts": 2,
        "seconds": 0.5,
        "line_digest": "56b2c638561dabd0",
    }


def test_anything_that_may_change_the_reply_changes_the_digest():
    calls = [
        (ASKED, 1, False, "m"),
        (ASKED, 2, False, "m"),
        (ASKED, 1, True, "m"),
        (ASKED, 1, False, "n"),
        (ASKED[::-1], 1, False, "m"),
        (ASKED[:1], 1, False, "m"),
        ((ASKED[0], Message("assistant", "Write code.\nGo.", "Orchestrator")), 1, False, "m"),
        ((ASKED[0], Message("user", "Write code.\nGo.")), 1, False, "m"),
        ((ASKED[0], Message("user", "Write code.\nGo. ", "Orchestrator")), 1, False, "m"),
        ((ASKED[0], Message("user", "\ud800", "Orchestrator")), 1, False, "m"),
        (ASKED, 1, False, "m", COOL),
        (ASKED, 1, False, "m", WARM),
    ]
    assert len({call_digest(*call) for call in calls}) == len(calls)
    assert call_digest(ASKED, 1, False, "m") == call_digest(list(ASKED), 1, False, "m")


@given(
    st.lists(st.builds(Message, st.sampled_from(["system", "user"]), st.text(st.characters(exclude_categories=())))),
    st.text(max_size=3),
    st.sampled_from(["", COOL, '"\\\n']),
)
@example([Message("user", 'half \ud83d, "quoted"\u2028\x7f', "é")], "m", COOL)
def test_the_digest_is_that_of_plain_json(messages, model, options):
    asked = [[message.role, message.name, message.content] for message in messages]
    content = [asked, model, 7, True, *([options] if options else [])]
    expected = blake2b(json.dumps(content, separators=(",", ":")).encode(), digest_size=16).hexdigest()
    assert call_digest(messages, 7, True, model, options) == expected


def test_the_digest_of_a_growing_transcript_is_that_of_all_of_it(monkeypatch):
    """Requests change, threads grow, are cut, replaced in the middle, and share their first messages."""
    monkeypatch.setattr("lts_jax.llm.call_digest._MAX_CHARACTERS", 600)  # some are forgotten on the way

    def plain(messages):
        asked = [[message.role, message.name, message.content] for message in messages]
        return blake2b(json.dumps([asked, "m", 7, False], separators=(",", ":")).encode(), digest_size=16).hexdigest()

    draw = random.Random(3)
    system = Message("system", "You are Coder.")
    threads = [[Message("user", f"Task {number}")] for number in range(6)]
    for step in range(300):
        thread = draw.choice(threads)
        match draw.randrange(8):
            case 0:
                del thread[draw.randrange(1, len(thread) + 1) :]
            case 1:
                thread[draw.randrange(len(thread))] = Message("user", f"other {step}")
            case _:
                thread.append(Message("assistant", f"said \u00e9 {step}", "Coder"))
        asked = [*thread, Message("user", f"Progress check {draw.randrange(3)}.")]
        for messages in (asked, [system, *asked], tuple(asked), asked):
            assert call_digest(messages, 7, False, "m") == plain(messages)


def test_a_call_made_under_other_options_is_no_answer(tmp_path):
    assert ask(RecordingModel(Counter(suffix=" cool"), tmp_path, options=COOL)).reply == "1 cool"
    assert ask(ReplayModel(tmp_path, options=COOL)).reply == "1 cool"
    with pytest.raises(ModelFailure, match=r"with seed 1 and options \{\"temperature\":1\.0\}$"):
        ask(ReplayModel(tmp_path, options=WARM))
    with pytest.raises(ModelFailure, match=r"with seed 1$"):
        ask(ReplayModel(tmp_path))
    assert ask(ReplayModel(tmp_path, Counter(suffix=" warm"), options=WARM)).reply == "1 warm"
    assert [ask(ReplayModel(tmp_path, options=options)).reply for options in (COOL, WARM)] == ["1 cool", "1 warm"]
    assert [json.loads(line)["options"] for line in (tmp_path / JOURNAL).open()] == [COOL, WARM]


def test_a_recording_fallback_has_the_options_of_its_replay(tmp_path):
    inner = Counter()
    recording = RecordingModel(inner, tmp_path, options=COOL)
    with pytest.raises(UserError, match="expected those of the recording fallback"):
        ReplayModel(tmp_path, recording, options=WARM)
    for _ in range(2):
        assert ask(ReplayModel(tmp_path, recording, options=COOL)).reply == "1"
    assert inner.num_calls == 1


def test_a_call_that_is_not_recorded_fails_and_says_which(tmp_path):
    ask(RecordingModel(Counter(), tmp_path))
    with pytest.raises(ModelFailure, match=r"not recorded in .*calls\.jsonl: 'Write code\.' with seed 9$"):
        ask(ReplayModel(tmp_path), seed=9)
    with pytest.raises(ModelFailure, match="''"):
        ask(ReplayModel(tmp_path), messages=())


@pytest.mark.parametrize("wrapped", [True, False], ids=["recording fallback", "plain fallback"])
def test_with_a_fallback_no_finished_call_is_repeated_after_a_restart(tmp_path, wrapped):
    def start():
        inner = Counter()
        return inner, ReplayModel(tmp_path, RecordingModel(inner, tmp_path) if wrapped else inner)

    inner, model = start()
    first = [ask(model, seed) for seed in (1, 2, 1, 2)]
    assert inner.num_calls == 2
    inner, model = start()
    assert [ask(model, seed) for seed in (1, 2, 1, 2)] == first
    assert inner.num_calls == 0
    ask(model, 3)
    assert inner.num_calls == 1
    assert len((tmp_path / JOURNAL).read_text().splitlines()) == 3  # each call is written once


def test_a_journal_cut_at_any_byte_loses_only_the_last_call(tmp_path):
    recording = RecordingModel(Counter(suffix=" é\u2028\x85\r"), tmp_path)
    for seed in (1, 2):
        ask(recording, seed)
    whole = (tmp_path / JOURNAL).read_bytes()
    first_line = whole.index(b"\n") + 1
    for length in {*range(0, len(whole), 4), first_line - 1, first_line, first_line + 1, len(whole) - 1}:
        folder = tmp_path / str(length)
        folder.mkdir()
        (folder / JOURNAL).write_bytes(whole[:length])
        inner = Counter(suffix=" again")
        model = ReplayModel(folder, inner)
        replies = [ask(model, seed).reply for seed in (1, 2)]
        assert inner.num_calls == 2 - (length >= first_line)
        # what was appended after the cut is found by the next process
        later = ReplayModel(folder)
        assert [ask(later, seed).reply for seed in (1, 2)] == replies
        assert (folder / JOURNAL).read_bytes().count(b"\n") == 2


def test_reading_alone_leaves_a_torn_line_where_it_is(tmp_path):
    ask(RecordingModel(Counter(), tmp_path))
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"call": "12')
    content = (tmp_path / JOURNAL).read_bytes()
    assert ask(ReplayModel(tmp_path)).reply == "1"
    assert (tmp_path / JOURNAL).read_bytes() == content


def test_failures_are_not_recorded(tmp_path):
    class Moody(Counter):
        async def complete(self, messages, *, seed, json_reply=False):
            completion = await super().complete(messages, seed=seed)
            if self.num_calls == 1:
                raise ModelFailure("overloaded")
            return completion

    model = ReplayModel(tmp_path, Moody())
    with pytest.raises(ModelFailure, match="overloaded"):
        ask(model)
    assert not (tmp_path / JOURNAL).exists()
    assert ask(model).reply == ask(ReplayModel(tmp_path)).reply == "2"


def test_of_two_records_of_a_call_the_last_counts(tmp_path):
    recording = RecordingModel(Counter(), tmp_path)
    ask(recording)
    ask(recording)
    assert ask(ReplayModel(tmp_path)).reply == "2"


def test_the_recorded_model_must_be_known(tmp_path):
    with pytest.raises(UserError, match="no recorded calls"):
        ReplayModel(tmp_path)
    assert ReplayModel(tmp_path, name="a").name == "a"
    for name in ("a", "b"):
        ask(RecordingModel(Counter(name, suffix=name), tmp_path))
    with pytest.raises(UserError, match="calls of 2 models: say which"):
        ReplayModel(tmp_path)
    assert ask(ReplayModel(tmp_path, name="b")).reply == "1b"


@pytest.mark.parametrize("line", [b"not json", b"[]", b'{"call": "12"}', b"\xff", b"", b"null"])
def test_a_broken_line_is_named(tmp_path, line):
    ask(RecordingModel(Counter(), tmp_path))
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(UserError, match=r"calls\.jsonl: line 2 is not a recorded call"):
        ReplayModel(tmp_path)


@given(st.text(st.characters(exclude_categories=()), max_size=30))
@example("half \ud83d of a character")
def test_any_reply_comes_back(tmp_path_factory, reply):
    class Says(Counter):
        async def complete(self, messages, *, seed, json_reply=False):
            return Completion(reply, 1, 1)

    folder = tmp_path_factory.mktemp("journal")
    messages = (Message("user", reply),)
    recorded = ask(RecordingModel(Says(), folder), messages=messages)
    assert ask(ReplayModel(folder), messages=messages) == recorded
    assert recorded.reply == reply or any("\ud800" <= character <= "\udfff" for character in reply)


def test_an_opening_is_one_short_line():
    assert opening(ASKED) == "Write code."
    assert opening([Message("user", "a" * 200)]) == "a" * 80
    assert opening([]) == ""
