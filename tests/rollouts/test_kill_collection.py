"""kill -9 during collection, thirty times: no finished call is asked again, nothing is lost or counted twice."""

import asyncio
import json
import os
import random
import runpy
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lts_jax.llm.budget import Budget
from lts_jax.llm.chat_api import completion_body, read_request
from lts_jax.llm.recorded import JOURNAL
from lts_jax.llm.simulated import SimulatedModel
from lts_jax.rollouts.store import read_folder

CHILD = Path(__file__).with_name("killed_collection.py")
CHILD_NAMES = runpy.run_path(str(CHILD))
NUM_KILLS = 30
MOST_IN_FLIGHT = 16 * 2  # rollouts side by side, teams in each


class CountingEndpoint:
    """An endpoint that notes every request, charges each idempotency key once, and kills its client when told to."""

    def __init__(self):
        self.requests = []  # (life, idempotency key), in order
        self.charged = {}  # idempotency key -> reply
        self.life = 0
        self.client = 0  # process id
        self.kill_at = 0  # number of charged calls; 0 never
        self.kill_delay_seconds = 0.0
        self._num_open = 0
        self._model = SimulatedModel()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(600)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(600)

    async def _serve(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        await self._stop.wait()

    def begin_life(self):
        """Count for the next client, once all that the killed one had sent is read."""

        async def quiet():
            await asyncio.sleep(0.005)
            while self._num_open:
                await asyncio.sleep(0.001)
            self.life += 1

        asyncio.run_coroutine_threadsafe(quiet(), self._loop).result(600)

    async def _connection(self, reader, writer):
        self._num_open += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
                body = await reader.readexactly(int(headers["content-length"]))
                reply = await self._answer(headers["idempotency-key"], body)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(reply) + reply)
        except (OSError, EOFError):
            writer.close()  # killed
        finally:
            self._num_open -= 1

    async def _answer(self, key, body):
        self.requests.append((self.life, key))
        if key not in self.charged:
            asked = read_request(body)
            completion = await self._model.complete(asked.messages, seed=asked.seed, json_reply=asked.json_reply)
            self.charged[key] = completion_body(asked, completion, "simulated")
        if self.kill_at and len(self.charged) >= self.kill_at:
            self.kill_at = 0
            self._loop.call_later(self.kill_delay_seconds, os.kill, self.client, signal.SIGKILL)
        await asyncio.sleep(0.002 * (int(key[:4], 16) / 2**16))  # replies change places
        return self.charged[key]


def recorded(folder):
    path = folder / "calls" / JOURNAL
    *lines, _torn = path.read_bytes().split(b"\n") if path.exists() else [b""]
    return [json.loads(line) for line in lines]


@pytest.mark.slow
def test_thirty_kills_repeat_no_finished_call_and_lose_nothing(tmp_path):
    budget = Budget()
    whole = CHILD_NAMES["collect"](SimulatedModel(), budget, None)  # never killed, and without a network
    num_calls = sum(len(rollout.calls) for group in whole for rollout in group.rollouts)
    draw = random.Random(7)
    points = sorted(draw.randrange(1, num_calls) for _ in range(NUM_KILLS))

    codes, repeated = [], []
    command = [sys.executable, str(CHILD)]
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    with (
        CountingEndpoint() as endpoint,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as nursery,
    ):
        for point in [*points, 0]:
            finished = {line["call"] for line in recorded(tmp_path)}
            endpoint.begin_life()
            endpoint.kill_delay_seconds = draw.uniform(0.0, 0.006)
            print(endpoint.base_url, tmp_path, file=nursery.stdin, flush=True)
            endpoint.client = int(nursery.stdout.readline())
            endpoint.kill_at = point
            said = nursery.stdout.readline()
            codes.append(int(nursery.stdout.readline() if said.startswith("{") else said))
            asked = [key for life, key in endpoint.requests if life == endpoint.life]
            repeated += finished.intersection(asked)
            assert len(asked) == len(set(asked))
        nursery.stdin.close()

    assert codes == [-signal.SIGKILL] * NUM_KILLS + [0]
    assert repeated == []
    journal = recorded(tmp_path)
    assert len(journal) == num_calls == len(endpoint.charged)  # the endpoint charged each call once
    assert {line["call"] for line in journal} == endpoint.charged.keys()
    assert (
        0 < len(endpoint.requests) - num_calls <= NUM_KILLS * MOST_IN_FLIGHT
    )  # asked again: those in flight at a kill

    groups = list(read_folder(tmp_path / "rollouts"))
    assert sorted(groups, key=lambda group: group.task.task_id) == sorted(whole, key=lambda group: group.task.task_id)
    ended = json.loads(said)
    price = CHILD_NAMES["PRICE"]
    usd = [call.usd for group in groups for rollout in group.rollouts for call in rollout.calls]
    prompt, completion = (sum(line[f"{kind}_tokens"] for line in journal) for kind in ("prompt", "completion"))
    paid = 1e-6 * (price.usd_per_million_prompt_tokens * prompt + price.usd_per_million_completion_tokens * completion)
    assert ended["tokens"] == budget.tokens == prompt + completion
    for found in (ended["usd"], sum(usd), budget.usd):
        assert abs(found - paid) < 1e-9 * paid
    assert abs(ended["seconds"] - budget.seconds) < 1e-9 * budget.seconds
