"""What the drilled commands work on: a log to replay, tasks of a benchmark, and a model that counts its calls."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from lts_jax import prompts
from lts_jax.llm.chat import Completion
from lts_jax.llm.serving import ChatServer, serve_chat
from lts_jax.records import Message


def write_log(path: Path) -> Path:
    """A tau-bench log of three tasks with two runs each."""

    def call(number: int) -> dict[str, object]:
        function = {"name": "get_user", "arguments": json.dumps({"user_id": f"mia_{number}"})}
        return {"id": "c1", "type": "function", "function": function}

    runs = [
        {
            "task_id": task,
            "trial": trial,
            "reward": float(trial),
            "traj": [
                {"role": "system", "content": "Policy."},
                {"role": "user", "content": f"Hello, I am number {task}"},
                {"role": "assistant", "content": None, "tool_calls": [call(task)]},
                {"role": "tool", "tool_call_id": "c1", "name": "get_user", "content": "mia"},
                {"role": "assistant", "content": "Goodbye."},
                {"role": "user", "content": "###STOP###"},
            ],
        }
        for task in range(3)
        for trial in range(2)
    ]
    path.write_text(json.dumps(runs))
    return path


def write_benchmark(folder: Path, num_tasks: int) -> Path:
    """Tasks in the layout of AssistantBench's development split."""
    folder.mkdir()
    rows = [
        {"id": f"pool-{number}", "task": f"Which animal is at pool {number}?", "answer": "otter", "difficulty": "Hard",
         "set": "dev", "gold_url": "", "explanation": "", "metadata": ""}
        for number in range(num_tasks)
    ]  # fmt: skip
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "assistant_bench_v1.0_dev.jsonl").write_text(lines)
    return folder


@dataclass
class CountingModel:
    """Answers every request of a team by rule, and counts how often it answered each."""

    name: str = "counting"
    answered: Counter[str] = field(default_factory=Counter)

    async def complete(self, messages: Sequence[Message], *, seed: int, json_reply: bool = False) -> Completion:
        """The reply to one request."""
        content = json.dumps([[[one.role, one.content] for one in messages], seed])
        await asyncio.sleep(0.005)
        self.answered[blake2b(content.encode(), digest_size=12).hexdigest()] += 1
        return Completion(_reply(messages), 100, 10, self.name)


def _reply(messages: Sequence[Message]) -> str:
    opening = messages[-1].content.split("\n", 1)[0]
    purpose = next((name for name, words in prompts.OPENINGS.items() if words == opening), "")
    if purpose == "ledger":
        is_done = sum("Nothing new" in one.content for one in messages) > 1
        answers = [is_done, False, True, "Coder", "Go on."]
        return json.dumps(
            {name: {"reason": "", "answer": said} for name, said in zip(prompts.LEDGER_FIELDS, answers, strict=True)}
        )
    known = {
        "code": "Nothing new",
        "select": f"{prompts.SELECTION_MARKER} []",
        "judge": "YES",
        "answer": f"{prompts.ANSWER_MARKER} otter",
        "aggregate": f"{prompts.ANSWER_MARKER} otter",
    }
    return known.get(purpose, "It is an otter.")


@contextmanager
def served(model: CountingModel) -> Iterator[str]:
    """The model behind an endpoint in a thread; gives its address."""
    loop, ready, found = asyncio.new_event_loop(), threading.Event(), list[ChatServer]()

    async def listen() -> None:
        found.append(await serve_chat(model))
        ready.set()

    def work() -> None:
        loop.run_until_complete(listen())
        loop.run_forever()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    ready.wait()
    try:
        yield found[0].base_url
    finally:
        asyncio.run_coroutine_threadsafe(found[0].close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
