"""How far past its deadline does a call come back, whatever the server does? Real sockets, 400 kinds of replies.

Run: python experiments/hostile_replies/late.py [--calls 2000] [--seed 0]   (three minutes)

A server in a process of its own answers with a body, in a framing, at a pace, each drawn at random: bodies are right,
think, are cut, are no JSON or hold an error; framings lie about length or compression, or flood; paces drip, stop in
the middle, stop before the head, or reset. Overtime is max(0, seconds of the call - its deadline).
"""

import argparse
import asyncio
import gzip
import json
import logging
import multiprocessing
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

from lts_jax.llm.chat import ModelFailure
from lts_jax.llm.openai_client import OpenAIChatModel, OpenAIChatSettings
from lts_jax.records import Message
from lts_jax.storage import write_json
from lts_jax.teams.ledger import Ledger, parse_ledger

DEADLINE_SECONDS, ATTEMPT_SECONDS, IN_FLIGHT = 1.0, 0.6, 16
KEY = "sk-test-0123456789abcdef0123"
NOT_SOLVED = json.dumps(
    {
        "is_request_satisfied": {"reason": "no", "answer": False},
        "is_in_loop": {"reason": "no", "answer": False},
        "is_progress_being_made": {"reason": "yes", "answer": True},
        "next_speaker": {"reason": "reads", "answer": "WebSurfer"},
        "instruction_or_question": {"reason": "to know", "answer": "read the page"},
    }
)
SOLVED = NOT_SOLVED.replace('"is_request_satisfied": {"reason": "no", "answer": false}',
                            '"is_request_satisfied": {"reason": "ok", "answer": true}')  # fmt: skip


def _reply(content: Any, **changed: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"} | changed
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    return json.dumps({"id": "x", "model": "m", "choices": [choice], "usage": usage}).encode()


BODIES = {
    "right": _reply(NOT_SOLVED),
    "thought first": _reply(f"<think>{SOLVED}</think>{NOT_SOLVED}"),
    "thought never closed": _reply(f"<think>{SOLVED}"),
    "thought half open": _reply(f"{SOLVED}</think>{NOT_SOLVED}"),
    "cut": _reply(NOT_SOLVED[:60], finish_reason="length"),
    "empty": _reply(""),
    "choices null": b'{"choices": null}',
    "error inside": b'{"error": {"message": "overloaded", "code": 502}}',
    "failed": _reply(SOLVED[:80], finish_reason="error"),
    "deep": b"[" * 50_000,
    "half": _reply(NOT_SOLVED)[:70],
    "page": b"<html><title>Sign in</title></html>",
    "megabytes": _reply("very " * 400_000),
}


def _head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", "Content-Type: application/json", *lines, "", ""]).encode()


FRAMINGS = {
    "length": lambda body: (_head(f"Content-Length: {len(body)}"), body),
    "until close": lambda body: (_head("Connection: close"), body),
    "chunked": lambda body: (_head("Transfer-Encoding: chunked"), b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)),
    "length too long": lambda body: (_head(f"Content-Length: {len(body) + 500}"), body),
    "length too short": lambda body: (_head(f"Content-Length: {max(0, len(body) - 9)}"), body),
    "chunk too long": lambda body: (_head("Transfer-Encoding: chunked"), b"fffff0\r\n" + body),
    "gzip": lambda body: (_head("Content-Encoding: gzip", "Connection: close"), gzip.compress(body, 1)),
    "gzip that is none": lambda body: (_head("Content-Encoding: gzip", "Connection: close"), body),
    "flood of headers": lambda body: (_head(*["A: b"] * 20_000, f"Content-Length: {len(body)}"), body),
    "busy": lambda body: (_head("Retry-After: 999999", f"Content-Length: {len(body)}", status="429 Busy"), body),
    "gone": lambda body: (_head(f"Content-Length: {len(body)}", status="503 Gone"), body),
}
PACES = ("at once", "drips", "drips its head", "stops in the middle", "stops before the head", "resets")


async def answer(writer: asyncio.StreamWriter, kind: tuple[str, str, str]) -> None:
    """Write one reply of a kind."""
    body, framing, pace = kind
    head, rest = FRAMINGS[framing](BODIES[body])
    if pace == "stops before the head":
        return await asyncio.sleep(30)
    if pace == "resets":
        writer.write((head + rest)[: len(head) + len(rest) // 2])
        await writer.drain()
        return writer.transport.abort()
    if pace == "drips its head":
        for place in range(0, len(head), 8):
            writer.write(head[place : place + 8])
            await asyncio.sleep(0.05)
    else:
        writer.write(head)
    if pace == "drips":
        for place in range(0, len(rest), 16):
            writer.write(rest[place : place + 16])
            await asyncio.sleep(0.05)
    elif pace == "stops in the middle":
        writer.write(rest[: len(rest) // 2])
        return await asyncio.sleep(30)
    else:
        writer.write(rest)
    await writer.drain()
    return None


def serve(pipe: Any) -> None:
    """Answer for ever; the kind stands in the path as three numbers."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            places = head.split(b" ")[1].decode().split("/")[1].split("-")
            options = (list(BODIES), list(FRAMINGS), PACES)
            await answer(writer, tuple(names[int(place)] for names, place in zip(options, places, strict=True)))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    logging.getLogger("asyncio").setLevel(logging.ERROR)  # clients that gave up are what is expected

    async def run() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


async def call(port: int, places: tuple[int, int, int], number: int) -> tuple[str, float]:
    """One call: what came of it, and how many seconds past its deadline."""
    url = f"http://127.0.0.1:{port}/{'-'.join(map(str, places))}/v1"
    settings = OpenAIChatSettings(
        "m", url, call_deadline_seconds=DEADLINE_SECONDS, attempt_deadline_seconds=ATTEMPT_SECONDS,
        max_retries=2, first_backoff_seconds=0.01, stream=number % 3 == 0,
    )  # fmt: skip
    model = OpenAIChatModel(settings)
    start = time.monotonic()
    try:
        heard = await model.complete([Message("user", "Go on.")], seed=number, json_reply=number % 2 == 0)
        found = parse_ledger(heard.reply, is_cut=heard.is_cut)
        outcome = "solved" if isinstance(found, Ledger) and found.is_request_satisfied else "answered"
    except ModelFailure as failure:
        outcome = "key told" if KEY in str(failure) else "failed"
    except Exception as error:
        outcome = f"exception {type(error).__name__}: {error}"[:200]
    late = max(0.0, time.monotonic() - start - DEADLINE_SECONDS)
    await model.close()
    return outcome, late


async def measure(port: int, num_calls: int, seed: int) -> dict[str, Any]:
    """Make the calls, so many at once; outcomes, and how late they were."""
    draw = random.Random(seed)
    sizes = (len(BODIES), len(FRAMINGS), len(PACES))
    kinds = [tuple(draw.randrange(size) for size in sizes) for _ in range(num_calls)]
    waiting = iter(enumerate(kinds))
    found: list[tuple[str, float]] = []

    async def worker() -> None:
        for number, places in waiting:
            found.append(await call(port, places, number))  # type: ignore[arg-type]

    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    late = sorted(seconds for _, seconds in found)
    counts = Counter(outcome for outcome, _ in found)
    return {
        "calls": num_calls,
        "kinds": len(set(kinds)),
        "exceptions": sum(number for outcome, number in counts.items() if outcome.startswith("exception")),
        "false solved": counts["solved"],
        "keys told": counts["key told"],
        "outcomes": dict(counts),
        "overtime_milliseconds": {
            name: round(1000 * late[min(len(late) - 1, int(part * len(late)))], 1)
            for name, part in (("p50", 0.5), ("p99", 0.99), ("most", 1.0))
        },
    }


def main() -> None:
    """Measure and write results/late.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "late.json")
    given = parser.parse_args()
    os.environ["OPENAI_API_KEY"] = KEY
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    try:
        found = asyncio.run(measure(ours.recv(), given.calls, given.seed))
    finally:
        process.terminate()
    write_json(given.out, found | {"seed": given.seed, "deadline_seconds": DEADLINE_SECONDS})
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
