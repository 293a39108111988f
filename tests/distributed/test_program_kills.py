"""A training as two processes of one program, one of which is killed five times: both end, the same command goes on."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lts_jax.rollouts.store import read_folder
from tests.distributed.test_processes import free_port

CHILD = Path(__file__).with_name("program_child.py")
SMALL = (
    *("--controller", "linear", "--num-tasks", "6", "--num-epochs", "4", "--tasks-per-update", "2"),
    *("--collect.num-rollouts", "2", "--rollout.num-teams", "2", "--rollout.team.max-rounds", "6"),
)
LIMIT_SECONDS = 240  # ten to notice, the rest for a machine that has other work


def start(run, *more):
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    command = [sys.executable, str(CHILD), "train", "--run", str(run), *SMALL, *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def start_both(run):
    port = free_port()
    return [start(run, "--distributed", f"127.0.0.1:{port},2,{index}") for index in range(2)]


def num_stored(run):
    return len(list((run / "rollouts").glob("*.parquet")))


def ended(processes):
    said = [process.communicate(timeout=LIMIT_SECONDS)[0] for process in processes]
    return [process.returncode for process in processes], said


def stored(run):
    return list(read_folder(run / "rollouts")), (run / "metrics.jsonl").read_bytes()


@pytest.mark.slow
def test_one_of_two_is_killed_at_five_points_and_the_same_command_goes_on(tmp_path):
    whole, run = tmp_path / "whole", tmp_path / "run"
    alone = start(whole)
    draw = random.Random(5)
    points = sorted(draw.sample(range(1, 18), 4))  # files of groups that are stored, of 24
    started_with = 0
    victims = [0, 1, 0, 1, 0]
    draw.shuffle(victims)
    for point, victim in zip([None, *points], victims, strict=True):
        both = start_both(run)
        # One that is killed before the two have met would be waited for by JAX itself, for five minutes.
        while not (run.exists() if point is None else num_stored(run) >= max(point, started_with + 1)):
            assert all(one.poll() is None for one in both), ended(both)
            time.sleep(0.005)
        os.kill(both[victim].pid, signal.SIGKILL)
        codes, said = ended(both)
        assert codes[victim] == -signal.SIGKILL, said  # it was at work
        assert codes[1 - victim] != 0, said  # 75 by our own hand, or as JAX ends it
        started_with = num_stored(run)
    codes, said = ended(start_both(run))
    assert codes == [0, 0], said
    assert ended([alone])[0] == [0]
    assert stored(run) == stored(whole)
