"""No reference answer enters a rollout but through a tool, or as a number worked out from what tools said."""

import asyncio
import json
import re
from dataclasses import dataclass, field, replace

import pytest

from lts_jax import prompts
from lts_jax.admission.rules import RULES
from lts_jax.records import Coordinates
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.world import ModelSettings, almanac_tasks, almanac_tools, make_model

WORKED_OUT_IN = {"code", "answer"}  # requests whose reply may hold a number that stands on no page
PURPOSES = {opening: purpose for purpose, opening in prompts.OPENINGS.items()}


@dataclass
class Log:
    """Everything that was said in one rollout, in order: (what, text, had the speaker's team seen a tool result)."""

    task: object
    cheats_in: str = ""
    name: str = "listening"
    said: list = field(default_factory=list)
    teams_with_results: set = field(default_factory=set)

    def add(self, what, text):
        self.said.append((what, text, asyncio.current_task() in self.teams_with_results))

    async def complete(self, messages, *, seed, json_reply=False):
        purpose = PURPOSES[messages[-1].content.split("\n", 1)[0]]
        self.add(f"prompt of {purpose}", "\n".join(message.content for message in messages))
        completion = await make_model(ModelSettings()).complete(messages, seed=seed, json_reply=json_reply)
        if purpose == self.cheats_in:
            completion = replace(completion, reply=f"{completion.reply}\n- {self.task.answer}")
        self.add(purpose, completion.reply)
        return completion

    def use_tool(self, tool, arguments):
        result = almanac_tools(0)(tool, arguments)
        self.add("tool", result.text)
        self.teams_with_results.add(asyncio.current_task())
        return result

    def first(self, text):
        """(what, had results) of the first thing said that holds `text`; None if nothing does."""
        return next(((what, had_results) for what, said, had_results in self.said if text in said), None)


def parts_of(task):
    """Lines and object fields of the reference answer that no prompt holds by chance or because the question does."""
    for line in task.answer.splitlines():
        values = json.loads(line).values() if line.startswith("{") else [line]
        yield from (text for text in map(str, values) if len(text) >= 5 and text not in task.question)


TASKS = [task for task in almanac_tasks(0, "train", 40) if list(parts_of(task))]


def log_of(task, cheats_in=""):
    log = Log(task, cheats_in)
    made = RolloutParts(log, log.use_tool, RULES["all"]())
    asyncio.run(run_rollout(task, Coordinates(0, 0, task.task_id, 0), made, RolloutSettings(num_teams=2)))
    return log


def leaks_of(log):
    """Parts of the answer that first stood where neither a tool had shown them nor a team could have computed them."""
    found = {text: log.first(text) for text in parts_of(log.task)}
    return {text: where for text, where in found.items() if where is not None and not is_honest(text, *where)}


def is_honest(text, what, had_results):
    is_number = re.fullmatch(r"[\d.,:]+", text) is not None
    return what == "tool" or (is_number and what in WORKED_OUT_IN and had_results)


def test_no_reference_answer_is_said_before_a_tool_returned_it_or_a_team_worked_it_out():
    logs = [log_of(task) for task in TASKS[:20]]
    for log in logs:
        assert not leaks_of(log), log.task.task_id
    # The search is not in vain: both kinds of answers are found by teams, and prompts hold them.
    first = [log.first(text) for log in logs for text in parts_of(log.task)]
    assert sum(where is not None and where[0] == "tool" for where in first) >= 5
    assert sum(where is not None and where[0] in WORKED_OUT_IN for where in first) >= 1


@pytest.mark.parametrize("cheats_in", ["facts", "plan", "ledger"])
def test_a_model_that_knew_the_answer_would_be_caught(cheats_in):
    kinds = [TASKS[0], next(task for task in TASKS if "{" in task.answer), next(t for t in TASKS if "\n" in t.answer)]
    for task in kinds:
        assert set(leaks_of(log_of(task, cheats_in))) == set(parts_of(task)), task.task_id
