"""Which threads count as a tracker's, and the ratio by hand."""

import runpy
import threading
import time
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parents[2] / "experiments" / "tracking_cost"
TRAINING = runpy.run_path(str(FOLDER / "one_training.py"))
STUDY = runpy.run_path(str(FOLDER / "run.py"))


def test_threads_of_trackers_are_counted_and_no_others(monkeypatch):
    monkeypatch.setattr(threading.Thread, "run", threading.Thread.run)  # put back at the end
    spent, done = {}, threading.Event()

    def work():
        while time.thread_time() < 0.05:
            pass

    def hang():
        work()
        done.wait(60)

    TRAINING["watch"](spent)
    ended, other = threading.Thread(target=work, name="track-csv"), threading.Thread(target=work, name="worker")
    hangs = threading.Thread(target=hang, name="track-hanging", daemon=True)
    for thread in (ended, other, hangs):
        thread.start()
    ended.join()
    other.join()
    while spent.get(hangs, 0.0) < 0.05:
        TRAINING["read_clocks"](spent)
    done.set()
    assert spent.keys() == {ended, hangs} and spent[ended] >= 0.05


def test_the_ratio_by_hand():
    """10 s of which .1 are a tracker's: 10 / 9.9; twice the CPU of the one without, a quarter of its wall."""
    alone = {"cpu_seconds": 5.0, "tracker_cpu_seconds": 0, "wall_seconds": 8.0}
    rounds = [{STUDY["ALONE"]: alone, "csv": {"cpu_seconds": 10.0, "tracker_cpu_seconds": 0.1, "wall_seconds": 2.0}}]
    np.testing.assert_allclose(STUDY["shares"](rounds, "csv"), [10 / 9.9])
    np.testing.assert_allclose(STUDY["ratios"](rounds, "csv", "cpu_seconds"), [2.0])
    np.testing.assert_allclose(STUDY["ratios"](rounds, "csv", "wall_seconds"), [0.25])
