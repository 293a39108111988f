"""Planted wrong values: what they cost, how far they spread, and whether a trained controller keeps them out.

    python experiments/poison/run.py            # the study
    python experiments/poison/run.py --quick    # the same on a few tasks, in a minute; results elsewhere

With some probability, what a step offers to the bank is a planted wrong value of a needed fact in place of its output.
The step's own team keeps what it found. By construction a planted entry looks like any entry with a right value.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro

sys.path.insert(0, str(Path(__file__).parent))

from poison_figure import picture
from spread import trial_measures

from lts_jax.environments.contract import Acting, Controller, Policy
from lts_jax.environments.policies import of_network
from lts_jax.evaluation.statistics import Interval, mean_interval, minimum_detectable_effect
from lts_jax.lab.lab import results
from lts_jax.lab.settings import LabSettings, network_of
from lts_jax.lab.trials import RULES, Trial, try_coin, try_policy, try_rules
from lts_jax.storage import write_bytes, write_json, write_text

SHOWN = (
    ("reward", "reward", "{:.3f}"), ("saved %", "saved_percent", "{:+.1f}"),
    ("planted admitted", "planted_admitted", "{:.2f}"), ("honest admitted", "honest_admitted", "{:.2f}"),
    ("readers planted", "readers_of_planted", "{:.2f}"), ("readers honest", "readers_of_honest", "{:.2f}"),
    ("teams with planted", "teams_with_planted", "{:.3f}"), ("facts wrong", "facts_wrong", "{:.3f}"),
    ("distinct answers", "distinct_answers", "{:.2f}"), ("agree wrongly", "all_agree_wrong", "{:.4f}"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Config:
    """Size of the study."""

    results: Path = Path(__file__).parent / "results"
    seeds: int = 20  # units of every interval
    tasks: int = 400  # of a seed and point, one rollout each
    poisons: tuple[float, ...] = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2)
    detects: tuple[float, ...] = (0.0, 0.2, 0.5, 0.8, 1.0)  # at `poison`; .2 is the world's own
    poison: float = 0.1  # of the world that `lts_poisoned` is trained in, and where detection varies
    controllers: int = 10  # trained ones; seed s is measured with controller s modulo this
    iterations: int = 100  # updates of a controller
    sparsity_weight: float = 0.27  # between "admits everything" at .25 and "admits nothing" at .30 in this world
    quick: bool = False
    """A small run, written below `runs/`."""


def main(config: Config) -> None:
    """Run, print, store, draw."""
    if config.quick:
        config = replace(
            config, seeds=5, tasks=40, poisons=(0.0, 0.1), detects=(0.2, 1.0), controllers=2, iterations=5,
            results=Path("runs/poison"),
        )  # fmt: skip
    own_detect = LabSettings().world.detect_probability
    points = [(poison, own_detect) for poison in config.poisons]
    points += [(config.poison, detect) for detect in config.detects if detect != own_detect]
    found = measured(config, points)
    rows = rows_of(found, points)
    text = "\n\n".join(table(rows, found, points, point) for point in points)
    text += "\n\n" + "\n".join(slopes(found, points, own_detect))
    print(text)
    write_text(config.results / "tables.txt", text + "\n")
    write_json(config.results / "rows.json", rows)
    write_bytes(config.results / "poison.png", picture(rows, own_detect, config.poison))


def measured(config: Config, points: Sequence[tuple[float, float]]) -> dict[str, dict[str, np.ndarray]]:
    """Every policy at every point, and a coin that admits as often as `lts`: f64[points, seeds] by measure."""
    settings, seeds = LabSettings(), range(config.seeds)
    trial = Trial(trial_measures, config.tasks)
    worlds = [{"world.poison_probability": poison, "world.detect_probability": detect} for poison, detect in points]
    found = try_rules(settings, worlds, seeds, RULES, trial)
    for name, params_s in trained(config).items():
        found[name] = try_policy(settings, worlds, seeds, Controller(lts(), params_s, Acting(1.0, True)), trial)
    rate_ps = found["lts"]["admission_fraction"]
    found["coin"] = try_coin(settings, worlds, seeds, rate_ps, trial)
    none = found["none"]["runtime_seconds"]
    for one in found.values():
        one["saved_percent"] = 100 * (none - one["runtime_seconds"]) / none
    return found


def trained(config: Config) -> dict[str, Any]:
    """Controllers of the clean world and of the poisoned one, each with the seeds in front."""
    settings = LabSettings(num_iterations=config.iterations)
    worlds = [
        {"world.poison_probability": poison, "learning.sparsity_weight": config.sparsity_weight}
        for poison in (0.0, config.poison)
    ]
    params = results(settings, worlds, range(config.controllers)).params
    chosen = np.arange(config.seeds) % config.controllers
    clean = jax.tree.map(lambda leaf: np.asarray(leaf)[chosen], params)
    poisoned = jax.tree.map(lambda leaf: np.asarray(leaf)[chosen + config.controllers], params)
    return {"lts": clean, "lts_poisoned": poisoned}


@lru_cache
def lts() -> Policy:
    """The controller as a policy: one object, so that it is compiled once."""
    return of_network(network_of(LabSettings()))


def over_seeds(values: np.ndarray) -> Interval:
    """Mean over seeds with its bootstrap interval."""
    return mean_interval(values, labels(values))


def labels(values: np.ndarray) -> list[str]:
    """One a seed."""
    return [f"{number:04}" for number in range(len(values))]


def rows_of(found: Mapping[str, Mapping[str, np.ndarray]], points: Sequence[tuple[float, float]]) -> list[Any]:
    """One record a policy and point: every measure as estimate, low, high."""
    rows = []
    for name, one in found.items():
        for place, (poison, detect) in enumerate(points):
            intervals = {measure: over_seeds(value[place]) for measure, value in one.items()}
            numbers = {measure: [each.estimate, each.low, each.high] for measure, each in intervals.items()}
            rows.append({"policy": name, "poison": poison, "detect": detect} | numbers)
    return rows


def table(
    rows: Sequence[Mapping[str, Any]],
    found: Mapping[str, Mapping[str, np.ndarray]],
    points: Sequence[tuple[float, float]],
    point: tuple[float, float],
) -> str:
    """All policies at one point, and their reward against no sharing."""
    place = points.index(point)
    lines = [f"poison {point[0]:g}, detection {point[1]:g} (simulated)"]
    lines.append(f"{'':>13}" + "".join(f"{head:>19}" for head, _, _ in SHOWN) + "  reward minus none")
    for row in (row for row in rows if (row["poison"], row["detect"]) == point):
        cells = "".join(f"{form.format(row[measure][0]):>19}" for _, measure, form in SHOWN)
        gain = found[row["policy"]]["reward"][place] - found["none"]["reward"][place]
        mean = over_seeds(gain)
        against = "" if row["policy"] == "none" else f"  {mean.estimate:+.4f} [{mean.low:+.4f}, {mean.high:+.4f}]"
        lines.append(f"{row['policy']:>13}{cells}{against}")
    smallest = minimum_detectable_effect(found["all"]["reward"][place] - found["none"]["reward"][place], labels(gain))
    lines.append(f"smallest difference of all from none that was resolved: {smallest:.4f}")
    return "\n".join(lines)


def slopes(
    found: Mapping[str, Mapping[str, np.ndarray]], points: Sequence[tuple[float, float]], detect: float
) -> list[str]:
    """Reward lost per .1 of poison, by least squares over the points of the world's own detection, seed by seed."""
    chosen = [place for place, (_, own) in enumerate(points) if own == detect]
    x = np.array([points[place][0] for place in chosen])
    lines = ["reward lost per .1 of poison [95 % over seeds]; the difference to the clean controller's loss"]
    lost = {name: -0.1 * np.polyfit(x, one["reward"][chosen], 1)[0] for name, one in found.items()}
    for name, one in lost.items():
        own, other = over_seeds(one), over_seeds(one - lost["lts"])
        lines.append(
            f"{name:>13}  {own.estimate:+.4f} [{own.low:+.4f}, {own.high:+.4f}]   "
            f"{other.estimate:+.4f} [{other.low:+.4f}, {other.high:+.4f}]"
        )
    for place in chosen:
        rewards = {name: one["reward"][place] for name, one in found.items()}
        for name, other in (("lts_poisoned", "lts"), ("lts", "coin")):
            own = over_seeds(rewards[name] - rewards[other])
            lines.append(
                f"poison {points[place][0]:g}: reward of {name} minus {other} "
                f"{own.estimate:+.4f} [{own.low:+.4f}, {own.high:+.4f}]"
            )
    return lines


if __name__ == "__main__":
    main(tyro.cli(Config))
