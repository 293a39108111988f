"""How the simulated model's teams compare with recorded Magentic-One teams: one team, no shared memory.

The recorded figures are of 58 public logs (Who&When, repository mingyin1/Agents_Failure_Attribution, all of them failed
runs). Prints both side by side and stores them.
"""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from lts_jax.admission.rules import RULES
from lts_jax.records import Rollout
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.storage import write_json
from lts_jax.systems.comparison import SINGLE, make_arm
from lts_jax.systems.lts import TrainSettings
from lts_jax.systems.world import almanac_tasks
from lts_jax.teams.ledger import Ledger, parse_ledger

RECORDED = {
    "worker steps, 10th percentile": 2,
    "worker steps, 25th percentile": 4,
    "worker steps, median": 7.5,
    "worker steps, 75th percentile": 18.2,
    "worker steps, 90th percentile": 27.3,
    "worker steps, mean": 11.2,
    "ledgers without progress": 0.279,
    "  number 1-5": 0.11,
    "  number 6-10": 0.43,
    "  number 11-25": 0.30,
    "  number 26 and later": 0.47,
    "ledgers in a loop": 0.312,
    "failing observations": 0.057,
    "runs without re-plan": 33 / 58,
    "runs with one": 12 / 58,
    "runs with two": 4 / 58,
    "runs with three": 9 / 58,
    "ledger characters, mean": 1169,
}


@dataclass(frozen=True, slots=True)
class Config:
    """How many tasks of the training split."""

    num_tasks: int = 504
    results: Path = Path(__file__).parent / "results"


def measured(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """The figures of `RECORDED`, by the same names."""
    steps = sorted(len(rollout.steps) for rollout in rollouts)
    percentiles = statistics.quantiles(steps, n=100, method="inclusive")
    replies = [[call.reply for call in rollout.calls if call.purpose == "ledger"] for rollout in rollouts]
    ledgers = [
        (number, ledger)
        for one in replies
        for number, ledger in enumerate(map(parse_ledger, one), 1)
        if isinstance(ledger, Ledger)
    ]
    replans = Counter(rollout.answers[0].num_replans for rollout in rollouts)

    def without_progress(first: int, last: int) -> float:
        return statistics.fmean(not one.is_progress_being_made for number, one in ledgers if first <= number <= last)

    figures = [
        *(percentiles[place - 1] for place in (10, 25, 50, 75, 90)),
        statistics.fmean(steps),
        without_progress(1, 10**6),
        without_progress(1, 5),
        without_progress(6, 10),
        without_progress(11, 25),
        without_progress(26, 10**6),
        statistics.fmean(one.is_in_loop for _, one in ledgers),
        statistics.fmean(step.failed for rollout in rollouts for step in rollout.steps),
        *(replans[count] / len(rollouts) for count in range(3)),
        sum(share for count, share in replans.items() if count >= 3) / len(rollouts),
        statistics.fmean(len(reply) for one in replies for reply in one),
    ]
    return dict(zip(RECORDED, figures, strict=True))


def main(config: Config) -> None:
    """Run one team without memory on every task, print and store."""
    tasks = almanac_tasks(0, "train", config.num_tasks)
    arm = make_arm(SINGLE, TrainSettings(), RULES["none"]())
    groups = collect_groups(tasks, arm.parts, arm.rollout, CollectSettings(1), Iteration(0, 0))
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    found = measured(rollouts)
    for name, value in found.items():
        print(f"{name:32} simulated {value:8.3f}   recorded {RECORDED[name]:8.3f}")
    scores = {
        level: statistics.fmean(one.reward_agg for one in rollouts if one.task.difficulty == level)
        for level in ("easy", "medium", "hard")
    }
    print("score of one team: " + ", ".join(f"{level} {score:.2f}" for level, score in scores.items()))
    write_json(config.results / "calibration.json", {"simulated": found, "recorded": RECORDED, "score": scores})


if __name__ == "__main__":
    main(tyro.cli(Config))
