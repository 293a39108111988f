"""How far does the policy gradient get with time in its return: control variates, larger groups, more rollouts.

    python experiments/policy_gradient_time/run.py            # simulated; 10 seeds

Every row trains the same controller on the same return, R - .2 seconds / mean seconds of the group, without a price of
an admission and without a bonus for use. The credit of decision t is the rollout's return less the mean of its
group's others, y; with control variates it is

    y - sum over the other decisions s of (z_s - p_s) f(c_s),

where f is the regression of `admission_value` on the iterations before: each term has mean 0 given what was decided
before, so the gradient stays unbiased, and what f explains of the other decisions' luck is gone from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jax import Array

from lts_jax.evaluation.statistics import Interval, mean_interval
from lts_jax.lab.lab import numbers_at, plan_of
from lts_jax.lab.settings import LabSettings, network_of
from lts_jax.lab.training import Numbers, Plan, evaluate, train, training_batch
from lts_jax.learning.admission_value import outcome_weights, outcomes, surprise
from lts_jax.learning.objective_parts import AdmissionValue
from lts_jax.learning.ridge import fit_once, init_ridge
from lts_jax.learning.settings import LearningSettings
from lts_jax.learning.state import init_state
from lts_jax.learning.update import Learner, update_once
from lts_jax.models.policy_network import PolicyNetwork
from lts_jax.reports.report import json_plain
from lts_jax.storage import write_json, write_text
from lts_jax.trajectory import Trajectory

WORLD = {"world.wrong_cue": 3.0, "world.stale_cue": 3.0, "world.cue_noise": 0.5}  # the leaderboard's clear cues
VALUE = AdmissionValue()  # its weights of reward and time are this study's return


@dataclass(frozen=True, slots=True)
class Arm:
    """One row: 40 rollouts an update, in groups of some size."""

    name: str
    num_iterations: int
    group: int = 5
    with_control: bool = False
    is_regression: bool = False


ARMS = (
    Arm("policy gradient", 80),
    Arm("groups of 20", 80, group=20),
    Arm("control variates", 80, with_control=True),
    Arm("control variates, groups of 20", 80, group=20, with_control=True),
    Arm("10 x rollouts", 800),
    Arm("10 x, control variates", 800, with_control=True),
    Arm("10 x, control variates, groups of 20", 800, group=20, with_control=True),
    Arm("admission_value", 80, is_regression=True),
    Arm("10 x, admission_value", 800, is_regression=True),
)


@dataclass(frozen=True, slots=True)
class Config:
    """Sizes of the study."""

    num_seeds: int = 10
    first_seed: int = 200
    runtime_price: float = 0.2
    learning_rate: float = 0.01
    num_evaluation_tasks: int = 256
    shrink: int = 1  # divide all updates by this, to try the study out
    results: Path = Path(__file__).parent / "results"


def measured(arm: Arm, config: Config) -> dict[str, np.ndarray]:
    """Measures of the greedy controllers of all seeds, f64[S] each, and what the gradient's credit varied by."""
    settings = LabSettings(
        learning=LearningSettings(
            learning_rate=config.learning_rate, sparsity_weight=0.0, runtime_weight=config.runtime_price
        ),
        objective="admission_value" if arm.is_regression else "policy_gradient",
        network="linear(texts=all, novelty_power=0)" if arm.is_regression else "pooled",
        num_iterations=max(2, arm.num_iterations // config.shrink),
        num_rollouts=arm.group,
        tasks_per_update=40 // arm.group,
        num_evaluation_tasks=config.num_evaluation_tasks,
        credit="group_relative",
    )
    plan = plan_of(settings)
    numbers = numbers_at(settings, plan.credits, WORLD)

    def one(key: Array) -> dict[str, Array]:
        if arm.is_regression:
            state, told = train(plan, numbers, key)[0], jnp.nan
        else:
            state, told = trained(arm, plan, numbers, key)
        return evaluate(plan, numbers, state.params, key) | {"credit_std": jnp.asarray(told)}

    seeds = np.arange(config.first_seed, config.first_seed + config.num_seeds, dtype=np.uint32)
    found = jax.jit(lambda keys: jax.lax.map(one, keys))(jax.vmap(jax.random.key)(seeds))
    return {name: np.asarray(value, float) for name, value in found.items()}


def trained(arm: Arm, plan: Plan, numbers: Numbers, key: Array) -> tuple[Any, Array]:
    """The policy gradient with the credit above: the last state, and the credit's deviation in the last tenth."""
    features = network_of(replace(plan.settings, network="linear(texts=all, novelty_power=0)"))
    state = init_state(plan.network, numbers.learning, jax.random.fold_in(key, 0))
    sums = init_ridge(features.init(key))
    learner = Learner(plan.network, given_credit, numbers.learning)
    weight_o = outcome_weights(VALUE, numbers.learning)

    def iterate(carry: tuple[Any, Any, Any], iteration: Array) -> tuple[tuple[Any, Any, Any], Array]:
        state, sums, fitted = carry
        own = jax.random.fold_in(jax.random.fold_in(key, 1), iteration)
        trajectory, context = training_batch(plan, numbers, state.params, own)
        outcome_bgo, counted_bg = jax.vmap(partial(outcomes, first_weight=0.0))(trajectory)
        credit_bgkt = jnp.broadcast_to((outcome_bgo @ weight_o)[..., None, None], trajectory.action_gkt.shape)
        if arm.with_control:
            credit_bgkt = credit_bgkt - others_luck(features, fitted, trajectory, context)
            fitted, sums, _, _ = fit_once(features, VALUE, numbers.learning, sums, (trajectory, context))
        where = trajectory.decision_mask_gkt & counted_bg[..., None, None]
        credit_bgkt = jnp.where(where, credit_bgkt, 0.0)
        spread = jnp.sqrt(jnp.sum(credit_bgkt**2) / jnp.maximum(jnp.sum(where), 1))
        state, _, _ = update_once(learner, state, replace(trajectory, value_gkt=credit_bgkt), context)
        return (state, sums, fitted), spread

    start = (state, sums, features.init(key))
    (state, _, _), spread_i = jax.lax.scan(iterate, start, jnp.arange(plan.settings.num_iterations))
    return state, jnp.mean(spread_i[-max(1, len(spread_i) // 10) :])


def others_luck(features: PolicyNetwork, fitted: Any, trajectory: Trajectory, context: Any) -> Array:
    """f32[B, G, K, T]: what the regression expects of the luck of a rollout's other decisions."""
    assert features.packed_features is not None
    # Its parameters are log-odds over a threshold; the threshold cancels in none of the terms, so it is put back.
    value = VALUE.value_scale * (features.packed_features(context) @ fitted["weight"]) + VALUE.threshold
    value = jnp.where(jnp.any(fitted["weight"] != 0.0), value, 0.0)
    term_bgkt = surprise(trajectory) * value
    return jnp.sum(term_bgkt, axis=(-2, -1), keepdims=True) - term_bgkt


def given_credit(trajectory: Trajectory) -> Array:
    """The credit that the loop has computed already; a credit scheme sees one trajectory and no regression."""
    assert trajectory.value_gkt is not None
    return trajectory.value_gkt


def rows_of(arm: Arm, found: dict[str, np.ndarray], config: Config) -> dict[str, Any]:
    """Means with intervals over seeds, and gains over a coin of the same rate and over a full bank."""
    seeds = [str(seed) for seed in range(config.num_seeds)]

    def gain(name: str) -> np.ndarray:
        saved = 1.0 - found[f"runtime_seconds{name}"] / found["runtime_seconds_none"]
        return found[f"reward{name}"] + config.runtime_price * saved

    return {
        "arm": arm.name,
        "updates": arm.num_iterations,
        "admitted": mean_interval(found["admission_fraction"], seeds),
        "saved": mean_interval(found["saved_percent"], seeds),
        "reward": mean_interval(found["reward"], seeds),
        "over coin": mean_interval(gain("") - gain("_random_matched"), seeds),
        "over all": mean_interval(gain("") - gain("_all"), seeds),
        "credit std": float(np.mean(found["credit_std"])),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    heads = ["arm", "updates", "admitted", "saved %", "reward", "gain over its coin", "gain over all", "credit std"]
    lines = ["| " + " | ".join(heads) + " |", len(heads) * "|---" + "|"]
    for row in rows:
        cells = [
            row["arm"],
            str(row["updates"]),
            said(row["admitted"], ".2f"),
            said(row["saved"], ".1f"),
            said(row["reward"], ".3f"),
            said(row["over coin"], "+.3f"),
            said(row["over all"], "+.3f"),
            "" if np.isnan(row["credit std"]) else f"{row['credit std']:.3f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def said(value: Interval, form: str) -> str:
    """An estimate with its interval."""
    return f"{value.estimate:{form}} [{value.low:{form}}, {value.high:{form}}]"


def main(config: Config) -> None:
    """Train all arms, print and store the table."""
    rows = []
    for arm in ARMS:
        rows.append(rows_of(arm, measured(arm, config), config))
        print(table(rows[-1:]).splitlines()[-1], flush=True)
    printed = f"{config.num_seeds} seeds, {config.num_evaluation_tasks} tasks each; simulated\n\n{table(rows)}"
    write_text(config.results / "table.md", printed + "\n")
    write_json(config.results / "rows.json", json_plain(rows))


if __name__ == "__main__":
    main(tyro.cli(Config))
