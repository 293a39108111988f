"""The public logs themselves, where they are at hand: counts worked out from the files by other means."""

import os
from collections import Counter
from pathlib import Path

import pytest

from lts_jax.logs.importers import import_tau_bench, import_who_and_when
from lts_jax.records import StopReason

_BESIDE = Path(__file__).resolve().parents[4] / "shared" / "recorded_runs"
FOLDER = Path(os.environ.get("LTS_RECORDED_RUNS", _BESIDE))
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="needs a folder of recorded runs: set LTS_RECORDED_RUNS to one"
)


def test_tau_bench_airline():
    tasks = import_tau_bench(FOLDER).tasks
    runs = [run for item in tasks for run in item.runs]
    tools = Counter(step.tool for run in runs for step in run.steps if step.tool)
    assert (len(tasks), len(runs), sum(tools.values())) == (36, 144, 1005)
    assert tools["get_reservation_details"] == 304 and tools["cancel_reservation"] == 61
    assert all([run.trial for run in item.runs] == [0, 1, 2, 3] for item in tasks)
    assert not any(run.notes for run in runs)


def test_who_and_when():
    logs = import_who_and_when(FOLDER).tasks
    steps = [step.step for log in logs for step in log.runs[0].steps]
    assert len(logs) == 40 and all(log.mistake is not None for log in logs)
    assert Counter(step.agent for step in steps) == {
        "WebSurfer": 381, "FileSurfer": 19, "Assistant": 15, "ComputerTerminal": 2
    }  # fmt: skip
    assert sum(log.runs[0].answer.stop_reason != StopReason.CRASHED for log in logs) == 18
