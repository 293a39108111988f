"""A chat model behind any OpenAI-compatible endpoint.

The `openai` package speaks the protocol; waiting, retrying and giving up are ours, under one deadline a call.
"""

import asyncio
import importlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from lts_jax.errors import UserError
from lts_jax.llm.chat import Completion, ModelFailure
from lts_jax.llm.openai_wire import (
    error_text,
    one_line,
    read_completion,
    retry_after_seconds,
    stated_prompt_tokens,
    wire_messages,
)
from lts_jax.records import Message
from lts_jax.seeds import uniform

MAX_REPLY_BYTES = 8 * 2**20
_MAX_ERROR_BYTES = 64 * 2**10
_OPENAI_URL = "https://api.openai.com/v1"


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

    def __post_init__(self) -> None:
        if not self.model:
            raise UserError("model: expected the name of a model at the endpoint, got an empty text")
        _check_url(self.base_url or _OPENAI_URL)
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


@dataclass(frozen=True, slots=True)
class _Problem:
    """Why an attempt failed."""

    text: str
    may_retry: bool
    status: int = 0
    retry_after_seconds: float = 0.0


@dataclass(slots=True)
class _Tally:
    """Attempts begun in one call. Kept outside the coroutine that makes them, which a deadline cancels."""

    attempts: int = 0


@dataclass(frozen=True, slots=True)
class _Connection:
    """Client and call slots of one event loop: sockets and semaphores do not outlive the loop they were made in."""

    loop: asyncio.AbstractEventLoop
    client: Any
    slots: asyncio.Semaphore


class OpenAIChatModel:
    """ChatModel behind an endpoint. One object serves any number of calls at once, from one event loop at a time.

    The key stays in the environment and in the client's headers; no record, message or representation shows it.
    """

    def __init__(self, settings: OpenAIChatSettings, *, http_client: Any = None, prng_seed: int = 0) -> None:
        """Check the settings; nothing is sent yet.

        `http_client` (an `httpx2.AsyncClient`) replaces the one made here. `prng_seed` seeds the jitter of back-offs.

        Raises:
            UserError: no usable key in the environment for an endpoint that is not on this machine, or a bad
                OPENAI_BASE_URL.
        """
        self._settings = settings
        self._http_client = http_client
        self._prng_seed = prng_seed
        self._base_url = _find_base_url(settings)
        self._options = request_options(settings)
        self._is_local = _check_url(self._base_url)
        self._where = f"{settings.model} at {urlsplit(self._base_url).netloc}"
        self._connection: _Connection | None = None
        self._json_is_refused = False
        self._key()
        importlib.import_module("openai.resources.chat")  # half a second: here, not inside the first call's deadline

    @property
    def name(self) -> str:
        """Model name, as it appears in records."""
        return self._settings.model

    @property
    def options(self) -> str:
        """What else decides a reply, see `request_options`."""
        return self._options

    async def complete(self, messages: Sequence[Message], *, seed: int, json_reply: bool = False) -> Completion:
        """Answer the messages. `seed` goes to the endpoint, which may or may not heed it.

        `json_reply` asks for JSON mode, and does without it where the endpoint refuses. Time is wall time from the
        moment the call got one of the `max_in_flight` slots.

        Raises:
            ModelFailure: retries or the deadline are used up, or a retry cannot help (400, 401, 403, 404, a used-up
                quota, a reply without a usable choice). It says how many attempts were made.
        """
        connection = self._connect()
        async with connection.slots:
            started = connection.loop.time()
            tally = _Tally()
            try:
                async with asyncio.timeout(self._settings.call_deadline_seconds):
                    completion = await self._with_retries(connection.client, messages, seed, json_reply, tally)
            except TimeoutError:
                limit = self._settings.call_deadline_seconds
                text = f"{self._where}: the call took more than {limit:g} seconds"
                raise ModelFailure(text, attempts=tally.attempts) from None
            return replace(completion, seconds=connection.loop.time() - started)

    async def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        connection, self._connection = self._connection, None
        if connection is not None and connection.loop is asyncio.get_running_loop():
            await connection.client.close()

    async def _with_retries(
        self, client: Any, messages: Sequence[Message], seed: int, json_reply: bool, tally: _Tally
    ) -> Completion:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.call_deadline_seconds
        request = self._request(messages, seed, json_reply)
        num_failures = 0
        while True:
            tally.attempts += 1
            outcome = await self._attempt(client, request)
            if isinstance(outcome, bytes):
                break
            if outcome.status in {400, 422} and request.pop("response_format", None):
                continue  # the endpoint may know no JSON mode: once more without it
            num_failures += 1
            problem = f"{self._where}: {outcome.text}"
            if not outcome.may_retry:
                raise ModelFailure(problem, attempts=tally.attempts)
            if num_failures > self._settings.max_retries:
                raise ModelFailure(f"{problem} (attempts: {tally.attempts})", attempts=tally.attempts)
            seconds = self._backoff_seconds(outcome, num_failures, seed)
            if loop.time() + seconds >= deadline:
                problem = f"{problem} (attempts: {tally.attempts}; the next would come after the deadline)"
                raise ModelFailure(problem, attempts=tally.attempts)
            await asyncio.sleep(seconds)
        if json_reply and "response_format" not in request:
            self._json_is_refused = True
        try:
            completion = read_completion(outcome, messages, self.name)
        except ValueError as error:
            raise ModelFailure(
                f"{self._where}: {self._redact(str(error))}",
                attempts=tally.attempts,
                prompt_tokens=stated_prompt_tokens(outcome),
            ) from None
        return replace(completion, attempts=tally.attempts)

    def _request(self, messages: Sequence[Message], seed: int, json_reply: bool) -> dict[str, Any]:
        request: dict[str, Any] = {"model": self.name, "messages": wire_messages(messages), "seed": seed}
        if self._settings.temperature is not None:
            request["temperature"] = self._settings.temperature
        if self._settings.max_completion_tokens is not None:
            request["max_completion_tokens"] = self._settings.max_completion_tokens
        if json_reply and not self._json_is_refused:
            request["response_format"] = {"type": "json_object"}
        return request

    async def _attempt(self, client: Any, request: dict[str, Any]) -> bytes | _Problem:
        """Send the request once: the body of a success, or what went wrong."""
        import httpx2
        import openai

        body = bytearray()
        try:
            async with (
                asyncio.timeout(self._settings.attempt_deadline_seconds),
                client.chat.completions.with_streaming_response.create(**request) as response,
            ):
                async for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > MAX_REPLY_BYTES:
                        return _Problem(f"the reply is larger than {MAX_REPLY_BYTES} bytes", may_retry=False)
        except openai.APIStatusError as error:
            return self._status_problem(error)
        except (TimeoutError, openai.APITimeoutError, httpx2.TimeoutException):
            seconds = self._settings.attempt_deadline_seconds
            return _Problem(f"no reply within {seconds:g} seconds", may_retry=True)
        except (openai.APIConnectionError, httpx2.TransportError, OSError) as error:
            cause = error.__cause__ or error
            return _Problem(f"connection: {type(cause).__name__} {self._redact(str(cause))}".rstrip(), may_retry=True)
        except (openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL) as error:
            return _Problem(f"{type(error).__name__}: {self._redact(str(error))}", may_retry=False)
        return bytes(body)

    def _status_problem(self, error: Any) -> _Problem:
        """What to make of a response that is not a success."""
        status = error.status_code
        if status in {401, 403}:  # the body may quote the key
            variable = self._settings.api_key_variable
            return _Problem(f"HTTP {status}: the key in {variable} was refused", may_retry=False, status=status)
        told_not_to = error.response.headers.get("x-should-retry") == "false" or error.code == "insufficient_quota"
        return _Problem(
            f"HTTP {status}: {self._redact(error_text(error.body))}",
            may_retry=not told_not_to and (status in {408, 429} or status >= 500),
            status=status,
            retry_after_seconds=retry_after_seconds(error.response.headers),
        )

    def _backoff_seconds(self, problem: _Problem, num_failures: int, seed: int) -> float:
        """Doubling, with equal jitter; after what the server asked for, jitter alone, so that callers spread out."""
        first = self._settings.first_backoff_seconds
        jitter = uniform("backoff", self._prng_seed, seed, num_failures)
        if problem.retry_after_seconds:
            return problem.retry_after_seconds + first * jitter
        return min(self._settings.max_backoff_seconds, first * 2.0 ** min(num_failures - 1, 30)) * (1.0 + jitter) / 2.0

    def _connect(self) -> _Connection:
        """The running loop's client, made at its first call."""
        loop = asyncio.get_running_loop()
        if self._connection is None or self._connection.loop is not loop:
            import openai

            client = openai.AsyncOpenAI(
                api_key=self._key(),
                base_url=self._base_url,
                max_retries=0,
                timeout=self._settings.attempt_deadline_seconds,
                http_client=self._http_client or self._make_http_client(),
            )
            self._connection = _Connection(loop, client, asyncio.Semaphore(self._settings.max_in_flight))
        return self._connection

    def _make_http_client(self) -> Any:
        import httpx2

        async def cut_error_body(response: httpx2.Response) -> None:
            # The openai package reads the body of an error whole; this one is never longer than its first part.
            if response.is_success or not isinstance(response.stream, httpx2.AsyncByteStream):
                return
            body = bytearray()
            async for chunk in response.stream:
                body += chunk
                if len(body) >= _MAX_ERROR_BYTES:
                    break
            await response.stream.aclose()
            response.stream = httpx2.ByteStream(bytes(body[:_MAX_ERROR_BYTES]))

        in_flight = self._settings.max_in_flight
        return httpx2.AsyncClient(
            follow_redirects=False,
            limits=httpx2.Limits(max_connections=in_flight, max_keepalive_connections=in_flight),
            event_hooks={"response": [cut_error_body]},
            trust_env=not self._is_local,  # a proxy of the environment is not for this machine
        )

    def _key(self) -> str:
        variable = self._settings.api_key_variable
        key = os.environ.get(variable, "").strip()
        if not key and self._is_local:
            return "none"
        if not key:
            raise UserError(f"set the environment variable {variable}: it holds the key for {self._base_url}")
        if not re.fullmatch(r"[!-~]+", key):
            raise UserError(f"the environment variable {variable} does not hold a key: expected printable ASCII")
        return key

    def _redact(self, text: str) -> str:
        """The text on one short line, without the key. A stand-in such as "EMPTY" is too short to be one."""
        key = os.environ.get(self._settings.api_key_variable, "").strip()
        return one_line(text.replace(key, "[key]") if len(key) >= 16 else text, 200)


def request_options(settings: OpenAIChatSettings) -> str:
    """What else than name, messages, seed and JSON mode decides a reply, as canonical JSON, for records of calls.

    It needs no key. The address is without query and fragment: they may hold a credential.
    """
    url = _find_base_url(settings)
    _check_url(url)
    address = urlsplit(url)
    options = {
        "base_url": f"{address.scheme}://{address.netloc.lower()}{address.path.rstrip('/')}",
        "max_completion_tokens": settings.max_completion_tokens,
        "temperature": None if settings.temperature is None else float(settings.temperature),
    }
    return json.dumps(options, sort_keys=True, separators=(",", ":"))


def _find_base_url(settings: OpenAIChatSettings) -> str:
    return settings.base_url or os.environ.get("OPENAI_BASE_URL") or _OPENAI_URL


def _check_url(url: str) -> bool:
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
