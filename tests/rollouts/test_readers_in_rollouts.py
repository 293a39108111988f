"""Rollouts whose values are chosen by a reader: recorded, stored, without a call; and as always where none is named."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from lts_jax.admission.rules import make_rule
from lts_jax.commands.rollout import tell
from lts_jax.errors import UserError
from lts_jax.memory.reading import ReadingSettings
from lts_jax.records import Choice, Coordinates, Rollout
from lts_jax.reports.timeline import choice_tip, timeline
from lts_jax.rollouts.rollout import run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.rollouts.store import read_rollouts, write_rollouts
from lts_jax.systems.comparison import make_arm
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.systems.world import almanac_tasks

TASK = almanac_tasks(0, "validation", 5)[2]


def _rollout(reading: str | None = None, settings: RolloutSettings | None = None) -> Rollout:
    settings = settings or RolloutSettings()
    training = TrainSettings(rollout=settings) if reading is None else TrainSettings(rollout=settings, reading=reading)
    run = make_parts(training)
    arm = make_arm("all", run, make_rule("all", run.encoder))
    assert reading is not None or arm.parts.reader is None
    return asyncio.run(run_rollout(TASK, Coordinates(1, 0, TASK.task_id, 0), arm.parts, arm.rollout))


def test_select_is_what_is_done_without_a_reader() -> None:
    without = _rollout()
    assert without == _rollout("select")
    assert (without.reader, without.choices) == ("", ()) and without.pulls
    assert any(call.purpose == "select" for call in without.calls)


@pytest.mark.parametrize(
    "reading", ["newest(top=2)", "cosine", "bm25", "hybrid", "rcr", "knapsack", "random", "oracle"]
)
def test_a_reader_takes_no_call_and_all_it_did_is_in_the_record(reading: str, tmp_path: Path) -> None:
    settings = RolloutSettings(reading=ReadingSettings(budget_tokens=700))
    rollout = _rollout(reading, settings)
    assert rollout == _rollout(reading, settings)
    assert rollout.reader == reading and rollout.choices
    assert not any(call.purpose == "select" for call in rollout.calls)
    pulled = {(pull.reader, pull.step, pull.entry) for pull in rollout.pulls}
    assert pulled == {(one.team, one.step, entry) for one in rollout.choices for entry in one.taken}
    for one in rollout.choices:
        assert set(one.taken) <= set(one.chosen) <= set(one.offered) and len(one.taken) <= 3
        assert all(rollout.entries[entry].team != one.team for entry in one.offered)
    write_rollouts(tmp_path / "one.parquet", [rollout])
    assert read_rollouts(tmp_path / "one.parquet") == (rollout,)


def test_readings_are_told_and_drawn() -> None:
    rollout = _rollout("newest(top=2)")
    choice = next(one for one in rollout.choices if one.taken)
    assert f"READS [{choice.taken[0]}] 1.00" in tell(rollout)
    drawn = str(timeline(rollout).svg if hasattr(timeline(rollout), "svg") else timeline(rollout))
    assert "read by newest(top=2)" in drawn
    one = Choice(1, 4, 9.0, (0, 2, 5), (5, 2), (0.5, 0.25), (5,))
    assert choice_tip(one, "rcr") == (
        "Team 1 before step 4, at 9 s: rcr reads\n\nOffered: 0, 2, 5\n"
        "entry 5: taken, score 0.500\nentry 2: left out, score 0.250"
    )
    assert "read by" not in str(timeline(replace(rollout, choices=())))


def test_wrong_readers_are_one_line() -> None:
    with pytest.raises(UserError, match=r"reading: expected a name, or FILE\.py:FUNCTION; got 'cosin'"):
        TrainSettings(reading="cosin")
    with pytest.raises(UserError, match=r"reading: expected select where rollout\.reading\.by is code, got newest"):
        TrainSettings(reading="newest", rollout=RolloutSettings(reading=ReadingSettings(by="code")))
