"""What goes over the wire and comes back, on literal values."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lts_jax.llm.chat import Completion
from lts_jax.llm.openai_problem import error_text, retry_after_seconds
from lts_jax.llm.openai_wire import NoText, one_line, read_completion
from lts_jax.llm.well_formed import replace_surrogates
from lts_jax.llm.wire_messages import wire_messages
from lts_jax.records import Message

ASKED = (Message("user", "abcdefghi"),)  # nine bytes: an estimate of three tokens


def read(**reply):
    return read_completion(json.dumps({"choices": [{"message": {"content": "hello"}}]} | reply).encode(), ASKED, "m")


@pytest.mark.parametrize(
    "name, is_sent",
    [("WebSurfer", True), ("a" * 64, True), ("a" * 65, False), ("", False), ("Web Surfer", False), ("x\n", False)],
)
def test_a_name_is_sent_only_where_the_api_takes_it(name, is_sent):
    assert ("name" in wire_messages([Message("user", "", name)])[0]) == is_sent


def test_counts_are_the_endpoint_s_or_else_estimated():
    assert read(usage={"prompt_tokens": 40, "completion_tokens": 0}) == Completion("hello", 40, 0, "m")
    for broken in (None, [], {}, {"prompt_tokens": -1, "completion_tokens": "5"}, {"prompt_tokens": True}):
        assert read(usage=broken) == Completion("hello", 3, 2, "m")


def test_the_endpoint_names_the_model_that_answered():
    assert read(model="tiny-2026").model == "tiny-2026"
    assert read(model="").model == read(model=5).model == "m"


def test_replies_in_parts_and_refusals_are_replies():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert read(choices=[{"message": {"content": parts}}]).reply == "ab"
    assert read(choices=[{"message": {"content": None, "refusal": "I cannot."}}]).reply == "I cannot."
    with pytest.raises(NoText, match="the reply is empty, finish_reason stop"):
        read(choices=[{"message": {"content": ""}, "finish_reason": "stop"}])


def test_half_a_character_becomes_the_replacement_character():
    assert read(choices=[{"message": {"content": "a\ud83db"}}]).reply == "a\ufffdb"
    assert replace_surrogates("\ud83d\ude00 \udc00") == "\U0001f600 \ufffd"
    assert wire_messages([Message("user", "\udfff")]) == [{"role": "user", "content": "\ufffd"}]


@given(st.text(st.characters(exclude_categories=())))
@example("half \ud83d of a character")
def test_well_formed_text_can_be_encoded_and_only_surrogates_change(text):
    cleaned = replace_surrogates(text)
    cleaned.encode()
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert cleaned == text


NOW = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "headers, seconds",
    [
        ({}, 0.0),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "-4"}, 0.0),
        ({"retry-after": "nan"}, 0.0),
        ({"retry-after": "Sat, 21 Nov 2026 10:00:30 GMT"}, 30.0),
        ({"retry-after": "Sat, 21 Nov 2026 09:00:00 GMT"}, 0.0),
        ({"retry-after": "later"}, 0.0),
        ({"retry-after": ""}, 0.0),
        ({"retry-after": "1m"}, 60.0),
    ],
)
def test_how_long_a_server_asks_to_wait(headers, seconds):
    assert retry_after_seconds(headers, NOW) == seconds


@pytest.mark.parametrize(
    "body, text",
    [
        ({"error": {"message": "too long"}}, "too long"),
        ({"message": "too long"}, "too long"),
        ({"error": "too long"}, "too long"),
        ("<html>", "no explanation"),
        ("<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>", "502 Bad Gateway"),
        ("<html><body><h1>Blocked</h1><p>by a firewall</p></body></html>", "Blocked by a firewall"),
        ("a < b", "a < b"),
        ({"detail": [1]}, "[1]"),
        ([{"error": {"message": "too long", "code": 400}}], "too long"),
        ({"detail": [{"loc": ["body", "messages", 0, "name"], "msg": "Extra"}]}, "body.messages.0.name: Extra"),
        (
            {"error": {"message": "Provider error", "metadata": {"raw": '{"error": "is full"}'}}},
            "Provider error (is full)",
        ),
        (None, "no explanation"),
        ("", "no explanation"),
        ({"error": {"message": ["a"]}}, "['a']"),
    ],
)
def test_what_an_error_says(body, text):
    assert error_text(body) == text


def test_one_line_holds_nothing_that_a_terminal_obeys():
    assert one_line("a\r\n\tb \x1b[31mred\x07", 100) == "a b ?[31mred?"
    assert one_line("abcdef", 3) == "abc"
