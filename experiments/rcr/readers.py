"""Every reader of shared values beside the model's own choice, on the offline world's teams; simulated.

    python experiments/rcr/readers.py                        # a minute of one core
    python experiments/rcr/readers.py --budget-tokens 700    # with room for one value or two before a step
    python experiments/rcr/train_reader.py --to reader.npz   # then: --readers "trained(file=reader.npz)" --out trained

All steps are admitted; tasks and random numbers are the same for all, so that differences are paired. Nothing is
chosen here: readers have their defaults.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import tyro

from lts_jax.admission.rules import make_rule
from lts_jax.evaluation.reading_costs import READ_BY, reading_costs
from lts_jax.evaluation.statistics import Interval, minimum_detectable_effect
from lts_jax.memory.readers import READERS, SELECT
from lts_jax.memory.reading import ReadingSettings
from lts_jax.records import Rollout
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.storage import write_json, write_text
from lts_jax.systems.comparison import make_arm
from lts_jax.systems.run_parts import RunParts, make_parts
from lts_jax.systems.train_settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Config:
    """Size of the study."""

    num_tasks: int = 60  # test tasks
    num_rollouts: int = 3
    policy: str = "all"
    budget_tokens: int | None = None
    readers: tuple[str, ...] = ()  # beside the model's own choice; all but `trained`, which needs a file, if none
    out: str = "readers"  # name of the results
    results: Path = Path(__file__).parent / "results"


def main(config: Config) -> None:
    """Run, print, store."""
    reading = ReadingSettings(budget_tokens=config.budget_tokens)
    run = make_parts(TrainSettings(rollout=RolloutSettings(reading=reading)))
    found = {config.policy: rollouts_of(config, run, SELECT)}
    names = config.readers or tuple(name for name in READERS if name not in (SELECT, "trained"))
    found |= {f"{config.policy}{READ_BY}{name}": rollouts_of(config, run, name) for name in names}
    costs = {cost.line: cost for cost in reading_costs(found)}
    heads = ("", "score", "over select", "pulls", "tokens", "saved: selection", "saved: all other calls")
    lines = [f"{heads[0]:10}{heads[1]:>7}{heads[2]:>25}{heads[3]:>7}{heads[4]:>8}{heads[5]:>22}{heads[6]:>25}"]
    for line, rollouts in found.items():
        name = (line.partition(READ_BY)[2] or SELECT).partition("(")[0].rpartition(":")[2]
        text = f"{name:10}{fmean(one.reward_agg for one in rollouts):7.3f}"
        cost = costs.get(line)
        text += f"{told(cost.score_difference, '+.3f') if cost else '':>25}"
        text += f"{fmean(len(one.pulls) for one in rollouts):7.1f}{fmean(one.tokens for one in rollouts) / 1000:7.0f}k"
        text += f"{thousands(cost.selection_tokens_saved) if cost else '':>22}"
        text += f"{thousands(cost.other_tokens_saved) if cost else '':>25}"
        lines.append(text)
    apart = [one.reward_agg - two.reward_agg for one, two in zip(*list(found.values())[:2], strict=True)]
    least = minimum_detectable_effect(apart, [one.task.task_id for one in found[config.policy]])
    lines.append(
        f"simulated; {config.num_tasks} test tasks, {config.num_rollouts} rollouts each, budget "
        f"{config.budget_tokens}; 95 % over tasks; smallest difference in score that newest against select could "
        f"resolve: {least:.3f}"
    )
    print("\n".join(lines))
    name = config.out if config.budget_tokens is None else f"{config.out}_{config.budget_tokens}"
    write_text(config.results / f"{name}.txt", "\n".join(lines) + "\n")
    write_json(config.results / f"{name}.json", {line: asdict(cost) for line, cost in costs.items()})


def rollouts_of(config: Config, run: RunParts, reader: str) -> Sequence[Rollout]:
    """The rollouts of one reader."""
    arm = make_arm(config.policy, run, make_rule(config.policy, run.encoder), reading=reader)
    tasks = run.tasks("test", config.num_tasks)
    groups = collect_groups(tasks, arm.parts, arm.rollout, CollectSettings(config.num_rollouts), Iteration(1000, 0))
    return [rollout for group in groups for rollout in group.rollouts]


def told(value: Interval, form: str) -> str:
    """An estimate with its interval."""
    return f"{value.estimate:{form}} [{value.low:{form}}, {value.high:{form}}]"


def thousands(value: Interval) -> str:
    """The same in thousands."""
    return told(Interval(value.estimate / 1000, value.low / 1000, value.high / 1000), ".0f") + "k"


if __name__ == "__main__":
    main(tyro.cli(Config))
