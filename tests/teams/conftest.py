"""A scripted model, ports that record everything, and a tiny virtual clock: one team's whole world in memory."""

import asyncio
import heapq
import json
from dataclasses import dataclass, field

import pytest

from lts_jax.llm.chat import Completion, ModelFailure
from lts_jax.prompts import OPENINGS
from lts_jax.records import ModelCall, Task, ToolResult
from lts_jax.teams.ports import TeamPorts

PURPOSES = {opening: purpose for purpose, opening in OPENINGS.items()}


def ledger_text(agent="WebSurfer", asked="Search for the pool.", *, satisfied=False, loop=False, progress=True):
    """A well-formed ledger reply."""
    answers = (satisfied, loop, progress, agent, asked)
    names = (
        "is_request_satisfied",
        "is_in_loop",
        "is_progress_being_made",
        "next_speaker",
        "instruction_or_question",
    )
    return json.dumps({name: {"reason": "so", "answer": answer} for name, answer in zip(names, answers, strict=True)})


class ScriptedModel:
    """A ChatModel that answers each purpose from its own list; the last reply of a list is repeated.

    A reply that is an exception is raised. Every request is kept.
    """

    name = "scripted"

    def __init__(self, **replies):
        self.replies = {"facts": ["Facts 0."], "plan": ["Plan 0."], "answer": ["FINAL ANSWER: 12.50"]}
        self.replies |= {"act": ['{"tool": "web_search", "arguments": {"query": "pool"}}'], "report": ["A report."]}
        self.replies |= {"facts_update": ["Facts 1."], "plan_update": ["Plan 1."], "code": ["no code"]}
        self.replies |= replies
        self.requests = []  # (purpose, messages)

    async def complete(self, messages, *, seed, json_reply=False):
        purpose = PURPOSES[messages[-1].content.split("\n", 1)[0]]
        self.requests.append((purpose, tuple(messages)))
        replies = self.replies[purpose]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if isinstance(reply, Exception):
            raise reply
        return Completion(reply, 10, 5)

    def purposes(self):
        return [purpose for purpose, _ in self.requests]

    def seen(self, purpose):
        """The message contents of every request of one purpose."""
        return [[message.content for message in messages] for asked, messages in self.requests if asked == purpose]


class TinyClock:
    """Virtual seconds: when nothing can run any more, the earliest sleeper wakes."""

    def __init__(self):
        self.seconds = 0.0
        self.sleepers = []
        self.num_sleeps = 0
        self.wakes = []  # seconds of every wake-up

    def now(self):
        return self.seconds

    async def sleep(self, seconds):
        future = asyncio.get_running_loop().create_future()
        self.num_sleeps += 1
        heapq.heappush(self.sleepers, (self.seconds + seconds, self.num_sleeps, future))
        await future
        self.wakes.append(self.seconds)

    def spawn(self, coroutine):
        return asyncio.get_running_loop().create_task(coroutine)

    async def join(self, futures):
        while not all(future.done() for future in futures):
            for _ in range(20):
                await asyncio.sleep(0)
            if self.sleepers and not all(future.done() for future in futures):
                at, _, future = heapq.heappop(self.sleepers)
                if not future.done():
                    self.seconds = at
                    future.set_result(None)


@dataclass
class Bench:
    """One team's openings and what went through them."""

    model: ScriptedModel
    clock: TinyClock = field(default_factory=TinyClock)
    call_seconds: float = 0.0  # time of each model call on the clock; 0 does not even yield
    tools: dict = field(default_factory=dict)
    values: dict = field(default_factory=dict)  # step -> pulled (entry, key, value), each given once
    keys: tuple = ()
    steps: list = field(default_factory=list)
    selections: list = field(default_factory=list)
    tool_calls: list = field(default_factory=list)
    num_forgets: int = 0
    breaks: dict = field(default_factory=dict)  # port name -> exception

    async def ask(self, purpose, messages):
        if self.call_seconds:
            await self.clock.sleep(self.call_seconds)
        try:
            done = await self.model.complete(messages, seed=0)
        except ModelFailure as error:
            return ModelCall(purpose, "", 0, 0, error=str(error))
        assert PURPOSES[messages[-1].content.split("\n", 1)[0]] == purpose
        return ModelCall(purpose, done.reply, done.prompt_tokens, done.completion_tokens)

    async def use_tool(self, name, arguments):
        self.check("use_tool")
        self.tool_calls.append((name, arguments))
        return self.tools.get(name, ToolResult("Harrow Lane Pool: adult day ticket 12.50", tool=name))

    async def finish_step(self, step, thread):
        self.check("finish_step")
        self.steps.append(step)

    async def select_values(self, step, asked, thread):
        self.check("select_values")
        self.selections.append((step, asked, len(thread)))
        return self.values.pop(step, ())

    def check(self, port):
        if port in self.breaks:
            raise self.breaks[port]

    def forget(self):
        self.num_forgets += 1

    def ports(self):
        return TeamPorts(
            self.ask,
            self.use_tool,
            self.finish_step,
            self.select_values,
            lambda step: self.keys,
            self.clock.now,
            self.forget,
        )


TASK = Task("t1", "What does a day at Harrow Lane Pool cost?", "12.50", "train", attachments=("prices.csv",))


@pytest.fixture
def kit():
    """Everything above, by name."""
    return Kit


class Kit:
    Bench = Bench
    ScriptedModel = ScriptedModel
    TinyClock = TinyClock
    ledger_text = staticmethod(ledger_text)
    task = TASK
