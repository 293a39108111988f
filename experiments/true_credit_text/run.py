"""Which admissions matter, and which credit scheme knows it? Simulated text teams of the offline world.

Every admission of every rollout is flipped and the rollout replayed with all random numbers kept; what changes in
reward and in seconds is the admission's true effect. Each credit scheme that needs nothing but the rollouts themselves
is compared with it. Prints and stores tables, and draws one figure.
"""

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

import jax
import numpy as np
import tyro
from admissions import Admissions, admission_rows
from figure import picture
from luck import decision_share, effects_in_futures

from lts_jax.admission.rules import RULES
from lts_jax.bridge.collate import collate, stack
from lts_jax.bridge.flips import flip_decisions
from lts_jax.credit.schemes import SCHEMES
from lts_jax.errors import UserError
from lts_jax.evaluation.evaluate import Arm
from lts_jax.evaluation.fidelity import Fidelity, credit_fidelity, effect_of_admission, within_rollout_fidelity
from lts_jax.evaluation.statistics import Interval
from lts_jax.memory.encoder_parts import make_encoder
from lts_jax.plain import to_plain
from lts_jax.records import RolloutGroup
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.storage import write_bytes, write_json, write_text
from lts_jax.systems.comparison import make_arm
from lts_jax.systems.lts import TrainSettings
from lts_jax.systems.world import almanac_tasks
from lts_jax.trajectory import FlippedRollouts, Trajectory


@dataclass(frozen=True, slots=True)
class Config:
    """Which rollouts, and where the results go."""

    num_tasks: int = 84  # of the training split: two of every family and difficulty
    num_rollouts: int = 5  # G; the paper
    num_luck_tasks: int = 42  # whose admissions under random(0.5) are also tried in other futures
    num_luck_rollouts: int = 2  # of each of them
    num_futures: int = 4  # of each admission, kept and turned
    seed: int = 3000  # of every random number of the rollouts
    results: Path = Path(__file__).parent / "results"
    train: TrainSettings = field(default_factory=TrainSettings)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One scheme under one policy, against one effect: over all admissions, and within rollouts."""

    policy: str
    scheme: str
    effect: str  # "reward", "seconds", or either "expected" over futures
    overall: Fidelity
    within: Fidelity


def collected(policy_name: str, config: Config, num_tasks: int) -> tuple[Arm, list[RolloutGroup]]:
    """Rollouts under a rule, by task."""
    arm = make_arm(policy_name, config.train, RULES[policy_name]())
    tasks = almanac_tasks(config.train.world_seed, "train", num_tasks)
    collecting = CollectSettings(config.num_rollouts)
    return arm, collect_groups(tasks, arm.parts, arm.rollout, collecting, Iteration(config.seed, 0))


def trajectory_of(groups: list[RolloutGroup], config: Config) -> Trajectory:
    """The groups as arrays [B, G, K, T]."""
    encoder, padding = make_encoder(config.train.encoder), config.train.padding
    return stack([collate(group, encoder, padding) for group in groups])[0]


def flipped_of(arm: Arm, groups: list[RolloutGroup], config: Config) -> FlippedRollouts:
    """Every admission of every group flipped, [B, G, K, T]."""
    flipped = []
    for number, group in enumerate(groups):
        flipped.append(flip_decisions(group, arm.parts, arm.rollout, config.train.padding))
        if number % 20 == 19:
            print(f"{arm.name}: {number + 1} of {len(groups)} tasks", file=sys.stderr)
    return jax.tree.map(lambda *parts: np.stack(parts), *flipped)


def credits_of(trajectory: Trajectory) -> dict[str, np.ndarray]:
    """Credit [B, G, K, T] of every scheme that these trajectories can feed, at its default settings."""
    found = {}
    for name, credit in SCHEMES.items():
        try:
            found[name] = np.asarray(jax.jit(jax.vmap(credit))(trajectory))
        except UserError as missing:
            print(f"left out: {missing}", file=sys.stderr)
    return found


def compare(
    policy: str, effects: dict[str, np.ndarray], credits: dict[str, np.ndarray], tasks: list[str], rollouts: np.ndarray
) -> list[Comparison]:
    """Every scheme against every effect, over rows of admissions."""
    return [
        Comparison(
            policy,
            scheme,
            name,
            credit_fidelity(credit, effect, tasks),
            within_rollout_fidelity(credit, effect, tasks, rollouts),
        )
        for name, effect in effects.items()
        for scheme, credit in credits.items()
    ]


def fidelity_table(found: list[Comparison]) -> str:
    """Rows of the fidelity table, best rank correlation within rollouts first."""
    lines = []
    for policy, effect in dict.fromkeys((one.policy, one.effect) for one in found):
        chosen = [one for one in found if (one.policy, one.effect) == (policy, effect)]
        first = chosen[0].overall
        within = next((one.within for one in chosen if not one.within.reason), chosen[0].within)
        lines += [
            "",
            f"{policy}, effect on {effect}: {first.num_decisions} admissions, {first.num_with_effect} with an effect; "
            f"rank correlations from {first.rank_resolution:.2f} are resolved, within rollouts from "
            f"{within.rank_resolution:.2f}; one sign for all would agree {first.constant_sign_agreement:.2f}",
            f"{'scheme':24}{'rank':>21}{'rank, within':>21}{'signs':>21}{'slope':>26}{'signal/noise':>14}",
        ]
        chosen.sort(key=lambda one: -np.nan_to_num(one.within.rank_correlation.estimate, nan=-2.0))
        for one in chosen:
            lines.append(
                f"{one.scheme:24}{_shown(one.overall.rank_correlation):>21}{_shown(one.within.rank_correlation):>21}"
                f"{_shown(one.overall.sign_agreement):>21}{_shown(one.overall.calibration_slope):>26}"
                f"{_ratio(one.overall.signal_to_noise.estimate):>14}"
            )
    return "\n".join(lines)


def _shown(value: Interval) -> str:
    return "-" if np.isnan(value.estimate) else f"{value.estimate:.2f} [{value.low:.2f}, {value.high:.2f}]"


def measure(policy_name: str, config: Config) -> tuple[Admissions, list[Comparison]]:
    """Flip every admission under one rule, and compare every scheme with what came of it."""
    arm, groups = collected(policy_name, config, config.num_tasks)
    trajectory = replace(trajectory_of(groups, config), flipped=flipped_of(arm, groups, config))
    reward, seconds = effect_of_admission(trajectory)
    rows = admission_rows(groups, trajectory, reward, seconds, credits_of(trajectory))
    effects = {"reward": rows.reward, "seconds": rows.seconds}
    return rows, compare(rows.policy, effects, rows.credits, rows.tasks, rows.rollouts)


def measure_luck(policy_name: str, config: Config) -> tuple[dict[str, Interval], list[Comparison]]:
    """How much of an effect is the admission's and not luck's, and the schemes against its mean over futures."""
    arm, groups = collected(policy_name, config, config.num_luck_tasks)
    futures = effects_in_futures(groups, arm, num_rollouts=config.num_luck_rollouts, num_futures=config.num_futures)
    places = tuple(np.array(futures.places).T)
    credits = {name: credit[places] for name, credit in credits_of(trajectory_of(groups, config)).items()}
    shares = {
        "reward": decision_share(futures.reward, futures.tasks),
        "seconds": decision_share(futures.seconds, futures.tasks),
    }
    effects = {"expected reward": futures.reward.mean(1), "expected seconds": futures.seconds.mean(1)}
    # What a single flip knows of the mean over the other futures: the first future plays the single flip.
    singles = {
        "expected reward": (futures.reward[:, 0], futures.reward[:, 1:].mean(1)),
        "expected seconds": (futures.seconds[:, 0], futures.seconds[:, 1:].mean(1)),
    }
    policy = groups[0].rollouts[0].policy
    found = compare(policy, effects, credits, futures.tasks, futures.rollouts)
    for name, (single, others) in singles.items():
        found += compare(policy, {name: others}, {"one single flip": single}, futures.tasks, futures.rollouts)
    return shares, found


def _ratio(value: float) -> str:
    return "exact" if value > 1e6 else f"{value:.3f}"


def main(config: Config) -> None:
    """Both rules and the futures, in processes of their own; print, store and draw."""
    started = time.monotonic()
    with ProcessPoolExecutor(2, get_context("spawn")) as processes:
        waiting = [processes.submit(measure, name, config) for name in ("all", "random")]
        lucky = processes.submit(measure_luck, "random", config)
        measured = [one.result() for one in reversed(waiting)]
        shares, expected = lucky.result()
    found = [one for _, each in measured for one in each] + expected
    matters = [line for rows, _ in measured for line in rows.matters()]
    luck = ", ".join(f"on {name} {_shown(share)}" for name, share in shares.items())
    text = (
        f"{matters_table(matters)}\n\nshare of the variance of one effect that is the admission's own: {luck}\n"
        f"{fidelity_table(found)}"
    )
    print(text)
    write_text(config.results / "tables.txt", text.lstrip("\n") + "\n")
    write_json(
        config.results / "admissions.json",
        finite({"kinds": matters, "own_share": {name: to_plain(share) for name, share in shares.items()}}),
    )
    write_json(config.results / "fidelity.json", [finite(to_plain(one)) for one in found])
    write_bytes(config.results / "true_credit.png", picture([rows for rows, _ in measured], found))
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)


def matters_table(matters: list[dict[str, object]]) -> str:
    """What admissions do, by whether others read them."""
    lines = []
    for row in matters:
        if row["kind"] == "every admission":
            lines += ["", str(row["policy"])]
        lines.append(
            f"{row['kind']:24}{row['admissions']:>6}   seconds saved {_bounds(row['seconds_saved'], 1)}, "
            f"resolved from {row['seconds_resolution']:.1f}; saves over 1 s {row['saves']:.0%}, costs over 1 s "
            f"{row['costs']:.0%}   reward {_bounds(row['reward_effect'], 3)}, resolved from "
            f"{row['reward_resolution']:.3f}; raises {row['raises']:.1%}, lowers {row['lowers']:.1%}"
        )
    return "\n".join(lines)


def _bounds(values: object, digits: int) -> str:
    estimate, low, high = values  # type: ignore[misc]
    return f"{estimate:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def finite(value: object) -> object:
    """JSON has no NaN: None instead."""
    if isinstance(value, dict):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


if __name__ == "__main__":
    main(tyro.cli(Config))
