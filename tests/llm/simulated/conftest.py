"""A team written by hand: the shortest loop that lets a simulated model work on the offline world."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from lts_jax import prompts
from lts_jax.llm.simulated import SimulatedModel
from lts_jax.records import Message, Task, ToolResult


@dataclass
class HandTeam:
    """One team: its thread, its steps and its answer. `reseed` makes the seed of each call."""

    model: SimulatedModel
    tools: object
    task: Task
    seed: int = 0
    max_rounds: int = 40
    thread: list[Message] = field(default_factory=list)
    calls: list[tuple[list[Message], str]] = field(default_factory=list)
    tool_calls: list[tuple[str, dict]] = field(default_factory=list)
    ledgers: list[dict] = field(default_factory=list)

    def ask(self, messages: list[Message]) -> str:
        """One call; its seed is its number, so that no two calls share one."""
        reply = self.model.reply(messages, 1000 * self.seed + len(self.calls))
        self.calls.append((list(messages), reply))
        return reply

    def run(self) -> str:
        """Work to the end and return the answer."""
        question, files = self.task.question, self.task.attachments
        first = prompts.facts_request(question, files)
        facts = self.ask([first])
        plan = self.ask([first, Message("assistant", facts, "Orchestrator"), prompts.plan_request()])
        self.thread.append(prompts.task_ledger(question, files, facts, plan))
        for _ in range(self.max_rounds):
            try:
                ledger = json.loads(self.ask([*self.thread, prompts.ledger_request()]))
                told = ledger["instruction_or_question"]["answer"], ledger["next_speaker"]["answer"]
            except (ValueError, KeyError):
                continue
            if told[1] not in prompts.AGENTS or not isinstance(told[0], str):
                continue
            self.ledgers.append(ledger)
            if ledger["is_request_satisfied"]["answer"] is True:
                break
            self.step(told[1], told[0])
        reply = self.ask([*self.thread, prompts.answer_request(question)])
        return reply.rpartition(prompts.ANSWER_MARKER)[2].strip()

    def step(self, agent: str, told: str) -> None:
        """One worker step."""
        self.thread.append(prompts.instruction(agent, told))
        if agent == "Coder":
            output = self.ask([prompts.agent_system(agent), *self.thread, prompts.code_request()])
        elif agent == "ComputerTerminal":
            code = re.findall(r"```python\n(.*?)```", "\n".join(m.content for m in self.thread), re.DOTALL)
            output = self.tools.run_python(code[-1]).text
        else:
            output = self.surf(agent)
        self.thread.append(prompts.agent_reply(agent, output))

    def surf(self, agent: str) -> str:
        """A tool call and a report on it."""
        system = prompts.agent_system(agent)
        call = json.loads(self.ask([system, *self.thread, prompts.act_request(agent)]))
        self.tool_calls.append((call["tool"], call["arguments"]))
        result: ToolResult = getattr(self.tools, call["tool"])(**call["arguments"])
        if result.failed:
            return f"{call['tool']} failed.\n\n{result.text}"
        request = prompts.report_request(f"{call['tool']} {json.dumps(call['arguments'])}", result.text)
        return self.ask([system, self.thread[0], self.thread[-1], request]) + "\n\n" + result.text[:4000]


@pytest.fixture(scope="session")
def world():
    """The offline world and its tools."""
    almanac = pytest.importorskip("lts_jax.tasks.almanac", reason="the offline world is not there")
    built = almanac.build_almanac(0)
    return built, almanac.AlmanacTools(built)


@pytest.fixture(scope="session")
def hand_team(world) -> Callable[..., HandTeam]:
    """Make a team for a task and a model."""

    def make(task: Task, model: SimulatedModel, seed: int = 0) -> HandTeam:
        return HandTeam(model, world[1], task, seed)

    return make
