"""Does the array simulator agree with the text teams it stands for?

Text rollouts under no sharing, all and a coin; the simulator is fitted on half the tasks, from a start that knows
nothing, and checked on the other half. The package's defaults are checked on the validation tasks.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import tyro

from lts_jax.commands.simulator import agreement_text
from lts_jax.environments.contract import Acting, Controller
from lts_jax.environments.policies import constant, constant_logit
from lts_jax.environments.rollout import groups
from lts_jax.environments.teams.environment import TEAMS
from lts_jax.environments.teams.figures import AGREED, figures
from lts_jax.environments.teams.oracle import only_right
from lts_jax.environments.teams.settings import SimulatorParams
from lts_jax.evaluation.evaluate import EvaluationSettings, evaluate
from lts_jax.plain import to_plain
from lts_jax.reports.palette import name_colors
from lts_jax.storage import write_json, write_text
from lts_jax.systems.agreement import (
    FOLDERS,
    AgreementRow,
    AgreementSettings,
    Recorded,
    agreement,
    fit_recorded,
    halves,
    read_recorded,
    shape_of,
)
from lts_jax.systems.comparison import ComparisonSettings, make_arm, make_policy
from lts_jax.systems.lts import TrainSettings
from lts_jax.systems.run_folder import open_run
from lts_jax.systems.world import almanac_tasks

COLORS = name_colors(("none", "all", "random"))


@dataclass(frozen=True, slots=True)
class Config:
    """How many text tasks, and how the simulator is fitted."""

    runs: Path = Path("runs/simulator_agreement")
    """Where text rollouts go; those that are there are not run again."""
    results: Path = Path(__file__).parent / "results"
    num_tasks: int = 480  # of the training split, half to fit on and half to check on
    num_validation_tasks: int = 180  # for the defaults
    num_seeds: int = 4  # text rollouts of each task and policy
    train: TrainSettings = field(default_factory=TrainSettings)
    agree: AgreementSettings = field(default_factory=AgreementSettings)


def main(config: Config) -> None:
    """Collect, fit, check, print, draw."""
    rollout = config.train.rollout
    fitted_on, checked_on = halves(collected(config, "train", config.num_tasks), config.agree.seed)
    params = fit_recorded(fitted_on, rollout, config.agree)
    fitted = agreement(params, checked_on, rollout, config.agree)
    validation = collected(config, "validation", config.num_validation_tasks)
    default = agreement(SimulatorParams(), validation, rollout, config.agree)
    text = (
        f"fitted on {len(fitted_on['none'])} tasks, checked on {len(checked_on['none'])} others\n"
        f"{agreement_text(fitted)}\n\n"
        f"the defaults, checked on {len(validation['none'])} validation tasks\n{agreement_text(default)}\n"
    )
    print(text)
    write_text(config.results / "table.txt", text)
    write_json(config.results / "params.json", to_plain(params))
    write_json(config.results / "rows.json", {"fitted": _plain(fitted), "defaults": _plain(default)})
    worlds = {"fitted": elsewhere(params, config), "defaults": elsewhere(SimulatorParams(), config)}
    write_json(config.results / "worlds.json", worlds)
    draw({"fitted, other half": fitted, "defaults, validation tasks": default}, config.results / "agreement.png")


def collected(config: Config, split: str, num_tasks: int) -> Recorded:
    """Text rollouts of a split under the three policies, from the run folder or run now."""
    folder = open_run(config.runs / split, config.train)
    names = tuple(FOLDERS.values())
    settings = ComparisonSettings(policies=names)
    arms = [make_arm(name, config.train, make_policy(name, config.train, settings)) for name in names]
    tasks = almanac_tasks(config.train.world_seed, split, num_tasks)
    evaluate(arms, tasks, EvaluationSettings(num_tasks=num_tasks, num_seeds=config.num_seeds), folder.evaluation)
    return read_recorded(folder.evaluation)


def elsewhere(params: SimulatorParams, config: Config) -> dict[str, dict[str, float]]:
    """Simulated figures under policies that no parameters were fitted to: a rarer coin, and right values alone."""
    shape = shape_of(config.train.rollout)
    policies = {
        "none": (constant, constant_logit(0.0), 0.0),
        "all": (constant, constant_logit(1.0), 1.0),
        "random(0.25)": (constant, constant_logit(0.25), 1.0),
        "only right values": (only_right, None, 1.0),
    }
    found = {}
    for name, (policy, policy_params, has_memory) in policies.items():
        environment = replace(TEAMS, shape=shape, params=replace(params, has_memory=has_memory))
        run = partial(groups, environment, num_tasks=500, num_rollouts=4)
        trajectory, _, _ = jax.jit(run)(jax.random.key(1), Controller(policy, policy_params, Acting(1.0)))
        shown = jax.jit(figures)(trajectory)
        names = ("runtime", "reward_agg", "admission_fraction", "read_rate")
        found[name] = {each: float(getattr(shown, each)) for each in names if jnp.isfinite(getattr(shown, each))}
    return found


def draw(panels: dict[str, Sequence[AgreementRow]], path: Path) -> None:
    """Simulated over recorded, a mark per policy, with the recorded side's interval as a bar around one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, rows) in zip(figure.subplots(1, len(panels), sharey=True), panels.items(), strict=True):
        axes.axvspan(0.85, 1.15, color="#52514e", alpha=0.1, linewidth=0)
        axes.axvline(1, color="#52514e", linewidth=0.8)
        for row in rows:
            if row.figure in AGREED:
                y = -AGREED.index(row.figure) - 0.22 * (list(COLORS).index(row.policy) - 1)
                bounds = [row.recorded.low / row.recorded.estimate, row.recorded.high / row.recorded.estimate]
                axes.plot(bounds, [y, y], color=COLORS[row.policy], alpha=0.35, linewidth=5, solid_capstyle="butt")
                axes.plot(1 + row.difference, y, "o", color=COLORS[row.policy])
        axes.set_yticks([-place for place in range(len(AGREED))], [name.replace("_", " ") for name in AGREED])
        axes.set_xlim(0.7, 1.3)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("simulated / text (dot); 95 % interval of text (bar)")
        axes.spines[["top", "right"]].set_visible(False)
    for name, color in COLORS.items():
        axes.plot([], [], "o", color=color, label=name)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=144, format="png")


def _plain(rows: Sequence[AgreementRow]) -> list[dict[str, object]]:
    return [
        asdict(row) | {"difference": row.difference, "agrees": row.agrees, "is_noise": row.is_noise} for row in rows
    ]


if __name__ == "__main__":
    main(tyro.cli(Config))
