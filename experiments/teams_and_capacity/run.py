"""How many teams, and how large a bank? K from 1 to 64; capacities and evict rules at K = 3 and K = 10.

    python experiments/teams_and_capacity/run.py            # the study
    python experiments/teams_and_capacity/run.py --quick    # the same on a few tasks, in a minute; results elsewhere

The trained controller learns with three teams and an unbounded bank, and is used as it is everywhere else.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

sys.path.insert(0, str(Path(__file__).parent))

from frontier_figure import picture

from lts_jax.environments.contract import Acting, Controller, Observation, Policy, Rollouts
from lts_jax.environments.measures import measures
from lts_jax.environments.policies import of_network
from lts_jax.environments.teams.settings import SimulatorShape
from lts_jax.evaluation.statistics import Interval, mean_interval, minimum_detectable_effect
from lts_jax.lab.lab import results
from lts_jax.lab.settings import LabSettings, network_of
from lts_jax.lab.trials import RULES, Trial, try_policy, try_rules
from lts_jax.storage import write_bytes, write_json, write_text

EVICT_RULES = {"age": 0.0, "use": 1.0, "value": 2.0}
UNBOUNDED = 1e9
GREEDY = Acting(1.0, True)
SHOWN = ("reward", "runtime_seconds", "compute_seconds", "steps_per_team", "admission_fraction", "read_rate", "reach")
# LTS (arXiv 2602.05965), GAIA with Qwen3-32B: K, score and seconds of M1-Parallel, then of LTS without retraining.
PAPER = ((1, 22.5, 758, None, None), (2, 23.0, 1161, 28.5, 828), (3, 24.8, 1569, 30.4, 892),
         (5, 25.4, 2034, 31.6, 1234), (10, 22.4, 3411, 29.1, 2521))  # fmt: skip
Measured = Mapping[str, np.ndarray]  # by measure: f64[points, seeds]


@dataclass(frozen=True, slots=True)
class Config:
    """Size of the study."""

    results: Path = Path(__file__).parent / "results"
    seeds: int = 20  # units of every interval
    teams: tuple[int, ...] = (1, 2, 3, 5, 10, 16, 32, 64)
    tasks: tuple[int, ...] = (400, 400, 400, 400, 200, 80, 20, 10)  # of a seed, for each number of teams
    bank_teams: tuple[int, ...] = (3, 10)
    bank_tasks: tuple[int, ...] = (200, 30)
    capacities: tuple[int, ...] = (2, 4, 8, 16, 32)  # and none
    controllers: int = 10  # trained ones; seed s is measured with controller s modulo this
    iterations: int = 100  # updates of a controller
    sparsity_weight: float = 0.27  # between "admits everything" at .25 and "admits nothing" at .30 in this world
    window: int = 20  # newest keys that `all_newest` lists
    quick: bool = False
    """A small run, written below `runs/`."""


def main(config: Config) -> None:
    """Run, print, store, draw."""
    if config.quick:
        config = replace(
            config, seeds=5, teams=(3,), tasks=(40,), bank_teams=(3,), bank_tasks=(40,), capacities=(4,),
            controllers=2, iterations=5, results=Path("runs/teams_and_capacity"),
        )  # fmt: skip
    params_s = trained(config)
    teams, text = [], []
    for num_teams, num_tasks in zip(config.teams, config.tasks, strict=True):
        found, gains = of_teams(config, num_teams, num_tasks, params_s)
        teams += found
        text.append("\n".join([*team_lines(found), *gains]))
        print(text[-1], flush=True)
    banks = []
    for num_teams, num_tasks in zip(config.bank_teams, config.bank_tasks, strict=True):
        found = of_banks(config, num_teams, num_tasks, params_s)
        banks += found
        text.append("\n".join(bank_lines(found)))
        print(text[-1], flush=True)
    text.append("\n".join(paper_lines(teams)))
    print(text[-1])
    write_text(config.results / "tables.txt", "\n\n".join(text) + "\n")
    write_json(config.results / "rows.json", {"teams": teams, "banks": banks})
    write_bytes(config.results / "frontier.png", picture(teams, banks))


def trained(config: Config) -> Any:
    """Controllers of three teams in the default world, parameters with the seeds in front."""
    settings = LabSettings(num_iterations=config.iterations)
    params = results(settings, [{"learning.sparsity_weight": config.sparsity_weight}], range(config.controllers)).params
    chosen = np.arange(config.seeds) % config.controllers
    return jax.tree.map(lambda leaf: np.asarray(leaf)[chosen], params)


def settings_of(num_teams: int, *, is_bounded: bool = False) -> LabSettings:
    """A laboratory of K teams whose bank has room for about twice the entries that it meets."""
    num_entries = min(32 * num_teams, max(96, 16 * num_teams))
    return LabSettings(shape=SimulatorShape(num_teams=num_teams, num_entries=num_entries, bounded_bank=is_bounded))


def of_teams(config: Config, num_teams: int, num_tasks: int, params_s: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """Every policy with K teams: rows, and lines on what sharing gained."""
    settings, seeds = settings_of(num_teams), range(config.seeds)
    rules = {name: RULES[name] for name in ("none", "all", "novelty")}
    points = [{"world.listing_window": UNBOUNDED}, {"world.listing_window": float(config.window)}]
    tried = try_rules(settings, points, seeds, rules, Trial(trial_measures, num_tasks))
    found = {name: {key: value[:1] for key, value in one.items()} for name, one in tried.items()}
    found["all_newest"] = {key: value[1:] for key, value in tried["all"].items()}
    found["lts"] = try_policy(
        settings, [{}], seeds, Controller(lts(), params_s, GREEDY), Trial(trial_measures, num_tasks)
    )
    rows = [{"num_teams": num_teams, "policy": name} | row(one, 0) for name, one in found.items()]
    return rows, [gain_line(name, found["none"], one) for name, one in found.items() if name != "none"]


def of_banks(config: Config, num_teams: int, num_tasks: int, params_s: Any) -> list[dict[str, Any]]:
    """Capacities times evict rules, for every policy that admits."""
    settings, seeds = settings_of(num_teams, is_bounded=True), range(config.seeds)
    cells = [(name, size) for name in EVICT_RULES for size in (*config.capacities, None)]
    points = [
        {"world.evict_rule": EVICT_RULES[name], "world.capacity": float(size or UNBOUNDED)} for name, size in cells
    ]
    rules = {name: RULES[name] for name in ("all", "novelty")}
    found = dict(try_rules(settings, points, seeds, rules, Trial(trial_measures, num_tasks)))
    for name, policy in (("lts", lts()), ("all_valued", admitting_all(lts()))):
        controller = Controller(policy, params_s, GREEDY)
        found[name] = try_policy(settings, points, seeds, controller, Trial(trial_measures, num_tasks))
    return [
        {"num_teams": num_teams, "policy": name, "evict_rule": rule, "capacity": size} | row(one, place)
        for name, one in found.items()
        for place, (rule, size) in enumerate(cells)
        # Without logits of their own, rules value all entries alike and evict the oldest.
        if rule != "value" or name in ("lts", "all_valued")
    ]


@lru_cache
def lts() -> Policy:
    """The controller as a policy: one object, so that it is compiled once a shape."""
    return of_network(network_of(LabSettings()))


@lru_cache
def admitting_all(policy: Policy) -> Policy:
    """Admits every step, and still values each by the policy's logit, for the evict rule that asks for it."""

    def all_valued(params: Any, seen: Observation) -> jax.Array:
        return policy(params, seen) + jnp.array([0.0, 1e3])

    return all_valued


def trial_measures(rollouts: Rollouts) -> dict[str, jax.Array]:
    """What a trial is measured by; team seconds add up what every team took, its waiting for others left out."""
    trajectory, _, truth = rollouts
    own_gk = jnp.minimum(trajectory.finish_seconds_gk, trajectory.runtime_g[..., None])
    is_decided = jnp.any(trajectory.decision_mask_gkt)
    refused = jnp.sum(trajectory.step_mask_gkt & ~trajectory.decision_mask_gkt & is_decided)
    return measures(rollouts) | {
        "compute_seconds": jnp.mean(jnp.sum(own_gk, axis=-1)),
        "team_seconds": jnp.mean(own_gk),
        "team_reward": jnp.mean(truth.score_k),
        "refused_fraction": refused / jnp.sum(trajectory.step_mask_gkt),
    }


def over_seeds(values: np.ndarray) -> Interval:
    """Mean over seeds with its bootstrap interval."""
    return mean_interval(values, [f"{number:04}" for number in range(len(values))])


def row(found: Measured, point: int) -> dict[str, Any]:
    """Every measure at a point: estimate, low, high."""
    intervals = {name: over_seeds(value[point]) for name, value in found.items()}
    return {name: [one.estimate, one.low, one.high] for name, one in intervals.items()}


def gain_line(name: str, none: Measured, one: Measured) -> str:
    """Paired differences to no sharing, and the smallest that could be resolved."""
    reward = one["reward"][0] - none["reward"][0]
    labels = [f"{number:04}" for number in range(len(reward))]
    saved = 100 * (1 - one["runtime_seconds"][0] / none["runtime_seconds"][0])
    compute = 100 * (1 - one["compute_seconds"][0] / none["compute_seconds"][0])
    a, b, c = over_seeds(reward), over_seeds(saved), over_seeds(compute)
    return (
        f"    {name:>10} - none: reward {a.estimate:+.4f} [{a.low:+.4f}, {a.high:+.4f}] "
        f"(resolves {minimum_detectable_effect(reward, labels):.4f}), runtime saved {b.estimate:+.1f}% "
        f"[{b.low:+.1f}, {b.high:+.1f}], compute saved {c.estimate:+.1f}% [{c.low:+.1f}, {c.high:+.1f}]"
    )


def team_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line a policy."""
    head = f"K={rows[0]['num_teams']:<3}{'policy':>11} " + "".join(f"{name.split('_')[0]:>11}" for name in SHOWN)
    lines = [head + "  team reward  refused (simulated)"]
    for one in rows:
        cells = "".join(f"{one[name][0]:>11.3f}" for name in SHOWN)
        lines.append(f"{one['policy']:>16} {cells}  {one['team_reward'][0]:>11.3f}  {one['refused_fraction'][0]:>7.4f}")
    return lines


def bank_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line a policy, rule and capacity."""
    lines = [
        f"K={rows[0]['num_teams']} policy       evicts  capacity   reward           runtime  admitted  read (simulated)"
    ]
    for one in rows:
        reward, size = one["reward"], one["capacity"] or "none"
        lines.append(
            f"{one['policy']:>14} {one['evict_rule']:>8} {size:>9}   {reward[0]:.3f} [{reward[1]:.3f}, {reward[2]:.3f}]"
            f" {one['runtime_seconds'][0]:>7.1f} {one['admission_fraction'][0]:>8.2f} {one['read_rate'][0]:>6.2f}"
        )
    return lines


def harmonic(num_teams: int) -> float:
    """H_K = 1 + 1/2 + ... + 1/K: mean of the largest of K independent exponential times, in units of their mean."""
    return sum(1 / number for number in range(1, num_teams + 1))


def paper_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Beside the paper's table: how runtime grows with K, as a multiple of one team's."""
    ours = {(one["num_teams"], one["policy"]): one for one in rows}
    if (1, "none") not in ours:
        return []
    single = ours[1, "none"]["runtime_seconds"][0]
    lines = [
        "  K   H_K   paper M1/single  ours none/single   paper LTS/M1  ours all/none  ours lts/none   paper scores"
    ]
    for num_teams, score, seconds, lts_score, lts_seconds in PAPER:
        if (num_teams, "none") not in ours:
            continue
        none, shared, controlled = (ours[num_teams, name]["runtime_seconds"][0] for name in ("none", "all", "lts"))
        of_paper = "-" if lts_seconds is None else f"{lts_seconds / seconds:.2f}"
        lines.append(
            f"{num_teams:>3} {harmonic(num_teams):>5.2f} {seconds / PAPER[0][2]:>17.2f} {none / single:>17.2f} "
            f"{of_paper:>14} {shared / none:>14.2f} {controlled / none:>14.2f}   {score}, {lts_score or '-'}"
        )
    return lines


if __name__ == "__main__":
    main(tyro.cli(Config))
