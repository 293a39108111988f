"""How simulated teams without shared memory compare with recorded ones, and with the paper's one team and three.

Both named sets of weaknesses on all training tasks, with the contention that `fit.py` found for each.
"""

import statistics
from dataclasses import dataclass
from pathlib import Path

import tyro
from figures import PAPER, RECORDED, against_paper, measured, misses_of_logs, misses_of_paper, run_baselines, total_miss
from fit import settings_of

from lts_jax.llm.simulated import WEAKNESSES
from lts_jax.rollouts.latency import LatencySettings
from lts_jax.storage import write_json
from lts_jax.systems.world import almanac_tasks


@dataclass(frozen=True, slots=True)
class Config:
    """How many tasks of the training split, and the contention of calls."""

    num_tasks: int = 504
    contention: float = LatencySettings().contention
    results: Path = Path(__file__).parent / "results"


def main(config: Config) -> None:
    """Run both baselines under both sets, print and store."""
    tasks = almanac_tasks(0, "train", config.num_tasks)
    stored = {}
    for name in WEAKNESSES:
        found = run_baselines(tasks, settings_of(name, config.contention))
        logs, paper = measured(found.one), against_paper(found)
        scores = {
            level: statistics.fmean(one.reward_agg for one in found.one if one.task.difficulty == level)
            for level in ("easy", "medium", "hard")
        }
        stored[name] = {
            "logs": logs,
            "paper": paper,
            "score of one team": scores,
            "miss of logs": statistics.fmean(misses_of_logs(logs).values()),
            "miss of paper": statistics.fmean(misses_of_paper(paper).values()),
            "total miss": total_miss(logs, paper),
        }
    print(f"{'':32}" + "".join(f"{name:>12}" for name in stored) + "    recorded")
    for name, recorded in RECORDED.items():
        print(f"{name:32}" + "".join(f"{one['logs'][name]:12.3f}" for one in stored.values()) + f"{recorded:12.3f}")
    for name, four in PAPER.items():
        values = "".join(f"{one['paper'][name]:12.3f}" for one in stored.values())
        print(f"{name:32}{values}  {min(four):.3f} to {max(four):.3f}")
    for name in ("miss of logs", "miss of paper", "total miss"):
        print(f"{name:32}" + "".join(f"{one[name]:12.3f}" for one in stored.values()))
    for name, one in stored.items():
        print(f"score of one team, {name}: " + ", ".join(f"{a} {b:.2f}" for a, b in one["score of one team"].items()))
    about = {"contention": config.contention, "num_tasks": config.num_tasks}
    write_json(config.results / "calibration.json", about | {"sets": stored, "recorded": RECORDED, "paper": PAPER})


if __name__ == "__main__":
    main(tyro.cli(Config))
