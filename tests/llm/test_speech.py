"""What is said is told from what is thought, in whatever form a reasoning model writes; tags that are quoted stay."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lts_jax.llm.chat import Completion
from lts_jax.llm.openai_stream import join_stream
from lts_jax.llm.openai_wire import NoText, read_completion
from lts_jax.llm.speech import Speech, read_speech
from lts_jax.records import Message

THOUGHTS = {  # what a model writes, what it says, what it thinks
    "<think>five?</think>\n\nFINAL ANSWER: 5": ("FINAL ANSWER: 5", "five?"),
    "five?</think>5": ("5", "five?"),  # the template has opened it
    "a</think>b</think>5": ("5", "a\nb"),
    "<think>five": ("", "five"),
    "<think>a<think>b</think>5": ("5", "a<think>b"),
    "5<think>or six": ("5", "or six"),
    "<think></think>5": ("5", ""),
    "<THINKING >a</THINKING>5": ("5", "a"),
    '<thought lang="en">a</thought>5': ("5", "a"),
    "<seed:think>a</seed:think>5": ("5", "a"),
    "[THINK]a[/THINK]5": ("5", "a"),
    "◁think▷a◁/think▷5": ("5", "a"),
    "<|begin_of_thought|>a<|end_of_thought|><|begin_of_solution|>5<|end_of_solution|>": ("5", "a"),
    "<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>5<|END_RESPONSE|>": ("5", "a"),
    "<reasoning>a</reasoning>5": ("5", "a"),
    "<think>a</think><answer>5</answer>": ("5", "a"),
    "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>5<|return|>": ("5", "a"),
    "<|channel|>analysis<|message|>five": ("", "five"),
    "<|channel|>commentary to=functions.open_file <|constrain|>json<|message|>{}<|call|>": (
        '{"tool": "open_file", "arguments": "{}"}',
        "",
    ),
    "analysisWe count.assistantfinal5": ("5", "We count."),
    "analysisWe count": ("", "We count"),
    "5<|im_end|>\n<|im_start|>user\nand now?": ("5", ""),
    "<|im_start|>assistant\n5<|im_end|>": ("5", ""),
    "5</s>": ("5", ""),
    "5<end_of_turn>": ("5", ""),
    "5<｜end▁of▁sentence｜>": ("5", ""),
}


@pytest.mark.parametrize("written", THOUGHTS, ids=lambda text: text[:30])
def test_what_is_said_is_what_comes_after_the_thought(written):
    assert read_speech(written) == Speech(*THOUGHTS[written])


AS_THEY_ARE = [
    "FINAL ANSWER: 5",
    '{"reason": "it says <think> there", "answer": true}',
    'The ledger: {"reason": "</think>", "answer": 1} is it.',
    "The tag `<think>` opens a thought. FINAL ANSWER: 5",
    '```python\nre.sub("<think>.*?</think>", "", text)\n```',
    "The page has <analysis>a table</analysis> in it.",
    "a < b and <p>markup</p>",
    "analysis of ponds: 5",
    "<<<\nquoted\n>>>",
    "",
]


@pytest.mark.parametrize("written", AS_THEY_ARE)
def test_what_is_only_talked_about_stays(written):
    assert read_speech(written) == Speech(written)


PIECES = st.sampled_from(
    [
        "<think>",
        "</think>",
        "<|im_end|>",
        "<|channel|>",
        "final",
        "<|message|>",
        '{"a": "',
        '"}',
        "`",
        "x",
        "\n",
        "[THINK]",
    ]
)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_no_text_raises_and_nothing_is_said_behind_an_open_thought(written):
    assert isinstance(read_speech(written), Speech)
    assert read_speech(f"<think>{written.replace('/', '')}").text == "" or "[/" in written


ASKED = (Message("user", "How many?"),)


def read(message, finish="stop", **usage):
    choice = {"message": message, "finish_reason": finish}
    return read_completion(json.dumps({"choices": [choice], "usage": usage}).encode(), ASKED, "m")


def test_fields_and_parts_of_thoughts_are_kept_and_not_said():
    assert read({"content": "5", "reasoning_content": "five?"}) == Completion("5", 3, 3, "m", thought="five?")
    assert read({"content": "5", "reasoning": "five?"}).thought == "five?"
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "five?"}]}
    parts = [thinking, {"type": "reference", "reference_ids": [1]}, {"type": "text", "text": "5"}]
    assert read({"content": parts}) == Completion("5", 3, 3, "m", thought="five?")
    assert read({"content": {"herons": 5}}).reply == '{"herons": 5}'
    assert read({"content": [{"type": "text", "text": {"value": "5"}}]}).reply == "5"


def test_a_thought_alone_is_no_reply():
    for message in ({"content": "<think>FINAL ANSWER: 5"}, {"content": None, "reasoning": "FINAL ANSWER: 5"}):
        with pytest.raises(NoText, match=r"the model reasoned and said nothing, finish_reason stop$"):
            read(message)
    with pytest.raises(
        NoText, match=r"reasoned \(9 tokens\) and said nothing, finish_reason length; raise --model.max-c"
    ):
        read({"content": "<think>FINAL"}, "length", completion_tokens=9)
    with pytest.raises(NoText, match="the reply is empty, finish_reason length; raise"):
        read({"content": ""}, "length")


def test_a_reply_that_a_limit_ended_says_so():
    assert [read({"content": "5"}, end).is_cut for end in ("stop", "length", "MAX_TOKENS", "content_filter", None)] == [
        False, True, True, True, False,
    ]  # fmt: skip


def events(*deltas, finish="stop"):
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)


def streamed(*deltas, finish="stop"):
    return read_completion(events(*deltas, finish=finish), ASKED, "m", streamed=True)


def test_a_stream_in_parts_loses_nothing():
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "fi"}]}
    found = streamed(
        {"reasoning_content": "a "}, {"content": [thinking]}, {"content": "18"}, {"content": [{"text": "93"}]}
    )
    assert (found.reply, found.thought) == ("1893", "a fi")
    assert streamed({"content": "5"}, finish="length").is_cut


@pytest.mark.parametrize("reason", ["", "null", None])
def test_a_reason_that_is_none_ends_no_stream(reason):
    chunks = [{"choices": [{"delta": {"content": part}, "finish_reason": reason}]} for part in ("18", "93")]
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
    assert read_completion(body, ASKED, "m", streamed=True).reply == "1893"


def test_an_error_in_a_stream_is_all_that_is_left():
    body = events({"content": "half"})[:-2] + b'\n\ndata: {"error": {"message": "overloaded", "code": 503}}\n\n'
    assert join_stream(body) == {"error": {"message": "overloaded", "code": 503}}
    in_choice = b'data: {"choices": [{"delta": {}, "error": {"message": "no"}, "finish_reason": "error"}]}\n\n'
    assert join_stream(in_choice) == {"error": {"message": "no"}}


def test_thoughts_of_any_model_are_told_apart_in_a_rollout():
    from lts_jax.admission.rules import RULES
    from lts_jax.records import Coordinates, Task
    from lts_jax.rollouts.rollout import RolloutParts, run_rollout
    from lts_jax.rollouts.settings import RolloutSettings
    from lts_jax.teams.settings import TeamSettings

    class Thinker:
        name = "thinker"

        async def complete(self, messages, *, seed, json_reply=False):
            reply = "<think>FINAL ANSWER: 4" if json_reply else "<think>FINAL ANSWER: 4</think>FINAL ANSWER: 5"
            return Completion(reply, 1, 1, self.name)

    task = Task("t", "How many?", "5")
    parts = RolloutParts(Thinker(), lambda tool, arguments: None, RULES["none"]())
    settings = RolloutSettings(1, TeamSettings(max_rounds=1))
    rollout = asyncio.run(run_rollout(task, Coordinates(0, 0, "t", 0), parts, settings))
    assert rollout.final.text == "5"
    assert {call.thought for call in rollout.calls} == {"FINAL ANSWER: 4"}
    assert {call.error for call in rollout.calls if call.purpose == "ledger"} == {
        "model (no_text): the model reasoned and said nothing"
    }
