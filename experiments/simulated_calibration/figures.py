"""What the simulated model is held against, without shared memory: recorded runs, and two baselines of the paper.

The recorded figures are of 58 public logs of single Magentic-One teams (Who&When, repository
mingyin1/Agents_Failure_Attribution, all of them failed runs). The paper's (LTS, arXiv 2602.05965, table 1) are of one
team (Magentic-One) and three (M1-Parallel) on AssistantBench and GAIA with two models.
"""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lts_jax.admission.rules import RULES
from lts_jax.records import Rollout, Task
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.systems.comparison import REFERENCE, SINGLE, make_arm
from lts_jax.systems.lts import TrainSettings
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

PAPER_SCORES = ((13.4, 14.7), (22.5, 24.8), (21.7, 24.0), (37.5, 47.9))  # per cent, of one team and of three
PAPER_SECONDS = ((1084, 2239), (758, 1569), (724, 1389), (815, 1005))
PAPER = {
    "score of one team": [one / 100 for one, _ in PAPER_SCORES],
    "score of three less one": [(three - one) / 100 for one, three in PAPER_SCORES],
    "seconds of three over one": [three / one for one, three in PAPER_SECONDS],
}


@dataclass(frozen=True, slots=True)
class Baselines:
    """Rollouts of the same tasks by one team and by three, without memory."""

    one: Sequence[Rollout]
    three: Sequence[Rollout]


def run_line(name: str, tasks: Sequence[Task], settings: TrainSettings) -> list[Rollout]:
    """One rollout of each task by a line of the comparison that shares nothing."""
    arm = make_arm(name, settings, RULES["none"]())
    groups = collect_groups(tasks, arm.parts, arm.rollout, CollectSettings(1), Iteration(0, 0))
    return [rollout for group in groups for rollout in group.rollouts]


def run_baselines(tasks: Sequence[Task], settings: TrainSettings) -> Baselines:
    """One rollout of each task by one team, and one by three."""
    return Baselines(run_line(SINGLE, tasks, settings), run_line(REFERENCE, tasks, settings))


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
        counted = [not one.is_progress_being_made for number, one in ledgers if first <= number <= last]
        return statistics.fmean(counted) if counted else math.nan

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


def against_paper(found: Baselines) -> dict[str, float]:
    """The figures of `PAPER`, by the same names."""
    score = [statistics.fmean(one.reward_agg for one in line) for line in (found.one, found.three)]
    seconds = [statistics.fmean(one.seconds for one in line) for line in (found.one, found.three)]
    return dict(zip(PAPER, (score[0], score[1] - score[0], seconds[1] / seconds[0]), strict=True))


def misses_of_logs(figures: dict[str, float]) -> dict[str, float]:
    """|simulated - recorded| / recorded, of each figure of the logs."""
    return {name: abs(figures[name] - recorded) / recorded for name, recorded in RECORDED.items()}


def misses_of_paper(figures: dict[str, float]) -> dict[str, float]:
    """|simulated - mean of the paper's four| / half of their range, so that 1 is about the paper's own spread."""
    return {
        name: abs(figures[name] - statistics.fmean(four)) / ((max(four) - min(four)) / 2)
        for name, four in PAPER.items()
    }


def total_miss(logs: dict[str, float], paper: dict[str, float]) -> float:
    """Mean of the logs' misses plus mean of the paper's: both sources weigh the same, and infinity stands for nan."""
    total = statistics.fmean(misses_of_logs(logs).values()) + statistics.fmean(misses_of_paper(paper).values())
    return total if math.isfinite(total) else math.inf
