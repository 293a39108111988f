"""Which tasks a run trains on and is tested on: the offline world's, or a public benchmark's, never the same ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Literal

from lts_jax.errors import UserError
from lts_jax.live.benchmarks import BenchmarkSettings, load_benchmark
from lts_jax.records import Task
from lts_jax.systems.world import almanac_tasks

Part = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """Where tasks come from. Of a benchmark, a controller is never tested on a task that it was trained on."""

    source: Literal["offline", "benchmark"] = "offline"  # the offline world has splits of its own
    train: BenchmarkSettings = field(default_factory=BenchmarkSettings)  # AssistantBench's validation split; the paper
    test: BenchmarkSettings = field(default_factory=lambda: BenchmarkSettings("gaia"))  # GAIA's; the paper
    halved: bool = False  # train on one half of the ids and test on the other, where `train` and `test` are the same

    def __post_init__(self) -> None:
        if self.source not in ("offline", "benchmark"):
            raise UserError(f"tasks.source: expected offline or benchmark, got {self.source!r}")
        if self.train.split == "test":
            raise UserError("tasks.train.split: the test split withholds its answers, so nothing can be learned on it")
        if self.halved and (self.train.name, self.train.split) != (self.test.name, self.test.split):
            raise UserError("tasks.halved: expected tasks.train and tasks.test of one benchmark and split")

    @property
    def is_live(self) -> bool:
        """Whether the tasks are a benchmark's."""
        return self.source == "benchmark"


def source_tasks(settings: TaskSettings, world_seed: int, part: Part, num_tasks: int | None = None) -> tuple[Task, ...]:
    """The tasks of a part of the source.

    Of the offline world, `num_tasks` balanced ones. Of a benchmark, the first `num_tasks` of those to train on; the
    validation part, on which thresholds are found, is taken from them too; and all that the settings name to test on.

    Raises:
        UserError: what the benchmark's loader raises, or fewer tasks than asked for.
    """
    if not settings.is_live:
        return almanac_tasks(world_seed, part, num_tasks)
    if part == "test":
        return _halves(load_tasks(settings.test))[1] if settings.halved else load_tasks(settings.test)
    tasks = load_tasks(settings.train)
    tasks = _halves(tasks)[0] if settings.halved else tasks
    if num_tasks is not None and num_tasks > len(tasks):
        raise UserError(f"num_tasks: {settings.train.name} has {len(tasks)} tasks to train on, got {num_tasks}")
    return tasks[:num_tasks]


@lru_cache(maxsize=8)
def load_tasks(settings: BenchmarkSettings) -> tuple[Task, ...]:
    """The benchmark's tasks, loaded once a process."""
    return load_benchmark(settings)


def refuse_leak(trained_on: Sequence[Task], tested_on: Sequence[Task]) -> None:
    """See that no task is on both sides, by id or by the words of its question.

    Raises:
        UserError: how many are, and the first of them.
    """
    known = {task.task_id for task in trained_on} | {_words(task) for task in trained_on}
    leaked = [task.task_id for task in tested_on if task.task_id in known or _words(task) in known]
    if leaked:
        raise UserError(
            f"the controller was trained on {len(leaked)} of the {len(tested_on)} tasks it would be tested on "
            f"(the first is {leaked[0]}); test on others, or train and evaluate on halves with --tasks.halved"
        )


def describe_source(settings: TaskSettings, world_seed: int) -> str:
    """Where the tested tasks come from, in a few words."""
    if not settings.is_live:
        return f"almanac, seed {world_seed}"
    config = f" {settings.test.config}" if settings.test.name == "gaia" else ""
    half = ", the half not trained on" if settings.halved else ""
    return f"{settings.test.name}{config}, {settings.test.split} split{half}"


def _halves(tasks: Sequence[Task]) -> tuple[tuple[Task, ...], tuple[Task, ...]]:
    """Two halves by the digest of the id, so that neither the dataset's order nor the machine decides."""
    ordered = sorted(tasks, key=lambda task: blake2b(task.task_id.encode(), digest_size=8).digest())
    first = {task.task_id for task in ordered[: len(ordered) // 2]}
    return (
        tuple(task for task in tasks if task.task_id in first),
        tuple(task for task in tasks if task.task_id not in first),
    )


def _words(task: Task) -> str:
    return " ".join(task.question.lower().split())
