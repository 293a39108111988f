"""When does sharing everything help, and when does it harm? Overlap between teams against the rate of errors.

    python experiments/when_sharing_hurts/run.py            # the study
    python experiments/when_sharing_hurts/run.py --quick    # the same on a few tasks, in a minute; results elsewhere

Every cell of the two maps is the same tasks and random numbers with and without a bank, so differences are paired.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import jax
import numpy as np
import tyro

sys.path.insert(0, str(Path(__file__).parent))

from crossover import Crossing, crossings
from sharing_maps import picture

from lts_jax.environments.contract import Acting, Controller, Policy, Rollouts
from lts_jax.environments.measures import measures
from lts_jax.environments.policies import of_network
from lts_jax.environments.teams.params_file import read_params
from lts_jax.environments.teams.settings import SimulatorParams
from lts_jax.evaluation.statistics import Interval, mean_interval, minimum_detectable_effect
from lts_jax.lab.lab import results
from lts_jax.lab.settings import LabSettings, network_of
from lts_jax.lab.trials import RULES, Trial, try_coin, try_policy, try_rules
from lts_jax.storage import write_bytes, write_json, write_text

KINDS = {"wrong": "world.wrong_probability", "stale": "world.stale_probability"}  # one is swept, the other stays
Measured = dict[str, dict[str, np.ndarray]]  # policy, measure, then f64[overlaps, errors, seeds]


@dataclass(frozen=True, slots=True)
class Config:
    """Size of the study."""

    results: Path = Path(__file__).parent / "results"
    seeds: int = 20  # units of every interval
    tasks: int = 400  # of a seed and cell, one rollout each
    overlaps: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    errors: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    controllers: int = 10  # trained ones; seed s is measured with controller s modulo this
    iterations: int = 100  # updates of a controller
    sparsity_weight: float = 0.27  # between "admits everything" at .25 and "admits nothing" at .30 in this world
    world: Path | None = None
    """Parameters of another world, as `lts simulator fit` writes them; the defaults without."""
    quick: bool = False
    """A small run, written below `runs/`."""


def main(config: Config) -> None:
    """Run, print, store, draw."""
    if config.quick:
        small = {"seeds": 5, "tasks": 40, "overlaps": (0.0, 1.0), "errors": (0.0, 0.2, 0.4, 0.6)}
        config = replace(config, controllers=2, iterations=5, results=Path("runs/when_sharing_hurts"), **small)
    params_s = trained(config)
    text, found, maps, lines = [], {}, {}, {}
    for kind, field in KINDS.items():
        measured = measured_map(config, field, params_s)
        gain = {name: measured[name]["reward"] - measured["none"]["reward"] for name in measured if name != "none"}
        lines[kind] = {name: crossings(one, config.overlaps, config.errors) for name, one in gain.items()}
        saved = saved_percent(measured)
        maps[kind] = (gain["all"].mean(-1), saved["all"].mean(-1))
        text.append(table(config, kind, measured, gain, saved, lines[kind]))
        found[kind] = rows(config, measured, gain, saved)
    print("\n\n".join(text))
    write_text(config.results / "tables.txt", "\n\n".join(text) + "\n")
    write_json(config.results / "rows.json", {"rows": found, "crossovers": plain_lines(lines)})
    write_bytes(config.results / "maps.png", picture(maps, lines, config.overlaps, config.errors))


def laboratory(config: Config) -> LabSettings:
    """The world of the study."""
    return LabSettings(world=SimulatorParams() if config.world is None else read_params(config.world))


def trained(config: Config) -> object:
    """Controllers of the study's world, parameters with the seeds in front."""
    settings = replace(laboratory(config), num_iterations=config.iterations)
    point = {"learning.sparsity_weight": config.sparsity_weight}
    params = results(settings, [point], range(config.controllers)).params
    chosen = np.arange(config.seeds) % config.controllers
    return jax.tree.map(lambda leaf: np.asarray(leaf)[chosen], params)


def measured_map(config: Config, field: str, params_s: object) -> Measured:
    """Every policy in every cell."""
    points = [{"world.overlap": overlap, field: error} for overlap in config.overlaps for error in config.errors]
    settings, seeds = laboratory(config), range(config.seeds)
    trial = Trial(trial_measures, config.tasks)
    rules = {name: RULES[name] for name in ("none", "all", "novelty", "oracle")}
    found = try_rules(settings, points, seeds, rules, trial)
    found["lts"] = try_policy(settings, points, seeds, Controller(lts(), params_s, Acting(1.0, True)), trial)
    rate_ps = found["lts"]["admission_fraction"]
    found["coin"] = try_coin(settings, points, seeds, rate_ps, trial)
    shape = (len(config.overlaps), len(config.errors), config.seeds)
    return {name: {key: value.reshape(shape) for key, value in one.items()} for name, one in found.items()}


@lru_cache
def lts() -> Policy:
    """The controller as a policy: one object for all maps, so that it is compiled once."""
    return of_network(network_of(LabSettings()))


def trial_measures(rollouts: Rollouts) -> dict[str, jax.Array]:
    """What a trial is measured by."""
    return measures(rollouts)


def saved_percent(measured: Measured) -> dict[str, np.ndarray]:
    """100 (a - b) / a of runtime, a without sharing: [overlaps, errors, seeds] by policy."""
    none = measured["none"]["runtime_seconds"]
    return {name: 100 * (none - one["runtime_seconds"]) / none for name, one in measured.items() if name != "none"}


def over_seeds(values: np.ndarray) -> Interval:
    """Mean over seeds with its bootstrap interval."""
    return mean_interval(values, [f"{number:04}" for number in range(len(values))])


def rows(
    config: Config, measured: Measured, gain: Measured, saved: Mapping[str, np.ndarray]
) -> list[dict[str, object]]:
    """One record a cell and policy, for other people's tables."""
    found = []
    for place, overlap in enumerate(config.overlaps):
        for number, error in enumerate(config.errors):
            for name, one in gain.items():
                better, faster = over_seeds(one[place, number]), over_seeds(saved[name][place, number])
                found.append(
                    {
                        "overlap": overlap, "error": error, "policy": name,
                        "reward": float(measured[name]["reward"][place, number].mean()),
                        "reward_gain": [better.estimate, better.low, better.high],
                        "saved_percent": [faster.estimate, faster.low, faster.high],
                        "admission_fraction": float(measured[name]["admission_fraction"][place, number].mean()),
                    }
                )  # fmt: skip
    return found


def table(
    config: Config,
    kind: str,
    measured: Measured,
    gain: Mapping[str, np.ndarray],
    saved: Mapping[str, np.ndarray],
    lines: Mapping[str, Sequence[Crossing]],
) -> str:
    """The map of sharing everything, the crossover lines of all policies, and means over the map."""
    intervals = [[over_seeds(cell) for cell in row] for row in gain["all"]]
    blocks = [f"reward of sharing everything minus none, by error kind '{kind}' (* interval excludes 0; simulated)"]
    blocks.append("overlap  " + "".join(f"{error:>9g}" for error in config.errors))
    for overlap, row in zip(config.overlaps, intervals, strict=True):
        cells = [f"{one.estimate:+.3f}{'*' if one.low > 0 or one.high < 0 else ' '}" for one in row]
        blocks.append(f"{overlap:>7g}  " + "".join(f"{cell:>9}" for cell in cells))
    blocks.append("% of runtime saved by sharing everything")
    for overlap, row in zip(config.overlaps, saved["all"].mean(-1), strict=True):
        blocks.append(f"{overlap:>7g}  " + "".join(f"{one:>+8.1f} " for one in row))
    blocks.append("error rate from which on sharing harms reward, by overlap [95 % over seeds]")
    for name, line in lines.items():
        cells = [f"{bound(one.error)} [{bound(one.low)}, {bound(one.high)}]" for one in line]
        blocks.append(f"{name:>8}  " + "  ".join(f"{cell:<18}" for cell in cells))
    blocks.append("mean over the map:   reward gain             % saved   admitted   read")
    for name, one in gain.items():
        mean, faster = over_seeds(one.mean((0, 1))), over_seeds(saved[name].mean((0, 1)))
        share, read = (measured[name][key].mean() for key in ("admission_fraction", "read_rate"))
        blocks.append(
            f"{name:>8}  {mean.estimate:+.4f} [{mean.low:+.4f}, {mean.high:+.4f}]  "
            f"{faster.estimate:+.1f} [{faster.low:+.1f}, {faster.high:+.1f}]  {share:.2f}  {read:.2f}"
        )
    chosen = over_seeds((measured["lts"]["reward"] - measured["coin"]["reward"]).mean((0, 1)))
    blocks.append(
        f"lts minus the coin that admits as often: {chosen.estimate:+.4f} [{chosen.low:+.4f}, {chosen.high:+.4f}]"
    )
    smallest = np.median([resolved(cell) for row in gain["all"] for cell in row])
    of_map = resolved(gain["all"].mean((0, 1)))
    blocks.append(f"smallest effect that a cell resolves (median) {smallest:.4f}; the mean over the map {of_map:.4f}")
    return "\n".join(blocks)


def resolved(values: np.ndarray) -> float:
    """Smallest effect found with probability .8."""
    return minimum_detectable_effect(values, [f"{number:04}" for number in range(len(values))])


def bound(error: float) -> str:
    """An error rate, or on which side of the map it lies."""
    if math.isinf(error):
        return "below" if error < 0 else "above"
    return f"{error:.2f}"


def plain_lines(lines: Mapping[str, Mapping[str, Sequence[Crossing]]]) -> dict[str, object]:
    """Crossings as JSON; what lies beside the map is a word."""

    def number(error: float) -> float | str:
        return bound(error) if math.isinf(error) else error

    return {
        kind: {
            name: [[one.overlap, number(one.error), number(one.low), number(one.high)] for one in line]
            for name, line in by_name.items()
        }
        for kind, by_name in lines.items()
    }


if __name__ == "__main__":
    main(tyro.cli(Config))
