"""Every scheme trained on the same terms: choose the sparsity weight on some seeds, report on others."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from config import WORLDS, Config
from jax import Array

from lts_jax.credit.schemes import SCHEMES
from lts_jax.environments.contract import Acting, Controller
from lts_jax.environments.measures import measures
from lts_jax.environments.policies import novelty
from lts_jax.environments.rollout import lone_rollouts
from lts_jax.environments.teams.oracle import only_right
from lts_jax.lab.lab import results, results_by_scheme
from lts_jax.lab.settings import LabSettings, at_point, world_of
from lts_jax.lab.training import Result

Row = dict[str, Any]
SEPARATE = (
    "gae",
    "counterfactual",
    "difference_rewards",
    "shapley",
    "local_group",
)  # a value head or replays: programs of their own
ORACLE, NOVELTY = "only_right (oracle)", "novelty below .8"


def gain(row: Row, price: float) -> float:
    """Reward, and what the time saved against no sharing is worth."""
    return row["reward"] + price * row["saved_percent"] / 100.0


def chosen_weight(rows: Sequence[Row], world: str, price: float, name: str = "sparsity_weight") -> float:
    """The weight with the best mean gain in a world; the smallest of equals."""
    here = [row for row in rows if row["world"] == world]
    weights = sorted({row[name] for row in here})
    means = [np.mean([gain(row, price) for row in here if row[name] == weight]) for weight in weights]
    return weights[int(np.argmax(np.asarray(means) > max(means) - 1e-9))]


def finer_weights(rows: Sequence[Row], larger: Sequence[float]) -> tuple[float, ...]:
    """Weights to try as well, as many as `larger` has, where the tried ones step over the middle; else none.

    A controller switches from storing nearly all to nearly none within a narrow range of weights. Where admission falls
    by more than a half between two neighbouring weights, in some world, weights evenly between them; where the largest
    weight still leaves more than a half admitted, `larger`.
    """
    weights = sorted({row["sparsity_weight"] for row in rows})
    worlds = dict.fromkeys(row["world"] for row in rows)
    for world in worlds:
        admitted = [
            np.mean(
                [row["admission_fraction"] for row in rows if (row["world"], row["sparsity_weight"]) == (world, weight)]
            )
            for weight in weights
        ]
        if admitted[-1] > 0.5:
            return tuple(larger)
        falls = -np.diff(admitted)
        if len(falls) and falls.max() > 0.5:
            low, high = weights[int(np.argmax(falls))], weights[int(np.argmax(falls)) + 1]
            return tuple(float(np.round(weight, 6)) for weight in np.linspace(low, high, len(larger) + 2)[1:-1])
    return ()


def train_scheme(scheme: str, config: Config) -> tuple[list[Row], list[Row], dict[str, Any]]:
    """Rows of the selection, rows of the reported runs, and their parameters by world with the axis of seeds in front.

    Every call has as many rows as the others, so that one program is compiled.
    """
    settings = config.lab(scheme)
    selection = _selection(settings, config.sparsity_weights, config)
    if finer := finer_weights(selection, config.larger_weights):
        selection += _selection(settings, finer, config)
    reported, params = [], {}
    for world, cues in WORLDS.items():
        weight = chosen_weight(selection, world, config.runtime_price)
        seeds = range(config.first_seed, config.first_seed + config.num_seeds)
        point = (world, weight, {**cues, "learning.sparsity_weight": weight})
        rows, params[world] = _run(settings, [point], seeds, config)
        reported += rows
    return [{"credit": scheme, **row} for row in selection], [{"credit": scheme, **row} for row in reported], params


def train_value(num_iterations: int, config: Config) -> tuple[list[Row], list[Row]]:
    """The same for the regression of `admission_value`, whose weight of time is chosen."""
    settings = replace(
        config.lab(), objective="admission_value", network=config.value_network, num_iterations=num_iterations
    )

    def run(weights: Sequence[float], worlds: Sequence[str], seeds: range) -> list[Row]:
        points = [{**WORLDS[world], "learning.runtime_weight": weight} for world in worlds for weight in weights]
        labels = [{"world": world, "runtime_weight": weight} for world in worlds for weight in weights]
        return _measured(results(settings, points, list(seeds)), labels, seeds, config)

    selection = run(config.runtime_weights, tuple(WORLDS), range(config.num_selection_seeds))
    reported = []
    for world in WORLDS:
        weight = chosen_weight(selection, world, config.runtime_price, name="runtime_weight")
        reported += run([weight], [world], range(config.first_seed, config.first_seed + config.num_seeds))
    return selection, reported


def _selection(settings: LabSettings, weights: Sequence[float], config: Config) -> list[Row]:
    tried = [
        (world, weight, {**cues, "learning.sparsity_weight": weight})
        for world, cues in WORLDS.items()
        for weight in weights
    ]
    return _run(settings, tried, range(config.num_selection_seeds), config)[0]


def _run(
    settings: LabSettings, tried: list[tuple[str, float, dict[str, float]]], seeds: range, config: Config
) -> tuple[list[Row], Any]:
    points = [point for _, _, point in tried]
    if settings.credit in SEPARATE or settings.credit not in SCHEMES:  # one that is brought has a program of its own
        result = results(settings, points, list(seeds))
    else:
        together = dict.fromkeys(name for name in SCHEMES if name not in SEPARATE)
        only = (settings.credit,)
        result = results_by_scheme(settings, together, points, list(seeds), only=only)[settings.credit]
    labels = [{"world": world, "sparsity_weight": weight} for world, weight, _ in tried]
    return _measured(result, labels, seeds, config), result.params


def _measured(result: Result, labels: Sequence[Row], seeds: range, config: Config) -> list[Row]:
    """A row for each label and seed, in the order of the result's."""
    columns = {name: np.asarray(value, float) for name, value in result.measures.items()}
    rows = []
    for place, (label, seed) in enumerate((label, seed) for label in labels for seed in seeds):
        row = {name: float(value[place]) for name, value in columns.items()} | label | {"seed": seed}
        rows.append(row | {"gain": gain(row, config.runtime_price)})
    return rows


def rule_rows(reported: Sequence[Row], config: Config) -> list[Row]:
    """Rows for no memory, all, an oracle and a similarity rule on the tasks of the reported runs."""
    seeds = sorted({row["seed"] for row in reported})
    some = next(iter({row["credit"]: row for row in reported}))
    by_place = {(row["world"], row["seed"]): row for row in reported if row["credit"] == some}
    found = {name: _evaluated(name, seeds, config) for name in (ORACLE, NOVELTY)}
    rows = []
    for (world, seed), row in by_place.items():
        none, every = row["runtime_seconds_none"], row["runtime_seconds_all"]
        same: Row = {"world": world, "seed": seed}
        rows.append({**same, "credit": "none", "reward": row["reward_none"], "runtime_seconds": none})
        rows[-1] |= {"saved_percent": 0.0, "admission_fraction": 0.0}
        rows.append({**same, "credit": "all", "reward": row["reward_all"], "runtime_seconds": every})
        rows[-1] |= {"saved_percent": 100.0 * (1.0 - every / none), "admission_fraction": 1.0}
        for name, measured in found.items():
            own = {measure: float(value[seeds.index(seed)]) for measure, value in measured[world].items()}
            rows.append({**same, **own, "credit": name, "saved_percent": 100.0 * (1.0 - own["runtime_seconds"] / none)})
    return [row | {"gain": gain(row, config.runtime_price)} for row in rows]


def _evaluated(name: str, seeds: Sequence[int], config: Config) -> dict[str, dict[str, Array]]:
    """Measures [seeds] of a rule that is not trained, by world, on the evaluation tasks of each seed."""
    settings = config.lab()
    policy, params = (only_right, jnp.zeros(())) if name == ORACLE else (novelty, jnp.asarray(0.8))

    def one(world: Any, key: Array) -> dict[str, Array]:
        environment = replace(world_of(settings), params=world)
        controller = Controller(policy, params, Acting(1.0, True))
        evaluation_key = jax.random.fold_in(key, 2)  # as in lab.training, to meet the same tasks
        return measures(lone_rollouts(environment, evaluation_key, controller, config.num_evaluation_tasks))

    key_s = jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32))
    program = jax.jit(lambda world, key_s: jax.lax.map(partial(one, world), key_s))
    worlds = {world: at_point(settings, cues).world for world, cues in WORLDS.items()}
    return {world: program(jax.tree.map(jnp.asarray, params), key_s) for world, params in worlds.items()}
