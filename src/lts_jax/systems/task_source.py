"""Which tasks a run trains on and is tested on, never the same: the offline world's, a benchmark's, a file's."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from lts_jax.errors import UserError, show
from lts_jax.live.benchmarks import BenchmarkSettings, load_benchmark
from lts_jax.records import Task
from lts_jax.systems.world import almanac_tasks
from lts_jax.tasks.own import question_words, read_fields, read_tasks, split_tasks

Part = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """Where tasks come from. A controller is never tested on a task that it was trained on."""

    source: Literal["offline", "benchmark", "file"] = "offline"  # a file that is given is the source
    train: BenchmarkSettings = field(default_factory=BenchmarkSettings)  # AssistantBench's validation split; the paper
    test: BenchmarkSettings = field(default_factory=lambda: BenchmarkSettings("gaia"))  # GAIA's; the paper
    halved: bool = False  # train on one half of the ids and test on the other, where `train` and `test` are the same
    file: str = ""  # of your own tasks: FILE.jsonl, .csv or .parquet, or a `datasets` id (owner/name:config:split)
    fields: str = ""  # its columns, where they are not question, answer, id, difficulty, files: question=q,answer=a
    scorer: str = "assistantbench"  # of the file's answers: assistantbench, gaia, exact, f1, or mine.py:function
    fractions: tuple[float, float, float] = (
        0.6,
        0.2,
        0.2,
    )  # of its questions: to train on, find thresholds on, test on
    split_seed: int = 0  # another seed, other questions on each side

    def __post_init__(self) -> None:
        if self.source not in ("offline", "benchmark", "file"):
            raise UserError(f"tasks.source: expected offline, benchmark or file, got {show(self.source)}")
        if self.file and self.source == "offline":
            object.__setattr__(self, "source", "file")
        if bool(self.file) != (self.source == "file"):
            raise UserError(f"tasks.file: expected one with tasks.source file alone, got {show(self.file)}")
        if not self.file and (self.fields or self.scorer != "assistantbench"):
            raise UserError("tasks.fields, tasks.scorer: expected with tasks.file alone")
        read_fields(self.fields)
        if not all(0.0 <= each <= 1.0 for each in self.fractions) or abs(sum(self.fractions) - 1.0) > 1e-6:
            raise UserError(f"tasks.fractions: expected three fractions that add up to 1, got {self.fractions}")
        if self.train.split == "test":
            raise UserError("tasks.train.split: the test split withholds its answers, so nothing can be learned on it")
        if self.halved and (self.train.name, self.train.split) != (self.test.name, self.test.split):
            raise UserError("tasks.halved: expected tasks.train and tasks.test of one benchmark and split")

    @property
    def is_live(self) -> bool:
        """Whether the tasks are foreign to the offline world: a benchmark's, or a file's."""
        return self.source != "offline"

    @property
    def foreign(self) -> str:
        """The setting that chose foreign tasks, for a message; empty for the offline world's."""
        return {"file": f"tasks.file {self.file}", "benchmark": "tasks.source benchmark"}.get(self.source, "")


def source_tasks(settings: TaskSettings, world_seed: int, part: Part, num_tasks: int | None = None) -> tuple[Task, ...]:
    """The tasks of a part of the source.

    Of the offline world, `num_tasks` balanced ones. Of a benchmark, the first `num_tasks` of those to train on; the
    validation part, on which thresholds are found, is taken from them too; and all that the settings name to test on.
    Of a file, the first `num_tasks` of its part to train on, at most so many to find thresholds on, and all to test on.

    Raises:
        UserError: what the loaders raise, or fewer tasks than asked for.
    """
    if settings.source == "offline":
        return almanac_tasks(world_seed, part, num_tasks)
    if settings.source == "file":
        return _own_part(settings, part, num_tasks)
    if part == "test":
        return _halves(load_tasks(settings.test))[1] if settings.halved else load_tasks(settings.test)
    tasks = load_tasks(settings.train)
    tasks = _halves(tasks)[0] if settings.halved else tasks
    if num_tasks is not None and num_tasks > len(tasks):
        raise UserError(f"num_tasks: {settings.train.name} has {len(tasks)} tasks to train on, got {num_tasks}")
    return tasks[:num_tasks]


def _own_part(settings: TaskSettings, part: Part, num_tasks: int | None) -> tuple[Task, ...]:
    tasks = _own_tasks(settings.file, settings.fields, settings.scorer, _stamp(settings.file))
    found = split_tasks(tasks, settings.fractions, settings.split_seed)[part]
    if part == "train" and num_tasks is not None and num_tasks > len(found):
        raise UserError(
            f"num_tasks: {settings.file} has {len(found)} tasks to train on (of {len(tasks)}), got {num_tasks}"
        )
    if not found:
        raise UserError(f"tasks.fractions: {settings.file} has no task on the side {part!r}, of {settings.fractions}")
    return found if part == "test" else found[:num_tasks]


@lru_cache(maxsize=8)
def _own_tasks(file: str, fields: str, scorer: str, stamp: tuple[int, int]) -> tuple[Task, ...]:
    """The file's tasks, read once a process until the file changes."""
    return read_tasks(file, fields=fields, scorer=scorer)


def _stamp(file: str) -> tuple[int, int]:
    """Size and time of a file; zeros for what is none."""
    try:
        found = Path(file).expanduser().stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=8)
def load_tasks(settings: BenchmarkSettings) -> tuple[Task, ...]:
    """The benchmark's tasks, loaded once a process."""
    return load_benchmark(settings)


def refuse_leak(trained_on: Sequence[Task], tested_on: Sequence[Task]) -> None:
    """See that no task is on both sides, by id or by the words of its question.

    Raises:
        UserError: how many are, and the first of them.
    """
    ids, questions = ({task.task_id for task in trained_on}, {question_words(task.question) for task in trained_on})
    leaked = [task.task_id for task in tested_on if task.task_id in ids or question_words(task.question) in questions]
    if leaked:
        raise UserError(
            f"the controller was trained on {len(leaked)} of the {len(tested_on)} tasks it would be tested on "
            f"(the first is {leaked[0]}); test on others, or train and evaluate on halves with --tasks.halved"
        )


def describe_source(settings: TaskSettings, world_seed: int) -> str:
    """Where the tested tasks come from, in a few words."""
    if settings.source == "offline":
        return f"almanac, seed {world_seed}"
    if settings.source == "file":
        return f"{settings.file}, {settings.fractions[2]:.0%} of its questions (seed {settings.split_seed})"
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
