"""`lts replay`: recorded runs of real agents as parallel teams with a shared memory: what would sharing have saved?"""

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from lts_jax.admission.policy import AdmissionPolicy
from lts_jax.admission.rules import make_rule
from lts_jax.errors import UserError
from lts_jax.logs.importers import ImportedRuns, import_recorded, recorded_rollout
from lts_jax.logs.replay_groups import replay_groups
from lts_jax.logs.replay_measures import replay_measures
from lts_jax.logs.replay_settings import ReplaySettings
from lts_jax.memory.encoder_parts import make_encoder
from lts_jax.records import Rollout
from lts_jax.rollouts.collect import CollectSettings, Iteration, RolloutCounter
from lts_jax.rollouts.store import write_rollouts


@dataclass(frozen=True, slots=True)
class Command:
    """Replay recorded runs under each admission rule, and print what sharing would have saved.

    Takes results of tau-bench and tau2-bench (several runs of each task become parallel teams), AutoGen logs (runs of
    one question do) and Who&When logs (one run a question: they are read, counted and can be stored, but have no
    parallel teams to replay). experiments/sample_logs holds small ones.
    """

    runs: Path
    """A log, or a folder of logs of one format."""
    run: Path | None = None
    """Run folder of a trained controller, to replay it too."""
    num_rollouts: int = 5
    """Replays of each task; they differ in the noise of the latencies."""
    seed: int = 0
    policies: tuple[str, ...] = ("none", "all", "random", "recency", "similarity")
    """Rules to replay, such as similarity(threshold=0.6) or mine.py:function; savings are against the first."""
    skip_bad: bool = False
    """Pass over logs that cannot be read, and name them, instead of stopping."""
    out: Path | None = None
    """Also store the imported runs as rollouts in this Parquet file."""
    replay: ReplaySettings = field(default_factory=ReplaySettings)

    def __post_init__(self) -> None:
        if self.num_rollouts < 1:
            raise UserError(f"num_rollouts: expected at least 1, got {self.num_rollouts}")
        if not self.policies:
            raise UserError("policies: expected at least one")


def run(command: Command) -> None:
    """Import, replay, print."""
    imported = import_recorded(command.runs, skip_bad=command.skip_bad)
    for problem in imported.problems:
        print(f"passed over: {problem}")
    if command.out is not None:
        write_rollouts(command.out, [recorded_rollout(task) for task in imported.tasks])
        print(f"stored {len(imported.tasks)} rollouts in {command.out}")
    print(_describe(imported))
    if all(len(task.runs) < 2 for task in imported.tasks):
        print("No task has two runs, so there are no parallel teams to replay; --out stores them as rollouts.")
        return
    baseline: list[Rollout] = []
    print(f"{'policy':29}  stored   read  wrong   runtime    saved  saved %  team-seconds saved %")
    for policy, counter in _policies(command):
        iteration, collecting = Iteration(command.seed, 0, counter), CollectSettings(command.num_rollouts)
        groups = replay_groups(imported.tasks, policy, command.replay, collecting, iteration)
        rollouts = [rollout for group in groups for rollout in group.rollouts]
        baseline = baseline or rollouts
        print(_row(policy.name, replay_measures(rollouts, baseline)))
    print("Times come from a latency model: the logs hold none.")
    print(f"Saved: against the same runs under {command.policies[0]}.")


def _policies(command: Command) -> list[tuple[AdmissionPolicy, RolloutCounter | None]]:
    encoder = make_encoder()
    chosen: list[tuple[AdmissionPolicy, RolloutCounter | None]] = [
        (make_rule(rule, encoder, where="policies"), None) for rule in command.policies
    ]
    if command.run is not None:
        from lts_jax.systems.lts import learned_policy, trained_params
        from lts_jax.systems.run_folder import RunFolder, read_settings
        from lts_jax.systems.train_settings import TrainSettings

        training = read_settings(command.run, TrainSettings)
        policy = learned_policy(training, trained_params(RunFolder(command.run), training))
        chosen.append((policy, policy.decider))
    return chosen


def _row(name: str, measures: dict[str, float]) -> str:
    shares = [_percent(measures[part]) for part in ("admission_fraction", "read_rate", "wrong_value_fraction")]
    seconds = f"{measures['seconds']:8.1f} s{measures['saved_seconds']:7.2f} s"
    reductions = f"{measures['reduction_percent']:9.2f}{measures['team_reduction_percent']:22.2f}"
    return f"{name:29}{shares[0]:>8}{shares[1]:>7}{shares[2]:>7}{seconds}{reductions}"


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.0f}%"


def _describe(imported: ImportedRuns) -> str:
    runs = [run for task in imported.tasks for run in task.runs]
    agents = Counter(item.step.agent for run in runs for item in run.steps)
    counts = ", ".join(f"{name} {count}" for name, count in agents.most_common())
    num_failed = sum(item.step.failed for run in runs for item in run.steps)
    num_mistakes = sum(task.mistake is not None for task in imported.tasks)
    return (
        f"{len(imported.tasks)} tasks, {len(runs)} recorded runs, {sum(agents.values())} steps ({counts}), "
        f"{num_failed} failed steps, {num_mistakes} labelled mistakes"
    )
