"""A chat model behind any OpenAI-compatible endpoint.

The bytes go over one `Transport`; waiting, retrying and giving up are decided here, under one deadline a call.
"""

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn
from urllib.parse import urlsplit

from lts_jax import __version__
from lts_jax.errors import describe
from lts_jax.llm.budget import Budget
from lts_jax.llm.call_digest import call_digest
from lts_jax.llm.chat import Completion, FailureKind, ModelFailure
from lts_jax.llm.learnt_shape import LearntShape
from lts_jax.llm.openai_problem import read_problem
from lts_jax.llm.openai_settings import (
    OPENAI_URL,
    OpenAIChatSettings,
    chat_url,
    find_base_url,
    is_local_url,
    read_key,
    request_options,
)
from lts_jax.llm.openai_stream import StreamCut, is_whole_stream
from lts_jax.llm.openai_wire import NoText, one_line, read_reply, stated_tokens
from lts_jax.llm.proxy_and_certificates import check_environment
from lts_jax.llm.request_shape import RequestShape, request_body
from lts_jax.llm.session import session_header
from lts_jax.llm.transport import HttpReply, Problem, Transport, make_transport
from lts_jax.records import Message
from lts_jax.seeds import uniform

__all__ = ["OpenAIChatModel", "OpenAIChatSettings", "request_options"]


@dataclass(slots=True)
class _Tally:
    """Attempts begun in one call. Kept outside the coroutine that makes them, which a deadline cancels."""

    attempts: int = 0
    answers: int = 0  # attempts that a whole response came to


@dataclass(frozen=True, slots=True)
class _Asked:
    """One call: what it asks, whatever the shape of the request."""

    messages: Sequence[Message]
    seed: int
    json_reply: bool
    digest: str


@dataclass(frozen=True, slots=True)
class _Connection:
    """Transport and call slots of one event loop: sockets and semaphores do not outlive the loop they were made in."""

    loop: asyncio.AbstractEventLoop
    transport: Transport
    slots: asyncio.Semaphore
    headers: dict[str, str]

    def __repr__(self) -> str:
        return "_Connection(...)"  # the headers hold the key


class OpenAIChatModel:
    """ChatModel behind an endpoint. One object serves any number of calls at once, from one event loop at a time.

    The key stays in the environment and in the request's headers; no record, message or representation shows it.
    """

    def __init__(
        self,
        settings: OpenAIChatSettings,
        *,
        http_client: Any = None,
        prng_seed: int = 0,
        budget: Budget | None = None,
    ) -> None:
        """Check the settings; nothing is sent yet.

        `http_client` (an `httpx2.AsyncClient`) replaces the transport made here. `prng_seed` seeds the jitter of
        back-offs. `budget` is looked at before every attempt, so that no retry starts after it is used up; it is spent
        by whoever asks.

        Raises:
            UserError: no usable key in the environment for an endpoint that is not on this machine, a bad
                OPENAI_BASE_URL, or a proxy or certificates of the environment that cannot be used.
        """
        self._settings = settings
        self._http_client = http_client
        self._prng_seed = prng_seed
        self._budget = budget
        self._base_url = find_base_url(settings)
        self._options = request_options(settings)
        self._is_local = is_local_url(self._base_url)
        self._where = f"{settings.model} at {urlsplit(self._base_url).netloc}"
        self._connection: _Connection | None = None
        self._learnt = LearntShape(settings)
        self.num_rate_limited = 0  # responses 429 so far, for whoever shares out the calls of many processes
        read_key(settings, self._base_url)
        if http_client is None:
            check_environment(chat_url(self._base_url), is_local=self._is_local)

    @property
    def name(self) -> str:
        """Model name, as it appears in records."""
        return self._settings.model

    @property
    def shape(self) -> RequestShape:
        """What the endpoint is believed to take by now."""
        return self._learnt.shape

    @property
    def options(self) -> str:
        """What else decides a reply, see `request_options`."""
        return self._options

    async def complete(self, messages: Sequence[Message], *, seed: int, json_reply: bool = False) -> Completion:
        """Answer the messages. `seed` goes to the endpoint, which may or may not heed it.

        `json_reply` asks for JSON in one of the settings' `json_modes`, and does without where the endpoint refuses
        them. Time is wall time from the moment the call got one of the `max_in_flight` slots.

        Raises:
            BudgetExhausted: the budget was used up before an attempt.
            ModelFailure: retries or the deadline are used up, or a retry cannot help (400, 401, 403, 404, a used-up
                quota, a reply without a usable choice). It says how many attempts were made, and its `kind` why. A
                refusal that may be of a part of the request is met without that part first, see `request_shape`.
        """
        connection = self._connect()
        async with connection.slots:
            started = connection.loop.time()
            tally = _Tally()
            digest = call_digest(messages, seed, json_reply, self.name, self._options)
            asked = _Asked(messages, seed, json_reply, digest)
            try:
                async with asyncio.timeout(self._settings.call_deadline_seconds):
                    completion = await self._with_retries(connection, asked, tally)
            except TimeoutError:
                limit = self._settings.call_deadline_seconds
                text = f"{self._where}: the call took more than {limit:g} seconds"
                raise ModelFailure(text, attempts=tally.attempts, kind=FailureKind.DEADLINE) from None
            return replace(completion, seconds=connection.loop.time() - started)

    async def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        connection, self._connection = self._connection, None
        if connection is not None and connection.loop is asyncio.get_running_loop():
            await connection.transport.close()

    async def _with_retries(self, connection: _Connection, asked: _Asked, tally: _Tally) -> Completion:
        deadline = connection.loop.time() + self._settings.call_deadline_seconds
        shape = self._learnt.shape
        num_failures = 0
        doubted = False
        while True:
            if self._budget is not None:
                self._budget.check()
            tally.attempts += 1
            body = request_body(self._settings, shape, asked.messages, asked.seed, asked.json_reply)
            outcome = await self._attempt(connection, body, asked, tally)
            if isinstance(outcome, Completion):
                self._learnt.worked(shape, body, doubted=doubted)
                return replace(outcome, attempts=tally.attempts)
            other = self._learnt.after(shape, body, outcome, num_failures)
            if other is not None:
                shape = other
                if not outcome.may_retry:
                    continue
                doubted = True
            num_failures += 1
            self.num_rate_limited += outcome.kind == FailureKind.RATE_LIMIT
            if not outcome.may_retry:
                self._fail(outcome, tally)
            if num_failures > self._settings.max_retries:
                self._fail(outcome, tally, f"(attempts: {tally.attempts})")
            seconds = self._backoff_seconds(outcome, num_failures, asked.seed)
            if connection.loop.time() + seconds >= deadline:
                self._fail(outcome, tally, f"(attempts: {tally.attempts}; the next would come after the deadline)")
            await asyncio.sleep(seconds)

    async def _attempt(
        self, connection: _Connection, body: dict[str, Any], asked: _Asked, tally: _Tally
    ) -> Completion | Problem:
        """Send the request once: what came of it, or what went wrong and may be tried again.

        Raises:
            ModelFailure: a reply came, and it is of no use.
        """
        streamed = "stream" in body
        sent = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        try:
            async with asyncio.timeout(self._settings.attempt_deadline_seconds):
                is_whole = is_whole_stream if streamed else None
                own = {"Idempotency-Key": _idempotency_key(asked, tally)}
                headers = connection.headers | own | session_header(self._settings.session_header)
                reply = await connection.transport.post(headers, sent, is_whole)
        except TimeoutError:
            limit = self._settings.attempt_deadline_seconds
            text = f"no reply within {limit:g} seconds (--model.attempt-deadline-seconds)"
            return Problem(text, may_retry=True, kind=FailureKind.DEADLINE)
        tally.answers += isinstance(reply, HttpReply)
        if isinstance(reply, HttpReply) and not reply.is_success:
            reply = read_problem(reply, self._settings.api_key_variable)
        if isinstance(reply, Problem):
            return replace(reply, text=self._redact(reply.text))
        try:
            key_variable = self._settings.api_key_variable
            found = read_reply(reply, asked.messages, self.name, key_variable, streamed=streamed)
        except StreamCut as cut:
            return Problem(str(cut), may_retry=True)
        except ValueError as error:
            prompt_tokens, completion_tokens = stated_tokens(reply.body, streamed=streamed)
            raise ModelFailure(
                f"{self._where}: {self._redact(str(error))}",
                attempts=tally.attempts,
                prompt_tokens=prompt_tokens,
                completion_tokens=completion_tokens,
                kind=FailureKind.NO_TEXT if isinstance(error, NoText) else FailureKind.UNREADABLE,
            ) from None
        return replace(found, text=self._redact(found.text)) if isinstance(found, Problem) else found

    def _fail(self, problem: Problem, tally: _Tally, more: str = "") -> NoReturn:
        text = f"{self._where}: {problem.text} {more}".rstrip()
        raise ModelFailure(text, attempts=tally.attempts, kind=problem.kind)

    def _backoff_seconds(self, problem: Problem, num_failures: int, seed: int) -> float:
        """Doubling, with equal jitter; after what the server asked for, jitter alone, so that callers spread out."""
        first = self._settings.first_backoff_seconds
        jitter = uniform("backoff", self._prng_seed, seed, num_failures)
        if problem.retry_after_seconds:
            return problem.retry_after_seconds + first * jitter
        return min(self._settings.max_backoff_seconds, first * 2.0 ** min(num_failures - 1, 30)) * (1.0 + jitter) / 2.0

    def _connect(self) -> _Connection:
        """The running loop's connection, made at its first call."""
        loop = asyncio.get_running_loop()
        if self._connection is None or self._connection.loop is not loop:
            in_flight = self._settings.max_in_flight
            url = chat_url(self._base_url)
            try:
                transport = make_transport(url, is_local=self._is_local, http_client=self._http_client)
            except (ImportError, OSError, ValueError) as error:  # of the environment: a proxy, a file of certificates
                raise ModelFailure(
                    f"{self._where}: {describe(error)}", attempts=0, kind=FailureKind.CONNECTION
                ) from None
            self._connection = _Connection(loop, transport, asyncio.Semaphore(in_flight), self._headers())
        return self._connection

    def _headers(self) -> dict[str, str]:
        headers = {
            "Authorization": f"Bearer {read_key(self._settings, self._base_url)}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream" if self._settings.stream else "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"lts-jax/{__version__}",
        }
        if urlsplit(self._base_url).netloc == urlsplit(OPENAI_URL).netloc:
            for header, variable in (("OpenAI-Organization", "OPENAI_ORG_ID"), ("OpenAI-Project", "OPENAI_PROJECT_ID")):
                if os.environ.get(variable):
                    headers[header] = os.environ[variable]
        return headers

    def _redact(self, text: str) -> str:
        """The text on one short line, without the key. A stand-in such as "EMPTY" is too short to be one."""
        key = os.environ.get(self._settings.api_key_variable, "").strip()
        return one_line(text.replace(key, "[key]") if len(key) >= 16 else text, 200)


def _idempotency_key(asked: _Asked, tally: _Tally) -> str:
    """The call's digest, so that a server can tell a call that it has from the same one sent again after a cut
    connection or a restart. After a response that was of no use the next attempt is a new request with its own key:
    servers that keep responses by key keep failures too.
    """
    return asked.digest if tally.answers == 0 else f"{asked.digest}-{tally.answers + 1}"
