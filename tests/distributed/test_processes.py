"""One program over several processes on the loopback: the same tables, the same steps, limits that say who is late."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lts_jax.errors import UserError
from lts_jax.learning.processes import ALONE, STALLED, Processes, Watchdog, _told, agree

CHILD = Path(__file__).with_name("processes_child.py")


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def start(part, count):
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, str(CHILD), part, address, str(count)]
    return [
        subprocess.Popen(
            [*command, str(index)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        for index in range(count)
    ]


def results(processes):
    ended = [process.communicate(timeout=900) for process in processes]
    lines = [next((line for line in out.splitlines() if line.startswith("{")), "") for out, _ in ended]
    assert all(lines), [error[-2000:] for _, error in ended]
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def found():
    """What one process alone finds, and what each of two does."""
    [alone] = results(start("all", 1))
    return alone, results(start("all", 2))


@pytest.mark.slow
def test_points_over_two_processes_have_the_bits_of_one(found):
    alone, both = found
    for one in both:
        assert one["tables"] == alone["tables"]


@pytest.mark.slow
def test_an_update_over_two_processes_takes_the_steps_of_one(found):
    alone, both = found
    assert both[0]["learner"] == both[1]["learner"]
    assert both[0]["learner"] == pytest.approx(alone["learner"], rel=1e-6)


@pytest.mark.slow
def test_four_processes_find_what_one_does(found):
    alone, _ = found
    four = results(start("short", 4))
    for one in four:
        assert one["tables"] == alone["tables"] and one["learner"] == four[0]["learner"]
        assert one["learner"] == pytest.approx(alone["learner"], rel=1e-6)


@pytest.mark.slow
def test_what_is_missing_is_what_the_writing_process_says(found):
    assert [one["agreed"] for one in found[1]] == [[True] * 3] * 2


@pytest.mark.slow
def test_a_process_that_is_45_seconds_late_for_a_sum_ends_nothing(found):
    assert [one["mean_after_45_seconds"] for one in found[1]] == [0.5, 0.5]


@pytest.mark.slow
def test_a_barrier_has_a_limit_and_says_who_was_missing(found):
    missed = found[1][0]["missed"]
    assert missed == ("distributed: not all processes came to 'what one never comes to' within 2 seconds; missing: 1")


@pytest.mark.slow
def test_where_one_process_is_killed_the_other_ends_too():
    first, second = start("killed", 2)
    assert second.wait(timeout=900) == -9
    first.communicate(timeout=900)
    assert first.returncode != 0  # 75 by our own hand, or as JAX ends it


def test_a_watchdog_ends_a_process_in_which_nothing_happens(capfd):
    ended, code = threading.Event(), []

    def end(number):
        code.append(number)
        ended.set()

    dog = Watchdog(0.2, end)
    assert ended.wait(60) and code == [STALLED]
    dog.stop()
    said = capfd.readouterr().err
    assert "nothing was done for 0.2 seconds" in said and "test_processes.py" in said  # where it hangs


def test_a_watchdog_that_hears_of_steps_ends_nothing():
    dog = Watchdog(3600.0, lambda code: pytest.fail("ended"))
    dog.step()
    dog.stop()


def test_how_processes_are_named():
    assert _told("auto") == {}
    assert _told("node1:9000,4,3") == {"coordinator_address": "node1:9000", "num_processes": 4, "process_id": 3}
    for wrong in ("yes", "node1,2,0", "node1:1,2", "node1:1,2,2", "node1:1,2,x"):
        with pytest.raises(UserError, match=r"distributed: expected"):
            _told(wrong)


def test_one_process_alone_meets_nobody():
    ALONE.meet("anywhere")
    assert ALONE.is_writer and not Processes(1, 2).is_writer
    assert agree([True, False], ALONE) == [True, False]
