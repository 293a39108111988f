"""Settings of an endpoint: which are refused, which need a key, and what of them a recorded call depends on."""

import pytest

from lts_jax.errors import UserError
from lts_jax.llm.openai_client import OpenAIChatModel, OpenAIChatSettings, request_options


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef0123456789abcdef")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


OPTIONS_OF = {  # what a call depends on beside its messages
    '{"base_url":"https://models.test/v1","max_completion_tokens":null,"temperature":null}': {},
    '{"base_url":"https://models.test/v1","max_completion_tokens":99,"temperature":0.0}': {
        "temperature": 0,
        "max_completion_tokens": 99,
    },
    '{"base_url":"http://localhost:8000/V1","max_completion_tokens":null,"temperature":null}': {
        "base_url": "http://LOCALHOST:8000/V1/?api-key=hunter2#hunter2"
    },
}


@pytest.mark.parametrize("options, changes", OPTIONS_OF.items())
def test_options_say_what_a_reply_depends_on_and_no_secret(options, changes, monkeypatch):
    settings = {"model": "tiny", "base_url": "https://models.test/v1"} | changes
    assert OpenAIChatModel(OpenAIChatSettings(**settings)).options == options
    patience = {"max_retries": 1, "max_in_flight": 2, "call_deadline_seconds": 9.0}
    assert OpenAIChatModel(OpenAIChatSettings(**settings | patience)).options == options
    monkeypatch.setenv("OPENAI_BASE_URL", settings.pop("base_url"))
    assert OpenAIChatModel(OpenAIChatSettings(**settings)).options == options
    monkeypatch.delenv("OPENAI_API_KEY")
    assert request_options(OpenAIChatSettings(**settings)) == options  # a replay needs no key
    monkeypatch.setenv("OPENAI_BASE_URL", "https://me:hunter2@models.test/v1")
    with pytest.raises(UserError, match="without a user name"):
        request_options(OpenAIChatSettings(**settings))


def test_a_missing_key_is_fine_for_this_machine_only(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    for url in ("http://localhost:1/v1", "http://127.0.0.1:1/v1", "http://[::1]:1/v1"):
        OpenAIChatModel(OpenAIChatSettings("tiny", url))
    with pytest.raises(UserError, match=r"OPENAI_API_KEY: it holds the key for https://api\.openai\.com/v1$"):
        OpenAIChatModel(OpenAIChatSettings("tiny"))
    with pytest.raises(UserError, match="OTHER_KEY"):
        OpenAIChatModel(OpenAIChatSettings("tiny", "http://localhost.evil.test/v1", "OTHER_KEY"))
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1/v1")
    OpenAIChatModel(OpenAIChatSettings("tiny"))
    monkeypatch.setenv("OTHER_KEY", "sk-secret\nline")
    with pytest.raises(UserError, match="printable ASCII") as caught:
        OpenAIChatModel(OpenAIChatSettings("tiny", api_key_variable="OTHER_KEY"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": ""},
        {"base_url": "models.test"},
        {"base_url": "ftp://models.test"},
        {"base_url": "http://models.test:port"},
        {"base_url": "http://[models.test"},
        {"call_deadline_seconds": 0.0},
        {"attempt_deadline_seconds": float("nan")},
        {"max_in_flight": 0},
        {"max_retries": -1},
        {"first_backoff_seconds": -0.1},
        {"max_backoff_seconds": float("nan")},
        {"temperature": 3.0},
        {"temperature": float("nan")},
        {"max_completion_tokens": 0},
    ],
    ids=str,
)
def test_wrong_settings_name_their_field(changes):
    with pytest.raises(UserError, match=f"^{next(iter(changes))}: expected"):
        OpenAIChatSettings(**({"model": "tiny"} | changes))


def test_a_password_in_the_url_is_refused_and_not_repeated():
    with pytest.raises(UserError, match="without a user name") as caught:
        OpenAIChatSettings("tiny", "https://me:hunter2@models.test/v1")
    assert "hunter2" not in str(caught.value)
