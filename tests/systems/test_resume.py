"""Kill and resume: a run that was killed at many points ends with the same bits as one that never stopped."""

import os
import random
import runpy
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from lts_jax.learning.checkpoint import restore
from lts_jax.rollouts.store import read_folder
from lts_jax.systems.run_parts import make_parts

CHILD = Path(__file__).with_name("killed_training.py")
SETTINGS = runpy.run_path(str(CHILD))["SETTINGS"]


def child(folder: Path, when: str, count: int, cache: Path) -> int:
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    command = [sys.executable, str(CHILD), str(folder), when, str(count)]
    return subprocess.run(command, env=environment, check=False, capture_output=True).returncode


def state_of(folder: Path):
    fresh = make_parts(SETTINGS).fresh_state(jax.random.key(SETTINGS.seed))
    state, cursor = restore(folder / "checkpoints", fresh)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves((state.params, state.opt_state, state.num_updates))]
    return leaves, np.asarray(jax.random.key_data(state.prng_key)), cursor


@pytest.mark.slow
def test_ten_kills_change_no_bit(tmp_path):
    cache = tmp_path / "cache"
    assert child(tmp_path / "whole", "never", 0, cache) == 0

    draw = random.Random(20)
    kills = [kill for _ in range(5) for kill in (("write", draw.randrange(1, 6)), ("after", draw.randrange(0, 60)))]
    codes = [child(tmp_path / "killed", when, count, cache) for when, count in kills]
    assert codes == [-9] * 10
    assert child(tmp_path / "killed", "never", 0, cache) == 0

    whole, killed = state_of(tmp_path / "whole"), state_of(tmp_path / "killed")
    assert whole[2] == killed[2] == {"iteration": SETTINGS.num_iterations}
    assert np.array_equal(whole[1], killed[1])
    for one, other in zip(whole[0], killed[0], strict=True):
        assert one.dtype == other.dtype and np.array_equal(one, other)
    metrics = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "killed")]
    assert metrics[0] == metrics[1] and metrics[0].count("\n") == SETTINGS.num_iterations
    groups = [list(read_folder(tmp_path / name / "rollouts")) for name in ("whole", "killed")]
    assert groups[0] == groups[1] and len(groups[0]) == SETTINGS.num_iterations
