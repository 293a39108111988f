"""What a call of a model endpoint costs the caller, by the client that makes it.

Run: python experiments/endpoint_speed/run.py   (five minutes; clients over aiohttp need `pip install aiohttp`)

The server is a process of its own on the last core, answers at once or after 200 ms, and does next to nothing else; the
clients run on the first core. CPU time is that of the client's process. In every round each client makes its calls
once, one client after the other, so that a busy machine hits all of them; a ratio is the median over rounds of
(client / default openai client).
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx2
import openai

from lts_jax.llm.openai_client import OpenAIChatModel, OpenAIChatSettings
from lts_jax.records import Message
from lts_jax.storage import read_json, write_json

REQUEST_CHARACTERS = 3000
REPLY_CHARACTERS = 500
DELAY_SECONDS = 0.2
ASKED = (Message("system", "You are Coder."), Message("user", "x" * REQUEST_CHARACTERS))
WIRE = [{"role": message.role, "content": message.content} for message in ASKED]
Ask = Callable[[int], Awaitable[str]]


@dataclass(frozen=True)
class Client:
    """One way to make a call: `ask(seed)` gives the reply's text."""

    ask: Ask
    close: Callable[[], Awaitable[None]]


def open_client(name: str, url: str, in_flight: int) -> Client:
    """The client of a name, inside the running event loop."""
    if name in {"ours", "ours over httpx2"}:
        http_client = None if name == "ours" else unlimited_httpx2()
        settings = OpenAIChatSettings("tiny", url, max_in_flight=in_flight)
        model = OpenAIChatModel(settings, http_client=http_client)

        async def ask_ours(seed: int) -> str:
            return (await model.complete(ASKED, seed=seed)).reply

        return Client(ask_ours, model.close)
    if name == "bare aiohttp":
        return open_bare_aiohttp(url, in_flight)
    http_clients = {
        "openai": lambda: None,
        "openai, tuned httpx2": unlimited_httpx2,
        "openai over aiohttp": openai.DefaultAioHttpClient,
    }
    client = openai.AsyncOpenAI(
        api_key="none", base_url=url, max_retries=0, timeout=600.0, http_client=http_clients[name]()
    )

    async def ask_openai(seed: int) -> str:
        found = await client.chat.completions.create(model="tiny", messages=WIRE, seed=seed)  # type: ignore[arg-type]
        return found.choices[0].message.content or ""

    return Client(ask_openai, client.close)


def unlimited_httpx2() -> httpx2.AsyncClient:
    """As many connections as there are calls, all kept."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    return httpx2.AsyncClient(limits=limits, timeout=600.0, trust_env=False)


def open_bare_aiohttp(url: str, in_flight: int) -> Client:
    """`aiohttp` with `json`, and nothing around it."""
    import aiohttp

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight))

    async def ask(seed: int) -> str:
        body = json.dumps({"model": "tiny", "messages": WIRE, "seed": seed}).encode()
        headers = {"Content-Type": "application/json", "Authorization": "Bearer none"}
        async with session.post(f"{url}/chat/completions", data=body, headers=headers) as response:
            return str(json.loads(await response.read())["choices"][0]["message"]["content"])

    return Client(ask, session.close)


CLIENTS = ("openai", "openai, tuned httpx2", "openai over aiohttp", "bare aiohttp", "ours over httpx2", "ours")


@dataclass(frozen=True)
class Load:
    """How many calls, how many at once, and how long the server takes."""

    num_calls: int
    in_flight: int
    delay_seconds: float = 0.0


LOADS = {
    "16 in flight": Load(480, 16),
    "1,024 in flight": Load(2048, 1024),
    "1,024 in flight, 200 ms": Load(3072, 1024, DELAY_SECONDS),
}


async def work(name: str, url: str, load: Load) -> dict[str, float]:
    """Make the calls once: CPU microseconds a call, replies a second, median and 99th percentile of latency."""
    client = open_client(name, url, load.in_flight)
    seeds = iter(range(load.num_calls))
    latencies: list[float] = []

    async def worker() -> None:
        for seed in seeds:
            started = time.perf_counter()
            reply = await client.ask(seed)
            latencies.append(time.perf_counter() - started)
            assert len(reply) == REPLY_CHARACTERS

    await client.ask(-1)  # imports, connection, trust store
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(load.in_flight)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    await client.close()
    return {
        "cpu_microseconds": 1e6 * cpu / load.num_calls,
        "replies_per_second": load.num_calls / wall,
        "median_seconds": median(latencies),
        "p99_seconds": quantiles(latencies, n=100)[-1],
    }


def measure(
    titles: list[str],
    clients: list[str],
    num_rounds: int,
    server_core: int,
    keep: Callable[[dict[str, dict[str, dict[str, float]]]], None],
) -> None:
    """Medians over rounds, by load and client, with ratios to the default openai client; `keep` gets them so far."""
    names = [name for name in clients if "aiohttp" not in name or find_spec("aiohttp")]
    results: dict[str, dict[str, dict[str, float]]] = {}
    for title in titles:
        load = LOADS[title]
        with server(load.delay_seconds, server_core) as url:
            rounds = [{name: asyncio.run(work(name, url, load)) for name in names} for _ in range(num_rounds)]
            again = [asyncio.run(work("openai", url, load)) for _ in range(2)]
        results[title] = {name: summary([found[name] for found in rounds]) for name in names}
        for name in names:
            ratios = [found[name]["cpu_microseconds"] / found["openai"]["cpu_microseconds"] for found in rounds]
            deciles = quantiles(ratios, n=10)
            results[title][name] |= {
                "cpu_ratio": round(median(ratios), 4),
                "cpu_ratio_p10": round(deciles[0], 4),
                "cpu_ratio_p90": round(deciles[-1], 4),
            }
        same = again[0]["cpu_microseconds"] / again[1]["cpu_microseconds"]
        results[title]["openai"]["cpu_ratio_against_itself"] = round(same, 4)
        show(title, results[title])
        keep(results)


def summary(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Median of every measure."""
    return {measured: round(median(found[measured] for found in rounds), 4) for measured in rounds[0]}


def show(title: str, rows: dict[str, dict[str, float]]) -> None:
    """Print one load's table."""
    print(f"\n{title:26}{'CPU us':>9}{'ratio':>8}{'calls/s':>10}{'median s':>10}{'p99 s':>8}")
    for name, row in rows.items():
        print(
            f"{name:26}{row['cpu_microseconds']:9.0f}{row['cpu_ratio']:8.3f}{row['replies_per_second']:10.0f}"
            f"{row['median_seconds']:10.3f}{row['p99_seconds']:8.3f}"
        )


class Responder(asyncio.Protocol):
    """Answers every request on its connection with the same bytes, after a delay."""

    def __init__(self, answer: bytes, delay_seconds: float) -> None:
        self.answer, self.delay_seconds = answer, delay_seconds
        self.pending = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.pending += data
        head, end, body = self.pending.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(body) < length:
            return
        self.pending = body[length:]
        if self.delay_seconds:
            asyncio.get_running_loop().call_later(self.delay_seconds, self.transport.write, self.answer)
        else:
            self.transport.write(self.answer)


def run_server(pipe: Any, delay_seconds: float, core: int) -> None:
    """Serve until terminated, on one core."""
    os.sched_setaffinity(0, {core})
    message = {"role": "assistant", "content": "y" * REPLY_CHARACTERS}
    usage = {"prompt_tokens": 700, "completion_tokens": 120, "total_tokens": 820}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    head = {"id": "1", "object": "chat.completion", "created": 1, "model": "tiny"}
    body = json.dumps(head | {"choices": [choice], "usage": usage}).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Responder(answer, delay_seconds), "127.0.0.1", 0, backlog=4096)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


@contextmanager
def server(delay_seconds: float, core: int) -> Iterator[str]:
    """A responder in another process; its base URL."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=run_server, args=(theirs, delay_seconds, core), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}/v1"
    finally:
        process.terminate()
        process.join()


def main() -> None:
    """Measure, print tables, and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="at least 3")
    parser.add_argument(
        "--loads", nargs="+", choices=LOADS, default=list(LOADS), help="others stay as they are written"
    )
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS), help="openai must be one")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "endpoint_speed.json")
    arguments = parser.parse_args()
    if arguments.rounds < 3 or "openai" not in arguments.clients:
        sys.exit("expected --rounds at least 3, and openai among --clients")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("expected two cores, one for the clients and one for the server")
    os.environ.pop("OPENAI_BASE_URL", None)
    os.sched_setaffinity(0, cores[:1])
    about = {"rounds": arguments.rounds, "clock": "process_time, one core", "python": sys.version.split()[0]}
    packages = [name for name in ("openai", "httpx2", "aiohttp") if find_spec(name)]
    header = about | {name: version(name) for name in packages}
    others = read_json(arguments.out)["results"] if arguments.out.exists() else {}

    def keep(found: dict[str, dict[str, dict[str, float]]]) -> None:
        write_json(arguments.out, header | {"results": others | found})

    measure(arguments.loads, arguments.clients, arguments.rounds, cores[-1], keep)
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
