"""Which difference between our defaults and the authors' early public code moves seconds and score?

Single differences are switched on one by one from our defaults, and off one by one from all of them together. Tasks,
coordinates and rule (everything is stored) are the same, so that differences are paired. Nothing is trained.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import tyro

from lts_jax.admission.rules import make_rule
from lts_jax.evaluation.statistics import Interval, difference_interval, pair_cells, reduction_interval
from lts_jax.memory.encoder_parts import make_encoder
from lts_jax.records import Rollout, Task
from lts_jax.reports.charts import Dot, DotAxis, dot_plot
from lts_jax.reports.svg import save_figure
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.rollouts.latency import LatencySettings
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.storage import write_json, write_text
from lts_jax.systems.comparison import make_arm
from lts_jax.systems.lts import TrainSettings
from lts_jax.systems.world import almanac_tasks

OURS, EARLY, NONE = "ours", "early", "none"
DIFFERENCES = ("messages", "own keys", "by code", "aside", "no limits")
MEASURES = ("score", "seconds", "tokens", "pulls", "entries", "worker steps")
_UNLIMITED = 1_000_000


@dataclass(frozen=True, slots=True)
class Config:
    """Size of the study."""

    num_tasks: int = 120
    num_rollouts: int = 2
    contention: float = LatencySettings().contention
    results: Path = Path(__file__).parent / "results"


def with_differences(settings: RolloutSettings, names: Sequence[str]) -> RolloutSettings:
    """The settings with these differences of the early code."""
    for name in names:
        settings = _with_difference(settings, name)
    return settings


def _with_difference(settings: RolloutSettings, name: str) -> RolloutSettings:
    if name == "messages":
        return replace(settings, team=replace(settings.team, stored="messages"))
    if name == "aside":
        return replace(settings, sharing="aside")
    changed: dict[str, dict[str, object]] = {
        "own keys": {"include_own": True, "list_pulled_again": True},
        "by code": {"by": "code"},
        "no limits": dict.fromkeys(("max_listed", "max_pulled_per_step", "max_value_characters"), _UNLIMITED),
    }
    return replace(settings, reading=replace(settings.reading, **changed[name]))


def arms() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Every arm: its rule, and the differences that are on in it."""
    on = {f"ours + {name}": ("all", (name,)) for name in DIFFERENCES}
    off = {f"early - {name}": ("all", tuple(one for one in DIFFERENCES if one != name)) for name in DIFFERENCES}
    return {NONE: ("none", ()), OURS: ("all", ()), **on, EARLY: ("all", DIFFERENCES), **off}


def run_arm(policy: str, names: Sequence[str], tasks: Sequence[Task], config: Config) -> list[Rollout]:
    """Rollouts of one arm."""
    rollout = replace(RolloutSettings(), latency=LatencySettings(contention=config.contention))
    training = TrainSettings(rollout=with_differences(rollout, names))
    arm = make_arm(policy, training, make_rule(policy, make_encoder()))
    groups = collect_groups(tasks, arm.parts, arm.rollout, CollectSettings(config.num_rollouts), Iteration(0, 0))
    return [one for group in groups for one in group.rollouts]


def figures(rollout: Rollout) -> dict[str, float]:
    """What is compared of one rollout."""
    values = (
        rollout.reward_agg, rollout.seconds, float(rollout.tokens), float(len(rollout.pulls)),
        float(len(rollout.entries)), float(sum(answer.num_steps for answer in rollout.answers)),
    )  # fmt: skip
    return dict(zip(MEASURES, values, strict=True))


def against(rollouts: Sequence[Rollout], reference: Sequence[Rollout]) -> dict[str, Interval]:
    """Paired differences of an arm from another, tasks resampled: 95 % intervals."""
    own, other = (
        {(one.task.task_id, 0, one.coordinates.rollout): figures(one) for one in side} for side in (rollouts, reference)
    )
    pairs = {
        name: pair_cells({c: one[name] for c, one in other.items()}, {c: one[name] for c, one in own.items()})
        for name in MEASURES
    }
    return {
        "score": difference_interval(pairs["score"]),
        "seconds": reduction_interval(pairs["seconds"]),
        "tokens": reduction_interval(pairs["tokens"]),
    }


def told(interval: Interval, scale: str) -> str:
    """An interval as text, in bold where it does not hold zero."""
    text = f"{interval.estimate:{scale}} [{interval.low:{scale}}, {interval.high:{scale}}]"
    return f"**{text}**" if interval.low > 0.0 or interval.high < 0.0 else text


def table(means: Mapping[str, Mapping[str, float]], rows: Mapping[str, Mapping[str, Interval]], reference: str) -> str:
    """Differences from one arm as a Markdown table."""
    head = f"| arm | score | seconds | thousand tokens | pulls | entries | worker steps | score less {reference}'s | "
    lines = [head + "seconds saved, % | tokens saved, % |", "|" + " --- |" * 10]
    for arm, found in rows.items():
        one = means[arm]
        lines.append(
            f"| {arm} | {one['score']:.3f} | {one['seconds']:.0f} | {one['tokens'] / 1000:.0f} | {one['pulls']:.1f} | "
            f"{one['entries']:.1f} | {one['worker steps']:.1f} | {told(found['score'], '+.3f')} | "
            f"{told(found['seconds'], '+.1f')} | {told(found['tokens'], '+.1f')} |"
        )
    return "\n".join(lines)


def draw(rows: Mapping[str, Mapping[str, Mapping[str, Interval]]], folder: Path) -> None:
    """Seconds and score of every arm, less those of the arm that it starts from."""
    for name, title in (("seconds", "Seconds saved, per cent"), ("score", "Score gained")):
        dots = [
            Dot(arm, found[name], text=f"{found[name].estimate:+.{1 if name == 'seconds' else 3}f}")
            for reference, arms_of in rows.items()
            for arm, found in arms_of.items()
            if reference not in (NONE, arm)
        ]
        axis = DotAxis(f"{title}: from ours, from early (simulated)", zero_line=True, plot_width=300)
        save_figure(dot_plot(dots, axis), folder / f"{name}.png")


def main(config: Config) -> None:
    """Run every arm, print and store."""
    tasks = almanac_tasks(0, "validation", config.num_tasks)
    rollouts: dict[str, list[Rollout]] = {}
    for arm, (policy, names) in arms().items():
        rollouts[arm] = run_arm(policy, names, tasks, config)
        print(f"{arm}: done", flush=True)
    means = {
        arm: {name: statistics.fmean(figures(one)[name] for one in found) for name in MEASURES}
        for arm, found in rollouts.items()
    }
    compared = {
        OURS: [OURS, *(f"ours + {name}" for name in DIFFERENCES), EARLY],
        EARLY: [EARLY, *(f"early - {name}" for name in DIFFERENCES)],
        NONE: [NONE, OURS, "ours + messages", EARLY],
    }
    rows = {of: {arm: against(rollouts[arm], rollouts[of]) for arm in chosen} for of, chosen in compared.items()}
    text = "\n\n".join(f"Against {of}:\n\n{table(means, found, of)}" for of, found in rows.items())
    print(text)
    about = {"num_tasks": config.num_tasks, "num_rollouts": config.num_rollouts, "contention": config.contention}
    differences = {
        of: {arm: {name: asdict(one) for name, one in found.items()} for arm, found in chosen.items()}
        for of, chosen in rows.items()
    }
    write_json(config.results / "report.json", about | {"means": means, "differences": differences})
    write_text(config.results / "tables.md", text + "\n")
    draw(rows, config.results)


if __name__ == "__main__":
    main(tyro.cli(Config))
