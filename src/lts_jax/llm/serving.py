"""Any chat model as an OpenAI-compatible HTTP endpoint: chat completions, embeddings, models, a health check.

A small HTTP/1.1 server over asyncio streams: keep-alive, Content-Length, nothing else. It checks no key and encrypts
nothing, so it belongs on a loopback or private address. What a request may ask for and is not listed in
`lts_jax.llm.chat_api` is ignored. A model that takes wishes (`TunableModel`) gets them, streams as it speaks, and stops
when its client leaves.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from lts_jax.llm.chat import BudgetExhausted, ChatModel, Completion, FailureKind, ModelFailure, TunableModel
from lts_jax.llm.chat_api import (
    BadRequest,
    ChatRequest,
    completion_body,
    error_body,
    models_body,
    read_request,
    read_wish,
    stream_body,
)
from lts_jax.llm.embeddings_api import TextEncoder, embeddings_body, read_texts
from lts_jax.llm.serving_stream import ClientLeft, Spoken, send_stream, until_left

MAX_BODY_BYTES = 8 * 2**20
MAX_CONNECTIONS = 256
MAX_HELD_BYTES = 64 * 2**20  # of all bodies that are being read or answered
_MAX_HEAD_BYTES = 32 * 2**10
_IDLE_SECONDS = 75.0  # a connection that sends no whole request for so long is closed
_LINGER_SECONDS = 2.0  # how long a refused body is read and thrown away, so that the refusal can be read
_REASONS = {
    200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 411: "Length Required",
    413: "Content Too Large", 429: "Too Many Requests", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip
_CHAT, _EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"
_METHODS = {_CHAT: "POST", "/v1/models": "GET", "/health": "GET"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    body: bytes
    keep_alive: bool


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


class _Refused(Exception):
    """A request that cannot be read; the connection ends after the answer."""

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(problem)
        self.status = status


class ChatServer:
    """A running server, from `serve_chat`. Also an async context manager that closes it at the end."""

    def __init__(self, model: ChatModel, encoder: TextEncoder | None = None) -> None:
        """Not listening yet; `serve_chat` makes one that is."""
        self._model = model
        self._encoder = encoder
        self._methods = _METHODS if encoder is None else _METHODS | {_EMBEDDINGS: "POST"}
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._held_bytes = 0  # of bodies
        self._address = ("", 0)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._address[1]

    @property
    def base_url(self) -> str:
        """What a client takes as its base URL."""
        host = f"[{self._address[0]}]" if ":" in self._address[0] else self._address[0]
        return f"http://{host}:{self.port}/v1"

    async def listen(self, host: str, port: int) -> None:
        """Begin to accept connections.

        Raises:
            OSError: the address is in use or not this machine's.
        """
        self._server = await asyncio.start_server(self._serve_connection, host, port, limit=_MAX_HEAD_BYTES)
        self._address = self._server.sockets[0].getsockname()[:2]

    async def close(self) -> None:
        """Stop listening and drop every connection, also those with a call under way."""
        if self._server is None:
            return
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def __aenter__(self) -> "ChatServer":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if len(self._connections) > MAX_CONNECTIONS:
                busy = _error(503, f"more than {MAX_CONNECTIONS} connections", headers={"Retry-After": "1"})
                await _send(writer, busy, keep_alive=False)
                return
            while await self._serve_request(reader, writer):
                pass
        except (OSError, EOFError):
            pass  # the client went away, or was idle for too long
        except asyncio.CancelledError:
            pass  # by `close`: the task ends here, and asyncio has nothing to report
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection goes on."""
        held = 0
        try:
            async with asyncio.timeout(_IDLE_SECONDS):
                head = await _read_head(reader)
                if self._held_bytes + head.num_bytes > MAX_HELD_BYTES:
                    raise _Refused(503, f"requests of more than {MAX_HELD_BYTES} bytes are waiting already")
                held = head.num_bytes
                self._held_bytes += held
                request = await _read_body(head, reader, writer)
            response = await self._respond(request, reader)
            if isinstance(response, Spoken):
                return await send_stream(response, reader, writer, keep_alive=request.keep_alive)
            await _send(writer, response, request.keep_alive)
            return request.keep_alive
        except ClientLeft:
            return False
        except _Refused as refused:
            await _send(writer, _error(refused.status, str(refused)), keep_alive=False)
            await _linger(reader, writer)
            return False
        finally:
            self._held_bytes -= held

    async def _respond(self, request: _Request, reader: asyncio.StreamReader) -> _Response | Spoken:
        method = self._methods.get(request.path)
        if method is None:
            return _error(404, f"no such path: {request.path[:100]}; there are {', '.join(self._methods)}")
        if request.method != method:
            return _error(405, f"{request.path} takes {method}", headers={"Allow": method})
        if request.path == "/health":
            return _Response(200, b'{"status":"ok"}')
        if request.path == "/v1/models":
            return _Response(200, models_body(self._model.name))
        try:
            if request.path == _EMBEDDINGS:
                return await self._embed(request.body)
            return await self._complete(request.body, reader)
        except BadRequest as problem:
            return _error(400, str(problem))
        except BudgetExhausted as exhausted:
            return _error(429, str(exhausted), code="insufficient_quota", headers={"x-should-retry": "false"})
        except ClientLeft:
            raise
        except ModelFailure as failure:  # has had its retries
            if failure.kind == FailureKind.REQUEST_REFUSED and isinstance(self._model, TunableModel):
                return _error(400, str(failure), code="invalid_request")
            return _error(500, str(failure), code="model_failure", headers={"x-should-retry": "false"})
        except Exception as error:
            _log.exception("a chat completion failed")
            return _error(500, f"internal error: {type(error).__name__}", headers={"x-should-retry": "false"})

    async def _complete(self, body: bytes, reader: asyncio.StreamReader) -> _Response | Spoken:
        asked = read_request(body)
        model = self._model
        if not isinstance(model, TunableModel):
            completion = await model.complete(asked.messages, seed=asked.seed, json_reply=asked.json_reply)
            return self._said(asked, completion)
        wish = read_wish(body)
        if asked.stream:
            return await Spoken(model, asked, wish, self._model.name).begin(reader)
        call = model.complete_as(asked.messages, seed=asked.seed, json_reply=asked.json_reply, wish=wish)
        return self._said(asked, await until_left(call, reader))

    def _said(self, asked: ChatRequest, completion: Completion) -> _Response:
        if asked.stream:
            return _Response(200, stream_body(asked, completion, self._model.name), "text/event-stream")
        return _Response(200, completion_body(asked, completion, self._model.name))

    async def _embed(self, body: bytes) -> _Response:
        texts, in_base64 = read_texts(body)
        assert self._encoder is not None  # else there is no such path
        vectors = await asyncio.to_thread(self._encoder.encode, texts)
        num_tokens = sum(-(-len(text) // 4) for text in texts)
        return _Response(200, embeddings_body(vectors, self._encoder.name, num_tokens, in_base64=in_base64))


async def serve_chat(
    model: ChatModel, *, host: str = "127.0.0.1", port: int = 0, encoder: TextEncoder | None = None
) -> ChatServer:
    """Serve a chat model on an address; port 0 takes any free one. The server runs on the current event loop.

    With an encoder there are embeddings too.

    Raises:
        OSError: the address is in use or not this machine's.
    """
    server = ChatServer(model, encoder)
    await server.listen(host, port)
    return server


async def serve_forever(
    model: ChatModel,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    on_ready: Callable[[ChatServer], None] | None = None,
    encoder: TextEncoder | None = None,
) -> None:
    """Serve a chat model until cancelled. `on_ready` is called once connections are accepted.

    Raises:
        OSError: the address is in use or not this machine's.
    """
    async with await serve_chat(model, host=host, port=port, encoder=encoder) as server:
        if on_ready is not None:
            on_ready(server)
        await asyncio.get_running_loop().create_future()


@dataclass(frozen=True, slots=True)
class _Head:
    method: str
    path: str
    num_bytes: int  # of the body
    keep_alive: bool
    wants_word: bool  # before it sends the body


async def _read_head(reader: asyncio.StreamReader) -> _Head:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise _Refused(431, f"the request's headers are larger than {_MAX_HEAD_BYTES} bytes") from None
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    method, target, version = _request_line(first)
    headers = _headers(lines)
    if "transfer-encoding" in headers:
        raise _Refused(411, "expected a request with Content-Length, not Transfer-Encoding")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise _Refused(400, f"Content-Length: expected a number, got {length[:40]!r}")
    if len(length) > 18 or int(length) > MAX_BODY_BYTES:
        raise _Refused(413, f"the request is larger than {MAX_BODY_BYTES} bytes")
    connection = headers.get("connection", "").lower()
    keep_alive = "close" not in connection and (version == "HTTP/1.1" or "keep-alive" in connection)
    wants_word = headers.get("expect", "").lower() == "100-continue"
    return _Head(method, target.partition("?")[0].rstrip("/"), int(length), keep_alive, wants_word)


async def _read_body(head: _Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Request:
    if head.wants_word:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return _Request(head.method, head.path, await reader.readexactly(head.num_bytes), head.keep_alive)


def _request_line(line: str) -> tuple[str, str, str]:
    parts = line.split(" ")
    if len(parts) != 3 or parts[2] not in {"HTTP/1.0", "HTTP/1.1"} or not parts[1].startswith("/"):
        raise _Refused(400, f"expected an HTTP/1.1 request line, got {line[:80]!r}")
    return parts[0], parts[1], parts[2]


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name, value = name.lower(), value.strip()
        if not colon or not name or name != name.strip():
            raise _Refused(400, f"expected a header line, got {line[:80]!r}")
        if name == "content-length" and headers.get(name, value) != value:
            raise _Refused(400, "two Content-Length headers that differ")
        headers[name] = value
    return headers


def _error(status: int, message: str, *, code: str | None = None, headers: dict[str, str] | None = None) -> _Response:
    return _Response(status, error_body(status, message, code), headers=headers or {})


async def _send(writer: asyncio.StreamWriter, response: _Response, keep_alive: bool) -> None:
    headers = {
        "Content-Type": response.content_type,
        "Content-Length": str(len(response.body)),
        "Connection": "keep-alive" if keep_alive else "close",
        **response.headers,
    }
    lines = [f"HTTP/1.1 {response.status} {_REASONS[response.status]}", *(f"{n}: {v}" for n, v in headers.items())]
    writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + response.body)
    await writer.drain()


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read on for a moment: closing with unread bytes would reset the connection before the answer is read."""
    writer.write_eof()
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while await reader.read(2**16):
                pass
    except TimeoutError:
        pass
