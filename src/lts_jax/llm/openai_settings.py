"""Which OpenAI-compatible endpoint, with which key, and how patient to be with it."""

import json
import os
import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal, get_args
from urllib.parse import urlsplit

from lts_jax.errors import UserError
from lts_jax.llm.session import check_session_header

OPENAI_URL = "https://api.openai.com/v1"
JsonMode = Literal["json_object", "json_schema", "tool"]
"""How a reply in JSON is asked for: a response format, a format with a schema that any object meets, or a tool whose
arguments are the reply."""


@dataclass(frozen=True, slots=True)
class OpenAIChatSettings:
    """Which endpoint, and how patient to be with it."""

    model: str
    base_url: str | None = None  # None: OPENAI_BASE_URL of the environment, or else OpenAI's own
    api_key_variable: str = "OPENAI_API_KEY"  # environment variable that holds the key; may be unset for localhost
    temperature: float | None = None  # None: the endpoint's default
    max_completion_tokens: int | None = None  # None: the endpoint's default
    call_deadline_seconds: float = 600.0  # of one call with all its retries, whatever the server does
    attempt_deadline_seconds: float = 240.0  # of one attempt; after it the call is tried again
    max_retries: int = 5  # further attempts after a 408, 429, 5xx, time-out or connection error
    first_backoff_seconds: float = 0.5  # doubles with each retry; a longer wait that the server asks for is kept
    max_backoff_seconds: float = 30.0
    max_in_flight: int = 64  # calls at one time; the others wait, and their deadline waits with them
    stream: bool = (
        False  # replies in pieces, for gateways that cut a silent line; an endpoint without streams is left be
    )
    json_modes: tuple[JsonMode, ...] = ("json_object",)  # tried in turn where refused; after the last, the prompt alone
    session_header: str | None = None  # of each call: which task it is of, see `session`

    def __post_init__(self) -> None:
        if not self.model:
            raise UserError("model: expected the name of a model at the endpoint, got an empty text")
        is_local_url(self.base_url or OPENAI_URL)
        for name in ("call_deadline_seconds", "attempt_deadline_seconds", "max_in_flight"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name}: expected more than zero, got {getattr(self, name)}")
        for name in ("max_retries", "first_backoff_seconds", "max_backoff_seconds"):
            if not getattr(self, name) >= 0:
                raise UserError(f"{name}: expected zero or more, got {getattr(self, name)}")
        if self.temperature is not None and not 0.0 <= self.temperature <= 2.0:
            raise UserError(f"temperature: expected a number from 0 to 2, got {self.temperature}")
        if self.max_completion_tokens is not None and self.max_completion_tokens < 1:
            raise UserError(f"max_completion_tokens: expected at least 1, got {self.max_completion_tokens}")
        check_json_modes(self.json_modes, where="json_modes")
        check_session_header(self.session_header, where="session_header")


def check_json_modes(json_modes: tuple[str, ...], *, where: str) -> None:
    """Refuse what is no JSON mode, or one named twice. `where` is the setting, for the message."""
    known = get_args(JsonMode)
    if not set(json_modes) <= set(known) or len(set(json_modes)) < len(json_modes):
        raise UserError(f"{where}: expected each of {', '.join(known)} at most once, got {json_modes}")


def request_options(settings: OpenAIChatSettings) -> str:
    """What else than name, messages, seed and JSON mode decides a reply, as canonical JSON, for records of calls.

    It needs no key. The address is without query and fragment: they may hold a credential.
    """
    url = find_base_url(settings)
    is_local_url(url)
    address = urlsplit(url)
    options: dict[str, object] = {
        "base_url": f"{address.scheme}://{address.netloc.lower()}{address.path.rstrip('/')}",
        "max_completion_tokens": settings.max_completion_tokens,
        "temperature": None if settings.temperature is None else float(settings.temperature),
    }
    if settings.json_modes != ("json_object",):
        options["json_modes"] = settings.json_modes
    return json.dumps(options, sort_keys=True, separators=(",", ":"))


def find_base_url(settings: OpenAIChatSettings) -> str:
    """The endpoint's address: of the settings, of the environment, or OpenAI's."""
    return settings.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL


def chat_url(base_url: str) -> str:
    """Where chat completions are asked for. A query of the base URL, such as an API version, stays at the end."""
    parts = urlsplit(base_url)
    return parts._replace(path=parts.path.rstrip("/") + "/chat/completions", fragment="").geturl()


def read_key(settings: OpenAIChatSettings, base_url: str) -> str:
    """The key in the environment; "none" where there is none and the endpoint is on this machine.

    Raises:
        UserError: no key for another machine's endpoint, or a text that cannot be one.
    """
    variable = settings.api_key_variable
    key = os.environ.get(variable, "").strip()
    if not key and is_local_url(base_url):
        return "none"
    if not key:
        raise UserError(f"set the environment variable {variable}: it holds the key for {base_url}")
    if not re.fullmatch(r"[!-~]+", key):
        raise UserError(f"the environment variable {variable} does not hold a key: expected printable ASCII")
    return key


def is_local_url(url: str) -> bool:
    """Whether the URL's host is this machine.

    Raises:
        UserError: not an http or https URL with a host, or one that carries a user name or password.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"} or "@" in parts.netloc:
        raise UserError(f"base_url: expected http(s)://host[:port]/path without a user name, got {_hide_user(url)!r}")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _hide_user(url: str) -> str:
    return re.sub(r"//[^/]*@", "//...@", url)
