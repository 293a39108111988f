"""A rollout whose simulated model is asked over HTTP on loopback equals the in-process one, record for record."""

import asyncio
from dataclasses import replace

import pytest

from lts_jax.admission.rules import RULES
from lts_jax.llm.openai_client import OpenAIChatModel, OpenAIChatSettings
from lts_jax.llm.serving import serve_chat
from lts_jax.llm.simulated import SimulatedModel
from lts_jax.records import Coordinates
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.world import almanac_tasks, almanac_tools
from lts_jax.teams.settings import TeamSettings


@pytest.mark.parametrize("drawer", [False, True], ids=["", "with a drawer"])
def test_a_rollout_through_http_equals_the_one_in_process(drawer):
    async def both():
        settings = RolloutSettings(num_teams=2, team=TeamSettings(max_rounds=8), drawer=drawer)
        task = replace(almanac_tasks(0, "train", 1)[0], told=("It rains.", "The pool is shut."))
        place = Coordinates(0, 0, task.task_id, 0)
        parts = RolloutParts(SimulatedModel(), almanac_tools(0), RULES["all"]())
        near = await run_rollout(task, place, parts, settings)
        async with await serve_chat(SimulatedModel()) as server:
            client = OpenAIChatModel(OpenAIChatSettings(model="simulated", base_url=server.base_url))
            far = await run_rollout(task, place, replace(parts, model=client), settings)
            await client.close()
        return near, far

    near, far = asyncio.run(both())
    assert near.pulls and len(near.calls) > 20
    for one, other in zip(near.calls, far.calls, strict=True):
        assert one == other
    assert near == far
    assert [[entry.value for entry in own.entries] for own in far.drawers] == 2 * drawer * [list(near.task.told)]
