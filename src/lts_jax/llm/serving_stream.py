"""Replies over HTTP while they are made: server-sent events in chunks, and an end when the client leaves."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from lts_jax.errors import describe
from lts_jax.llm.chat import Completion, ModelFailure, TunableModel, Wish
from lts_jax.llm.chat_api import ChatRequest, stream_end, stream_error, stream_piece

_LOOK_SECONDS = 0.1  # between two looks at whether the client is still there
_HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    "Transfer-Encoding: chunked\r\nConnection: {}\r\n\r\n"
)
_Found = TypeVar("_Found")


class ClientLeft(Exception):
    """Nobody waits for the answer any more."""


class Spoken:
    """A reply under way: the pieces that were not yet sent, and the call that makes the rest."""

    def __init__(self, model: TunableModel, asked: ChatRequest, wish: Wish, name: str) -> None:
        """Ask. Needs a running event loop."""
        self.asked, self.name = asked, name
        self.pieces: deque[str] = deque()
        self._changed = asyncio.Event()
        self.call: asyncio.Task[Completion] = asyncio.ensure_future(
            model.complete_as(
                asked.messages, seed=asked.seed, json_reply=asked.json_reply, wish=wish, on_text=self._hear
            )
        )
        self.call.add_done_callback(lambda _: self._changed.set())

    def _hear(self, piece: str) -> None:
        self.pieces.append(piece)
        self._changed.set()

    async def begin(self, reader: asyncio.StreamReader) -> "Spoken":
        """Wait for the first piece or the end, so that what is refused at once is an error and no stream.

        Raises:
            ModelFailure: the call failed before anything was said.
            ClientLeft: nobody waits any more.
        """
        try:
            while not await self.wait():
                if reader.at_eof():
                    raise ClientLeft
            if not self.pieces:
                self.call.result()
        except BaseException:
            self.call.cancel()
            raise
        return self

    async def wait(self) -> bool:
        """Whether there are pieces, or the call has ended; waits for it a moment."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._changed.wait()
        self._changed.clear()
        return bool(self.pieces) or self.call.done()


async def send_stream(
    spoken: Spoken, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, keep_alive: bool
) -> bool:
    """Send a reply piece by piece; whether the connection goes on. The call is cancelled when the client leaves."""
    asked = spoken.asked
    try:
        writer.write(_HEAD.format("keep-alive" if keep_alive else "close").encode())
        _chunk(writer, stream_piece(asked, spoken.name, ""))
        while spoken.pieces or not spoken.call.done():
            while spoken.pieces:
                _chunk(writer, stream_piece(asked, spoken.name, spoken.pieces.popleft()))
            await writer.drain()
            await spoken.wait()
            if reader.at_eof():
                raise ClientLeft
        _chunk(writer, _last(spoken))
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return keep_alive
    finally:
        spoken.call.cancel()


def _last(spoken: Spoken) -> bytes:
    """The end of a stream, or what went wrong on its way: its head is sent, so it can only be told inside."""
    try:
        return stream_end(spoken.asked, spoken.call.result(), spoken.name)
    except ModelFailure as failure:
        return stream_error(str(failure))
    except Exception as error:
        return stream_error(f"internal error: {describe(error)}")


def _chunk(writer: asyncio.StreamWriter, content: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(content), content))


async def until_left(call: Coroutine[Any, Any, _Found], reader: asyncio.StreamReader) -> _Found:
    """The result of a call; the call is cancelled when the client leaves.

    Raises:
        ClientLeft: it did.
    """
    task = asyncio.ensure_future(call)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_LOOK_SECONDS)
            if not task.done() and reader.at_eof():
                raise ClientLeft
        return task.result()
    finally:
        task.cancel()
