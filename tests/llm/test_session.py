"""Every call of a task's teams tells one session, and calls of other tasks another, however they run side by side."""

import asyncio
import json
from dataclasses import replace

import httpx2
import pytest

from lts_jax.admission.rules import RULES
from lts_jax.errors import UserError
from lts_jax.llm.openai_client import OpenAIChatModel, OpenAIChatSettings
from lts_jax.llm.session import calls_of, session_header
from lts_jax.llm.simulated import SimulatedModel
from lts_jax.records import Coordinates, Message
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.world import ModelSettings, almanac_tasks, almanac_tools
from lts_jax.teams.settings import TeamSettings

CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Done."}, "finish_reason": "stop"}
SETTINGS = OpenAIChatSettings("tiny", "http://127.0.0.1:1/v1", session_header="x-session-id")


def sessions_told(settings, tasks):
    """By the text of a call: the session that the endpoint was told; calls of all tasks at the same time."""
    told = {}

    async def answer(request):
        await asyncio.sleep(0)
        text = json.loads(request.content)["messages"][0]["content"]
        told.setdefault(text, set()).add(request.headers.get("x-session-id"))
        return httpx2.Response(200, json={"choices": [CHOICE], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})

    model = OpenAIChatModel(settings, http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(answer)))

    async def work(task):
        with calls_of(task):
            asked = [model.complete([Message("user", task)], seed=seed) for seed in range(3)]
            await asyncio.gather(*asked)

    async def run():
        await asyncio.gather(*map(work, tasks))

    asyncio.run(run())
    return told


def test_calls_of_a_task_tell_one_session():
    told = sessions_told(SETTINGS, ["0/0/a", "0/0/b", ""])
    assert len(told["0/0/a"]) == len(told["0/0/b"]) == 1 and told["0/0/a"] != told["0/0/b"]
    assert told[""] == {None}  # of no task
    assert told["0/0/a"] == {session["x-session-id"] for session in [header_of("0/0/a")]}
    assert sessions_told(replace(SETTINGS, session_header=None), ["0/0/a"]) == {"0/0/a": {None}}


def header_of(task):
    with calls_of(task):
        found = session_header("x-session-id")
    assert session_header("x-session-id") == {}
    return found


class Listening(SimulatedModel):
    """The simulated model, which notes the session of each call with its question."""

    __slots__ = ("told",)

    def __init__(self):
        super().__init__()
        self.told = []

    async def complete(self, messages, *, seed, json_reply=False):
        self.told.append(session_header("s").get("s"))
        return await super().complete(messages, seed=seed, json_reply=json_reply)


def test_rollouts_side_by_side_tell_a_session_for_each_task():
    """Two rollouts of one task share a session, two tasks do not; every call of all teams has one."""
    first, second = almanac_tasks(0, "train", 2)
    models = [Listening() for _ in range(3)]
    settings = RolloutSettings(num_teams=2, team=TeamSettings(max_rounds=2))
    cells = [(first, 0), (first, 1), (second, 0)]

    async def run():
        made = [RolloutParts(model, almanac_tools(0), RULES["all"]()) for model in models]
        rollouts = [
            run_rollout(task, Coordinates(0, 0, task.task_id, number), parts, settings)
            for (task, number), parts in zip(cells, made, strict=True)
        ]
        return await asyncio.gather(*rollouts)

    found = asyncio.run(run())
    sessions = [set(model.told) for model in models]
    assert all(len(some) == 1 and None not in some for some in sessions)
    assert sessions[0] == sessions[1] != sessions[2]
    assert [len(model.told) for model in models] == [len(rollout.calls) for rollout in found]


@pytest.mark.parametrize("name", ["", "two words", "Authorization", "x" * 65])
def test_what_is_no_header_is_refused(name):
    with pytest.raises(UserError, match=r"model.session_header: expected a header's name as x-session-id"):
        ModelSettings(session_header=name)
