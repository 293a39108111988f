"""What other ways to read and write the shared memory cost or save, in seconds, tokens and score.

Every variant is one setting beside the defaults; tasks, random numbers and admission rule are the same, so that
differences are paired. Validation tasks; nothing is trained.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import tyro

from lts_jax.admission.rules import make_rule
from lts_jax.evaluation.statistics import difference_interval, pair_cells, reduction_interval
from lts_jax.memory.encoder_parts import make_encoder
from lts_jax.memory.reading import ReadingSettings
from lts_jax.records import Rollout, Task
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.rollouts.latency import LatencySettings
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.storage import write_json
from lts_jax.systems.comparison import make_arm
from lts_jax.systems.lts import TrainSettings
from lts_jax.systems.world import almanac_tasks

DEFAULT = "default"
VARIANTS: dict[str, RolloutSettings] = {
    DEFAULT: RolloutSettings(),
    "aside": RolloutSettings(sharing="aside"),
    "counted": RolloutSettings(reading=ReadingSettings(count_teams=True)),
    "asked every round": RolloutSettings(reading=ReadingSettings(ask_only_when_new=False)),
    "by code": RolloutSettings(reading=ReadingSettings(by="code")),
    "by code, own keys too": RolloutSettings(
        reading=ReadingSettings(by="code", include_own=True, list_pulled_again=True)
    ),
}


@dataclass(frozen=True, slots=True)
class Config:
    """Size of the study."""

    num_tasks: int = 60
    num_rollouts: int = 2
    policies: tuple[str, ...] = ("all", "similarity")
    variants: tuple[str, ...] = tuple(VARIANTS)
    contention: float = LatencySettings().contention
    results: Path = Path(__file__).parent / "results"


def run_variant(policy: str, variant: RolloutSettings, tasks: Sequence[Task], config: Config) -> list[Rollout]:
    """Rollouts of a rule under a variant."""
    training = TrainSettings(rollout=replace(variant, latency=LatencySettings(contention=config.contention)))
    arm = make_arm(policy, training, make_rule(policy, make_encoder()))
    groups = collect_groups(tasks, arm.parts, arm.rollout, CollectSettings(config.num_rollouts), Iteration(0, 0))
    return [rollout for group in groups for rollout in group.rollouts]


def figures(rollout: Rollout) -> dict[str, float]:
    """What is compared of one rollout."""
    return {
        "score": rollout.reward_agg,
        "seconds": rollout.seconds,
        "tokens": float(sum(call.prompt_tokens + call.completion_tokens for call in rollout.calls)),
        "pulls": float(len(rollout.pulls)),
        "steps": float(len(rollout.steps)),
        "admitted": len(rollout.entries) / max(1, len(rollout.steps)),
    }


def against(rollouts: Sequence[Rollout], reference: Sequence[Rollout]) -> dict[str, object]:
    """Means of a variant, and its paired differences from another, tasks resampled: 95 % intervals."""
    own, other = (
        {(r.task.task_id, 0, r.coordinates.rollout): figures(r) for r in side} for side in (rollouts, reference)
    )
    names = list(figures(rollouts[0]))
    pairs = {
        name: pair_cells({c: one[name] for c, one in other.items()}, {c: one[name] for c, one in own.items()})
        for name in names
    }
    return {
        "means": {name: statistics.fmean(one[name] for one in own.values()) for name in names},
        "score difference": asdict(difference_interval(pairs["score"])),
        "seconds saved, percent": asdict(reduction_interval(pairs["seconds"])),
        "tokens saved, percent": asdict(reduction_interval(pairs["tokens"])),
    }


def line(variant: str, found: Mapping[str, dict[str, float]]) -> str:
    """One line of the table."""
    means = found["means"]
    shown = [
        f"{variant:24}{means['score']:7.3f}{means['seconds']:8.0f}{means['tokens'] / 1000:8.0f}{means['pulls']:7.1f}"
    ]
    for name, scale in (
        ("score difference", "+.3f"),
        ("seconds saved, percent", "+.1f"),
        ("tokens saved, percent", "+.1f"),
    ):
        one = found[name]
        bounds = f"[{one['low']:{scale}}, {one['high']:{scale}}]"
        shown.append(f"  {one['estimate']:{scale}} {bounds:18}")
    return "".join(shown)


def main(config: Config) -> None:
    """Run every variant under every policy, print and store."""
    tasks = almanac_tasks(0, "validation", config.num_tasks)
    chosen = {name: VARIANTS[name] for name in dict.fromkeys((DEFAULT, *config.variants))}
    stored: dict[str, dict[str, object]] = {}
    none = run_variant("none", VARIANTS[DEFAULT], tasks, config)
    for policy in config.policies:
        rollouts = {name: run_variant(policy, variant, tasks, config) for name, variant in chosen.items()}
        stored[policy] = {name: against(one, rollouts[DEFAULT]) for name, one in rollouts.items()}
        print(f"{policy}: differences from the default; score, seconds, thousand tokens, pulls of a rollout")
        for name, found in stored[policy].items():
            print(line(name, found))
        stored[f"{policy}, against no sharing"] = {name: against(one, none) for name, one in rollouts.items()}
        print(f"{policy}: differences from no sharing")
        for name, found in stored[f"{policy}, against no sharing"].items():
            print(line(name, found))
    about = {"num_tasks": config.num_tasks, "num_rollouts": config.num_rollouts, "contention": config.contention}
    write_json(config.results / f"contention_{config.contention:g}.json", about | {"policies": stored})


if __name__ == "__main__":
    main(tyro.cli(Config))
