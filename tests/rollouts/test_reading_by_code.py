"""Reading the memory by programs: which values a program takes, and whole rollouts in which teams read so."""

import asyncio
import json
from dataclasses import dataclass, field, replace

import pytest

from lts_jax import prompts
from lts_jax.admission.rules import RULES
from lts_jax.llm.chat import Completion
from lts_jax.llm.simulated import PERFECT, SimulatedModel
from lts_jax.memory.code_reading import ABSENT, numbers_read, printed_values, with_values
from lts_jax.memory.reading import ReadingSettings
from lts_jax.records import Coordinates, Task, ToolResult
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.world import almanac_tasks, almanac_tools
from lts_jax.tasks.scoring.assistantbench import score

BY_CODE = ReadingSettings(by="code", include_own=True, list_pulled_again=True)


def test_the_numbers_that_a_program_writes_out_are_what_it_reads():
    code = "a = get_shared_memory_value(3)\nprint(get_shared_memory_value( '12' ), a, my_get_shared_memory_value(4))"
    assert numbers_read(code) == [3, 12]
    assert numbers_read("for n in (1, 2): print(get_shared_memory_value(n))") == []
    assert with_values(code, {3: "it's"}).startswith('a = "it\'s"\nprint(' + repr(ABSENT))


def test_a_program_that_only_prints_values_needs_no_sandbox():
    values = {1: "one", 2: "two\nlines"}
    lines = ("# read", "print(get_shared_memory_value(2))", "", "  print( get_shared_memory_value(1) )")
    code = "\n".join([*lines, "print(get_shared_memory_value(9))"])
    assert printed_values(code, values) == f"two\nlines\none\n{ABSENT}"
    assert printed_values("print(get_shared_memory_value(1))\nprint(2)", values) is None
    assert printed_values("print(2)", values) is None == printed_values("", values)


@dataclass
class Reader:
    """Searches once; then its Coder prints a value and adds to it; then it answers."""

    code: str
    name: str = "reader"
    shown: list[str] = field(default_factory=list)

    async def complete(self, messages, *, seed, json_reply=False):
        asked = messages[-1].content.split("\n", 1)[0]
        purpose = next(name for name, opening in prompts.OPENINGS.items() if opening == asked)
        if purpose == "ledger":
            self.shown += [message.content for message in messages if message.name == "SharedKeys"]
        speakers = [message.name for message in messages if message.name in prompts.AGENTS]
        speaker = ("WebSurfer", "Coder", "ComputerTerminal", "")[len(speakers)] if len(speakers) < 4 else ""
        answers = (not speaker, False, True, speaker or "WebSurfer", "Go on.")
        fields = zip(prompts.LEDGER_FIELDS, answers, strict=True)
        replies = {
            "ledger": json.dumps({name: {"reason": "r", "answer": value} for name, value in fields}),
            "act": '{"tool": "web_search", "arguments": {"query": "tower"}}',
            "report": "The tower is 42 m tall.",
            "code": f"```python\n{self.code}\n```",
            "summarize": f"step number {sum(map(len, self.shown)) + len(speakers)} of the tower, which is 42 m tall",
            "answer": "FINAL ANSWER: 42",
            "aggregate": "FINAL ANSWER: 42",
        }
        assert purpose != "select"
        return Completion(replies.get(purpose, "- look"), 10, 10, self.name)


def ran(code, ran_by_tool, reading=BY_CODE):
    def use_tool(tool, arguments):
        ran_by_tool.append((tool, arguments))
        return ToolResult("42 m", tool=tool)

    model = Reader(code)
    made = RolloutParts(model, use_tool, RULES["all"]())
    settings = RolloutSettings(num_teams=1, reading=reading)
    task = Task("t", "How tall?", "42", "test")
    return asyncio.run(run_rollout(task, Coordinates(3, 0, "t", 0), made, settings)), model


def test_keys_stand_before_every_ledger_request_and_a_program_reads_a_value():
    calls = []
    rollout, model = ran("print(get_shared_memory_value(0))", calls)
    assert [len(shown.splitlines()) for shown in model.shown] == [3, 4, 5]  # a heading, the keys so far, how to read
    assert model.shown[0].splitlines()[1].startswith("[0] step number")
    assert model.shown[0].endswith(prompts.READ_BY_CODE)
    assert [(pull.entry, pull.reader, pull.writer, pull.step) for pull in rollout.pulls] == [(0, 0, 0, 2)]
    terminal = rollout.steps[2]
    assert terminal.agent == "ComputerTerminal" and "The tower is 42 m tall." in terminal.output
    assert terminal.output.startswith("Shared memory entry 0 ")
    assert [tool for tool, _ in calls] == ["web_search"]  # no sandbox was needed
    assert terminal.finished_seconds > terminal.started_seconds


def test_a_program_that_goes_on_working_gets_the_values_as_texts():
    calls = []
    rollout, _ = ran("x = get_shared_memory_value(0)\nprint(len(x), get_shared_memory_value(7))", calls)
    tool, arguments = calls[-1]
    assert tool == "run_python" and "get_shared_memory_value" not in arguments["code"]
    assert "The tower is 42 m tall." in arguments["code"] and ABSENT in arguments["code"]
    assert [pull.entry for pull in rollout.pulls] == [0]


def test_a_team_reads_no_more_than_it_may_be_shown():
    rollout, model = ran("print(get_shared_memory_value(0))", [], replace(BY_CODE, include_own=False))
    assert model.shown == [] and rollout.pulls == ()
    assert rollout.steps[2].output == ABSENT
    with pytest.raises(ValueError, match="by: expected selection or code, got 'mail'"):
        ReadingSettings(by="mail")


def test_flawless_simulated_teams_read_by_programs_and_solve_what_they_solve_alone():
    num_pulls = 0
    for task in almanac_tasks(0, "train", 12):
        made = RolloutParts(SimulatedModel(PERFECT), almanac_tools(0), RULES["all"]())
        settings = RolloutSettings(num_teams=2, reading=BY_CODE)
        rollout = asyncio.run(run_rollout(task, Coordinates(0, 0, task.task_id, 0), made, settings))
        num_pulls += len(rollout.pulls)
        assert score(rollout.final.text, task.answer).score == 1.0, task.task_id
        assert not any(call.purpose == "select" for call in rollout.calls)
        programs = [step for step in rollout.steps if step.output.startswith("Shared memory entry ")]
        assert sum(step.output.count("Shared memory entry ") for step in programs) >= len(rollout.pulls)
    assert num_pulls > 10
