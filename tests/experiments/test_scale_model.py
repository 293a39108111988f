"""The model of the driver on a clock that jumps: what it foretells by hand, and beside the real driver over Ray."""

import math
from pathlib import Path

import pytest

from experiments.scale.model import against, seconds_predicted
from experiments.scale.on_ray import ideal_seconds

FREE = {"message_seconds": 0.0, "result_200KB_seconds": 0.0}
ENDPOINT = Path("experiments/scale/results/on_ray_endpoint.json")


@pytest.mark.parametrize(("num_workers", "seconds"), [(1, 14.0), (2, 9.0), (4, 6.0)])
def test_a_driver_that_costs_nothing_takes_what_its_workers_do(num_workers, seconds):
    rollouts = [2.0, 4.0, 3.0, 5.0] if num_workers < 4 else [2.0, 4.0, 3.0, 5.0, 4.0]
    assert seconds_predicted(num_workers, rollouts, FREE) == pytest.approx(seconds, abs=1e-6)
    assert ideal_seconds(rollouts, num_workers) == seconds


def test_what_a_message_and_a_result_cost_is_paid_one_at_a_time():
    """A worker is told of its parts and of a job, gives a sign of life and brings a result; eight do in turn."""
    costs = {"message_seconds": 0.125, "result_200KB_seconds": 0.5}
    assert seconds_predicted(1, [0.0], costs) == pytest.approx(3 * 0.125 + 0.5)
    assert seconds_predicted(8, [0.0] * 8, costs) == pytest.approx(8 * (3 * 0.125 + 0.5))


def test_it_foretells_the_real_driver_within_a_fifth():
    service = {"message_seconds": 1.4e-3, "result_200KB_seconds": 2.9e-3}
    rows = against(ENDPOINT, service)
    assert [row["workers"] for row in rows][:3] == [1, 2, 4]
    assert all(abs(math.log(row["ratio"])) < math.log(1.2) for row in rows)
