"""The public benchmarks by name, as one record of settings: which one, which part of it, from where."""

from dataclasses import dataclass
from typing import Literal, get_args

from lts_jax.errors import UserError
from lts_jax.live.datasets import load_assistantbench, load_gaia
from lts_jax.records import Task

Benchmark = Literal["gaia", "assistantbench"]
Split = Literal["validation", "test"]
GaiaConfig = Literal["2023_all", "2023_level1", "2023_level2", "2023_level3"]


@dataclass(frozen=True, slots=True)
class BenchmarkSettings:
    """Tasks of a public benchmark. The test splits' answers are withheld: they are answered, never scored here."""

    name: Benchmark = "assistantbench"
    split: Split = "validation"
    config: GaiaConfig = "2023_all"
    """Part of GAIA: all levels, or one. AssistantBench has only the whole."""
    source: str = ""
    """Folder of the hub's layout, or a hub id; by default the benchmark's own place on the Hugging Face hub."""
    revision: str | None = None
    """Commit, branch or tag on the hub; its newest state by default."""
    num_tasks: int | None = None
    """Only the first so many tasks; None: all."""

    def __post_init__(self) -> None:
        for field, choices in (("name", Benchmark), ("split", Split), ("config", GaiaConfig)):
            if getattr(self, field) not in get_args(choices):
                raise UserError(
                    f"benchmark.{field}: expected one of {', '.join(get_args(choices))}, got {getattr(self, field)!r}"
                )
        if self.name == "assistantbench" and self.config != "2023_all":
            raise UserError(f"benchmark.config: AssistantBench has no levels to choose, got {self.config!r}")
        if self.num_tasks is not None and self.num_tasks < 1:
            raise UserError(f"benchmark.num_tasks: expected at least 1, got {self.num_tasks}")


def load_benchmark(settings: BenchmarkSettings) -> tuple[Task, ...]:
    """The tasks that the settings name, in the dataset's order.

    Raises:
        UserError: what the loaders raise (see `datasets`), or fewer tasks than asked for.
    """
    where = {"source": settings.source} if settings.source else {}
    if settings.name == "gaia":
        tasks = load_gaia(**where, config=settings.config, split=settings.split, revision=settings.revision)
    else:
        tasks = load_assistantbench(**where, split=settings.split, revision=settings.revision)
    if settings.num_tasks is not None and len(tasks) < settings.num_tasks:
        raise UserError(f"benchmark.num_tasks: expected at most {len(tasks)}, got {settings.num_tasks}")
    return tasks[: settings.num_tasks]
