"""A scripted model behind a real endpoint in a thread of its own, and small folders laid out like the benchmarks."""

import asyncio
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field

from lts_jax import prompts
from lts_jax.llm.chat import Completion
from lts_jax.llm.serving import serve_chat

FOUND = re.compile(r"answer-(\w+)")


@dataclass
class Scripted:
    """One tool call per team, then the word that the tool showed as `answer-WORD`. Every request is written down."""

    agent: str
    tool: str
    arguments: dict
    name: str = "scripted"
    heard: list[tuple[str, int]] = field(default_factory=list)
    seconds: float = 0.0

    async def complete(self, messages, *, seed, json_reply=False):
        text = "\n".join(f"{each.role} {each.name} {each.content}" for each in messages)
        self.heard.append((text, seed))
        await asyncio.sleep(self.seconds)
        reply = self._reply(messages)
        return Completion(reply, 100, 10, self.name)

    def _reply(self, messages):
        opening = messages[-1].content.split("\n", 1)[0]
        purpose = next(name for name, words in prompts.OPENINGS.items() if words == opening)
        seen = FOUND.findall("\n".join(each.content for each in messages))
        if purpose == "ledger":
            answers = [bool(seen), False, True, self.agent, "Look it up."]
            return json.dumps(
                {
                    name: {"reason": "", "answer": value}
                    for name, value in zip(prompts.LEDGER_FIELDS, answers, strict=True)
                }
            )
        if purpose == "act":
            return json.dumps({"tool": self.tool, "arguments": self.arguments})
        if purpose in ("report", "summarize"):
            return f"It says answer-{seen[-1]}" if seen else "Nothing."
        if purpose == "select":
            return prompts.SELECTION_MARKER + " []"
        if purpose == "judge":
            return "YES"
        if purpose in ("answer", "aggregate"):
            return f"{prompts.ANSWER_MARKER} {seen[-1] if seen else _answers(messages)}"
        return "nothing is known yet"


def _answers(messages):
    """The aggregator sees the teams' answers."""
    found = re.findall(r"^Answer: (\w+)$", messages[-1].content, re.MULTILINE)
    return found[0] if found else "unknown"


@contextmanager
def served(model):
    """The endpoint's base URL."""
    ready, loop, found = threading.Event(), asyncio.new_event_loop(), {}

    async def listen():
        found["server"] = await serve_chat(model)
        ready.set()

    def work():
        loop.run_until_complete(listen())
        loop.run_forever()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    ready.wait(200)
    try:
        yield found["server"].base_url
    finally:
        asyncio.run_coroutine_threadsafe(found["server"].close(), loop).result(200)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(200)
        loop.close()


def assistantbench_folder(folder, answers, *, split="validation"):
    """A folder like AssistantBench's; `answers` by id, None where withheld."""
    name = {"validation": "assistant_bench_v1.0_dev.jsonl", "test": "assistant_bench_v1.0_test.jsonl"}[split]
    rows = [
        {
            "id": task_id,
            "set": "dev",
            "task": f"Which animal is at pool {number}?",
            "answer": answer,
            "gold_url": "https://zebra.example",
            "explanation": "zebra-note",
            "metadata": "zebra",
            "difficulty": "Hard" if number % 2 else "Medium",
        }
        for number, (task_id, answer) in enumerate(answers.items())
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder)


def gaia_folder(folder, num_tasks=2):
    """A folder like GAIA's: each task has a file that holds its answer, `pond0` and so on."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = folder / "2023" / "validation"
    place.mkdir(parents=True)
    rows = []
    for number in range(num_tasks):
        name = f"zebra-file-{number}.csv"
        (place / name).write_text(f"pond,ducks\nnorth,answer-pond{number}\n")
        rows.append(
            {
                "task_id": f"zebra-id-{number}",
                "Question": f"Which pond has ducks in list {number}?",
                "Level": str(1 + number % 3),
                "Final answer": f"pond{number}",
                "file_name": name,
                "file_path": f"2023/validation/{name}",
                "Annotator Metadata": {"Steps": "zebra-note"},
            }
        )
    pq.write_table(pa.Table.from_pylist(rows), place / "metadata.parquet")
    return str(folder)
