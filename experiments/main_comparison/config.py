"""Settings of the main comparison: what is trained, on which worlds it is judged, and every line of the table."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lts_jax.systems.train_settings import TrainSettings

GAIN = 0.2  # score that the whole of the runtime without a memory is worth
OURS, PAPER = "admission_value", "lts"
LEARNED = (OURS, PAPER)
COINS = {"coin_as_admission_value": "admission_value", "coin_as_lts": "lts", "coin_as_oracle": "oracle_right"}
"""Coins, and the line whose rate each has."""
RULES = {
    "all": "all",
    "random": "random",
    "recency": "recency",
    "similarity_0.8": "similarity(threshold=0.8)",
    "similarity_best": "",  # the threshold is chosen on validation tasks
    "judge": "judge",
    "orchestrator": "orchestrator",
}
ORACLES = {"oracle_right": "right", "oracle_any": "any"}
"""New right values; new values, right or wrong."""
REFERENCE = "none"
LINES = (REFERENCE, *LEARNED, "similarity_best", *COINS, *ORACLES, "all", "similarity_0.8", "recency", "random")
SIDE_LINES = ("judge", "orchestrator")
"""Run with two rollouts of each task."""


@dataclass(frozen=True, slots=True)
class Config:
    """One of two worlds; an interrupted study goes on in its folder."""

    weaknesses: Literal["omission", "commission"] = "omission"
    """Of the simulated model. With commission calls do not slow each other either: the world of earlier figures."""
    runs: Path = Path("runs/main_comparison")
    results: Path = Path(__file__).parent / "results"
    train_worlds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """World seeds: a controller of each method is trained on each."""
    choose_worlds: tuple[int, ...] = (5, 6)
    """World seeds on whose validation tasks the similarity threshold and the price of an admission are chosen."""
    price_worlds: tuple[int, ...] = (0, 1)
    """World seeds on which a controller of the paper is trained for every price."""
    test_worlds: tuple[int, ...] = (15, 16, 17, 18)
    """World seeds that nothing was trained or chosen on."""
    num_tasks: int = 250
    """Held-out tasks of each test world."""
    num_rollouts: int = 4
    seed: int = 1000


def world(config: Config, world_seed: int) -> TrainSettings:
    """Teams of this study in a world; everything else is the default."""
    settings = TrainSettings(world_seed=world_seed, seed=world_seed)
    settings = replace(settings, model=replace(settings.model, weaknesses=config.weaknesses))
    if config.weaknesses == "commission":
        latency = replace(settings.rollout.latency, contention=0.0)
        settings = replace(settings, rollout=replace(settings.rollout, latency=latency))
    return settings


def training(config: Config, line: str, world_seed: int, price: float | None = None) -> TrainSettings:
    """How a controller is trained: ours on 990 rollouts of 198 tasks, the paper's with its sizes and its inputs.

    `price` is what the paper's objective charges for an admission (lambda), which it does not give.
    """
    settings = world(config, world_seed)
    if line == PAPER:
        assert price is not None, "the paper's price is chosen first"
        learning = replace(settings.learning, sparsity_weight=price)
        return replace(settings, controller="set_transformer(inputs=paper)", learning=learning)
    return replace(
        settings, objective="admission_value", controller="linear", num_tasks=198, num_epochs=1, tasks_per_update=18
    )
