"""A rollout replayed from its journal equals the recorded one, and asks no model."""

import asyncio

from lts_jax.admission.rules import admit_all
from lts_jax.llm.recorded import RecordingModel, ReplayModel
from lts_jax.llm.simulated import SimulatedModel, SimulatedModelSettings
from lts_jax.records import Coordinates
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.world import almanac_tasks, almanac_tools


async def rollout(model):
    """One rollout of the first training task, three teams, every step admitted."""
    (task,) = almanac_tasks(0, "train", 1)
    parts = RolloutParts(model, almanac_tools(0), admit_all())
    return await run_rollout(task, Coordinates(3, 1, task.task_id, 2), parts, RolloutSettings())


def test_replay_changes_no_record(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    recorded = asyncio.run(rollout(RecordingModel(SimulatedModel(SimulatedModelSettings()), tmp_path)))
    assert len(recorded.calls) > 20
    assert recorded.entries
    assert asyncio.run(rollout(ReplayModel(tmp_path))) == recorded
