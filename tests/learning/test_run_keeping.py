"""Where a run stands: the newest healthy checkpoint says so, and nothing else."""

import jax
import jax.numpy as jnp
import pytest

from lts_jax.learning.checkpoint import newest_healthy
from lts_jax.learning.run_keeping import cut_metrics, keep, num_trained, places_of_iteration, resume
from lts_jax.learning.state import TrainState
from lts_jax.storage import read_json_lines

DIGESTS = ("config", "")


def state_of(value: float) -> TrainState:
    count = jnp.zeros((), jnp.int32)
    return TrainState({"w": jnp.full(3, value)}, {"m": jnp.zeros(3)}, count, count, jax.random.key(0))


@pytest.fixture
def run(tmp_path):
    for iteration in range(3):
        line = {"iteration": iteration, "learning/loss": 0.5}
        keep(tmp_path / "metrics.jsonl", tmp_path / "checkpoints", line, state_of(iteration + 1.0), DIGESTS)
    return tmp_path


def stands_at(run) -> tuple[int, float]:
    state, first = resume(run / "checkpoints", state_of(0.0), config_digest="config")
    return first, float(state.params["w"][0])


def test_a_run_stands_where_its_checkpoint_does(run):
    assert num_trained(run / "checkpoints") == 3
    assert stands_at(run) == (3, 3.0)
    assert num_trained(run / "nothing") == 0


def test_killed_before_the_manifest_the_iteration_is_done_again(run):
    (run / "checkpoints" / "state_00000003.json").unlink()
    assert num_trained(run / "checkpoints") == 2
    assert stands_at(run) == (2, 2.0)
    cut_metrics(run / "metrics.jsonl", 2)
    assert [line["iteration"] for line in read_json_lines(run / "metrics.jsonl")] == [0, 1]


def test_one_rotten_bit_in_the_newest_is_found_by_both(run):
    file = max(
        (run / "checkpoints" / "state_00000003").rglob("*"), key=lambda path: path.is_file() * path.stat().st_size
    )
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert num_trained(run / "checkpoints") == 2
    with pytest.warns(RuntimeWarning, match="passing over a damaged checkpoint"):
        assert stands_at(run) == (2, 2.0)


@pytest.mark.filterwarnings("ignore:passing over a damaged")
def test_where_none_is_healthy_training_starts_anew(run):
    for manifest in (run / "checkpoints").glob("state_*.json"):
        manifest.write_text(manifest.read_text()[:-20])
    assert num_trained(run / "checkpoints") == 0
    assert newest_healthy(run / "checkpoints") is None
    with pytest.warns(RuntimeWarning, match="starts from the beginning"):
        assert stands_at(run) == (0, 0.0)


def test_each_epoch_meets_every_task_once_in_its_own_order():
    names = [f"task-{number}" for number in range(12)]
    batches = [places_of_iteration(names, 4, 0, iteration) for iteration in range(6)]
    for epoch in (batches[:3], batches[3:]):
        assert sorted(place for batch in epoch for place in batch) == list(range(12))
    assert batches[:3] != batches[3:]
