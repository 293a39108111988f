"""A tiny training run that kills itself (SIGKILL) at its n-th durable write, or n milliseconds after its first one.

Not a test: `test_resume.py` runs it as a child. Arguments: run folder, "write" or "after" or "never", n.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from lts_jax.learning.settings import LearningSettings
from lts_jax.rollouts.collect import CollectSettings
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.lts import TrainSettings, train_controller
from lts_jax.systems.run_folder import open_run
from lts_jax.teams.settings import TeamSettings

SETTINGS = TrainSettings(
    num_tasks=2,
    num_epochs=8,
    tasks_per_update=1,
    rollout=RolloutSettings(num_teams=2, team=TeamSettings(max_rounds=6)),
    collect=CollectSettings(num_rollouts=2),
    learning=LearningSettings(learning_rate=0.05),
    controller="set_transformer(width=8, num_layers=1, num_heads=1)",
)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    folder, when, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    writes = {"left": count}
    fsync = os.fsync

    def counting_fsync(descriptor: int) -> None:
        if when == "write":
            if writes["left"] == 0:
                die()
            writes["left"] -= 1
        elif when == "after" and writes["left"] == count:
            writes["left"] = -1
            threading.Timer(count / 1000, die).start()
        fsync(descriptor)

    os.fsync = counting_fsync
    train_controller(open_run(folder, SETTINGS), SETTINGS)


if __name__ == "__main__":
    main()
