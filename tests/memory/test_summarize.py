"""Summaries: what is asked, what becomes of the reply, and the rule that stands in for a failed call."""

import asyncio
from collections.abc import Sequence

import pytest

from lts_jax.memory.summarize import SummarySettings, rule_summary, summarize_step
from lts_jax.memory.text import cut, first_words, one_line
from lts_jax.records import Message, ModelCall, Step

QUESTION = "What does a day ticket cost?"
STEP = Step(0, 3, "WebSurfer", "Open the page of the pool", "", "The day ticket is 12.50 euros.")


class _Ask:
    """Answers every call with one reply or error, and keeps what was asked."""

    def __init__(self, reply: str = "", error: str = "") -> None:
        self.reply, self.error = reply, error
        self.asked: list[tuple[str, Sequence[Message]]] = []

    async def __call__(self, purpose: str, messages: Sequence[Message]) -> ModelCall:
        self.asked.append((purpose, messages))
        return ModelCall(purpose, self.reply, 10, 5, error=self.error)


def _summarize(step: Step, ask: _Ask, settings: SummarySettings | None = None) -> str:
    return asyncio.run(summarize_step(QUESTION, step, ask, settings or SummarySettings()))


def test_the_call_is_stateless_and_holds_the_step() -> None:
    ask = _Ask("The day ticket costs 12.50 euros.")
    assert _summarize(STEP, ask) == "The day ticket costs 12.50 euros."
    [(purpose, [message])] = ask.asked
    assert purpose == "summarize"
    assert message.content.startswith("Summarize this step.")
    for part in (QUESTION, "WebSurfer", STEP.instruction, STEP.output):
        assert part in message.content


def test_a_long_output_reaches_the_model_cut() -> None:
    ask = _Ask("long page")
    _summarize(Step(0, 0, "WebSurfer", "read", "", "a" * 5000 + "END"), ask, SummarySettings(max_output_characters=100))
    output = ask.asked[0][1][0].content.split("Output:\n")[1]
    assert len(output) == 100
    assert output.endswith("aEND")


@pytest.mark.parametrize(
    ("reply", "summary"),
    [
        ("  Found the\n price:   12.50 ", "Found the price: 12.50"),
        ("Summary: found it", "found it"),
        ("**Summary:** found it", "found it"),
        ('"found it"', "found it"),
        ("```text\nfound it\n```", "found it"),
        (" ".join(f"w{n}" for n in range(40)), " ".join(f"w{n}" for n in range(20))),
        ("Summaries of two pages differ", "Summaries of two pages differ"),
    ],
)
def test_the_reply_becomes_one_short_line(reply: str, summary: str) -> None:
    assert _summarize(STEP, _Ask(reply)) == summary


@pytest.mark.parametrize("ask", [_Ask(error="time-out"), _Ask(""), _Ask(' \n"" '), _Ask("```\n```")])
def test_a_failed_or_empty_reply_falls_back_to_the_rule(ask: _Ask) -> None:
    assert _summarize(STEP, ask) == "WebSurfer on Open the page of the pool: The day ticket is 12.50 euros."


def test_failed_and_empty_steps_are_summarised_too() -> None:
    ask = _Ask("the page refused")
    assert _summarize(Step(0, 0, "WebSurfer", "open it", "", "", failed=True), ask) == "the page refused"
    assert "Output:\n(empty reply)" in ask.asked[0][1][0].content


def test_rule_summaries_by_hand() -> None:
    trace = 'Traceback (most recent call last):\n  File "x.py", line 1\nZeroDivisionError: division by zero\n'
    failed = Step(0, 0, "ComputerTerminal", "Run the code.", "", trace, failed=True)
    assert rule_summary(failed, 20) == "ComputerTerminal failed at Run the code: ZeroDivisionError: division by zero"
    empty = Step(0, 0, "Coder", "", "", " \n ")
    assert rule_summary(empty, 20) == "Coder on no instruction: empty reply"
    wordy = Step(0, 0, "Coder", "one two three four five six", "", "a b c d e f")
    assert rule_summary(wordy, 8) == "Coder on one two: a b c d"


@pytest.mark.parametrize("max_words", [4, 5, 20, 50])
def test_rule_summaries_keep_to_their_words(max_words: int) -> None:
    step = Step(0, 0, "WebSurfer", "i " * 100, "", "o\n" * 100)
    summary = rule_summary(step, max_words)
    assert len(summary.split()) == max_words
    assert "\n" not in summary


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="max_words: expected at least 4, got 3"):
        SummarySettings(max_words=3)
    with pytest.raises(ValueError, match="max_output_characters: expected at least 1, got 0"):
        SummarySettings(max_output_characters=0)


def test_text_cutting_by_hand() -> None:
    assert one_line(" a \n\n b\r\n c\u2028d ") == "a b c d"
    assert one_line("two  blanks stay") == "two  blanks stay"
    assert first_words("a  b\nc d", 3) == "a b c"
    assert first_words("a b", 5) == "a b"
    text = "0123456789" * 4
    assert cut(text, 40) is text
    assert cut(text, 27) == "012345678901234\n[...]\n56789"  # 20 of 40 characters kept, 15 before and 5 after
    assert cut(text, 10) == "0123456789"
    assert all(len(cut(text, size)) == size for size in range(40))
