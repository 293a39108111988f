"""A model that follows a script whatever the framework, and a pond of tools; for the tests of adapters. Not a test."""

import json
import re

from lts_jax.llm.chat import Completion
from lts_jax.llm.simulated import SimulatedModel
from lts_jax.prompts import OPENINGS
from lts_jax.records import Task

TASK = Task("pond", "Which pond has the code heron-4?", "Mill pond", "test")


def call(name: str, **arguments) -> str:
    return json.dumps({"tool": name, "arguments": arguments})


class Scripted:
    """Searches, reads the first entry that it is shown, opens a page, then answers; by what stands in the messages.

    Requests of ours (summaries, selection, aggregation) are answered by the simulated model.
    """

    name = "scripted"

    def __init__(self, final=None) -> None:
        self.final, self.seen = final, []

    async def complete(self, messages, *, seed, json_reply=False):
        text = "\n".join(message.content for message in messages)
        ours = messages[-1].content.partition("\n")[0] in OPENINGS.values()
        reply = SimulatedModel().reply(messages, seed) if ours else self.reply(text)
        return Completion(reply, len(text) // 4, 5, self.name)

    def reply(self, text: str) -> str:
        self.seen.append(text)
        if "results for heron" not in text:
            return call("web_search", query="heron-4")
        listed = re.search(r"Parallel teams have found.*\n\[(\d+)\] ", text)
        if listed and text.count("results for heron") + text.count("page of ponds") == 1:  # its own search alone
            return call("read_shared_memory", entry=int(listed[1]))
        if "page of ponds" not in text:
            return call("visit_url", url="https://ponds.example")
        return self.final("Mill pond") if self.final else "FINAL ANSWER: Mill pond"


def use_tool(tool, arguments):
    """The tools of the pond's world."""
    from lts_jax.records import ToolResult

    texts = {"web_search": f"results for heron: 1 ({arguments})", "visit_url": "page of ponds: heron-4 is Mill pond"}
    return ToolResult(texts.get(tool, f"no tool {tool}"), tool not in texts, tool)
