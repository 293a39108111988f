"""A model that costs nothing, and rollouts whose teams do nothing but take turns with it."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass

from lts_jax.llm.chat import Completion
from lts_jax.prompts import OPENINGS
from lts_jax.records import Message, Task, ToolResult
from lts_jax.seeds import uniform
from lts_jax.wording import LEDGER_FIELDS

INSTRUCTION = "Compute the next value of the series and print it."
TEXT = "The value is 42. " * 6
TASK = Task("series", "Which value comes next in the series of the almanac?", split="train", answer="42")


def ledger(speaker: str) -> str:
    """A progress ledger that sends a worker on."""
    answers = (False, False, True, speaker, INSTRUCTION)
    return json.dumps(
        {name: {"reason": "As said.", "answer": a} for name, a in zip(LEDGER_FIELDS, answers, strict=True)}
    )


@dataclass
class CannedModel:
    """Answers at once, or after a delay drawn by the call's seed; notes how late each delayed answer came."""

    speaker: str
    least_seconds: float = 0.0
    most_seconds: float = 0.0
    name: str = "canned"

    def __post_init__(self) -> None:
        self.num_calls = 0
        self.late_seconds: list[float] = []
        said = dict.fromkeys(OPENINGS, TEXT)
        said["ledger"] = ledger(self.speaker)
        said["act"] = json.dumps({"tool": "web_search", "arguments": {"query": "series of the almanac"}})
        said["select"] = "SELECTED_KEYS = []\n"
        said["answer"] = "FINAL ANSWER: 42"
        self._replies = {OPENINGS[purpose]: _halves(text) for purpose, text in said.items()}

    async def complete(self, messages: Sequence[Message], *, seed: int, json_reply: bool = False) -> Completion:
        """The reply that the first line of the request asks for."""
        self.num_calls += 1
        if self.most_seconds:
            loop = asyncio.get_running_loop()
            due = loop.time() + self.least_seconds + (self.most_seconds - self.least_seconds) * uniform(seed, "delay")
            await asyncio.sleep(due - loop.time())
            self.late_seconds.append(loop.time() - due)
        text, ending = self._replies[messages[-1].content.split("\n", 1)[0]]
        return Completion(f"{text}{seed}{ending}", 10, 5, self.name)  # no two replies are the same


def _halves(text: str) -> tuple[str, str]:
    """Where a reply takes a number: before the end of a JSON text's last word, or at the end."""
    cut = text.rfind('"') if text.startswith("{") else len(text)
    return text[:cut], text[cut:]


def use_tool(tool: str, arguments: object) -> ToolResult:
    """A tool that costs nothing."""
    return ToolResult(TEXT, failed=False, tool=tool)
