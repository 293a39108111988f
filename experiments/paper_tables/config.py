"""What to run of the paper's tables, on which model, at what cost."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from rows import AB, ROWS, Objective, Row

from lts_jax.errors import UserError
from lts_jax.evaluation.evaluate import EvaluationSettings
from lts_jax.live.benchmarks import BenchmarkSettings, Split
from lts_jax.live.task_tools import ToolChoice, search_settings
from lts_jax.llm.budget import BudgetSettings, Price
from lts_jax.memory.guards import GuardSettings
from lts_jax.memory.summarize import SummarySettings
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.comparison import REFERENCE, ComparisonSettings
from lts_jax.systems.lts import TrainSettings
from lts_jax.systems.task_source import TaskSettings
from lts_jax.systems.world import ModelSettings
from lts_jax.teams.settings import TeamSettings

CREDIT: dict[Objective, str] = {"no_usage": "usage_aware(usage_weight=0)"}  # of the others, the method's
SPARSITY_WEIGHT: dict[Objective, float] = {"no_sparsity": 0.0}
SIMULATED = "simulated"


@dataclass(frozen=True, slots=True)
class Config:
    """Rows of the paper's tables on any OpenAI-compatible endpoint, or whole on the simulated model.

    Says what it will cost and asks, before anything is spent. Interrupted, the same command goes on and repeats no
    finished call. Rows that share rollouts run them once.
    """

    row: tuple[str, ...] = ()
    """Names of rows, or of tables: table1 to table4, teams, summary, decides, all. Without any, names are told."""
    simulated: bool = False
    """Run on the simulated model, virtual time and offline tasks instead: every path, no cost, other numbers."""
    endpoint: str | None = None
    """Base URL of the endpoint; None is OpenAI's own. The key stands in OPENAI_API_KEY."""
    model: str = ""
    """Name of the model at the endpoint."""
    price: Price = field(default_factory=Price)
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    """Of everything below `runs` together; what is stored there counts."""
    search: str = ""
    """Address of a SearXNG's search, or brave (with its key in BRAVE_API_KEY)."""
    train_on: Literal["assistantbench", "offline"] = "assistantbench"
    """Where controllers are trained: AssistantBench's validation split with this model (the paper: 825 rollouts), or
    the offline world with the simulated model, which costs nothing."""
    assistantbench_split: Split = "test"
    """The paper tests on the test split, scored by its leaderboard. Validation is scored here, for rules alone."""
    assistantbench_source: str = ""
    """Folder or hub id of AssistantBench; by default its own place on the hub."""
    gaia_source: str = ""
    """Folder or hub id of GAIA; by default its own place on the hub."""
    num_tasks: int | None = None
    """Tasks of each setup; None: all of a benchmark, 60 simulated ones."""
    num_seeds: int = 1
    """Rollouts of each task and row."""
    num_in_flight: int = 16
    """Rollouts that run side by side."""
    max_rounds: int = 30
    """Rounds of a team."""
    num_epochs: int = 5
    """Passes of a controller's training over its tasks."""
    num_train_tasks: int = 33
    """Tasks that a controller is trained on."""
    tools: ToolChoice = field(default_factory=lambda: ToolChoice("live"))
    """Of real models; simulated rows use the offline world's."""
    runs: Path = Path("runs/paper_tables")
    results: Path = Path(__file__).parent / "results"
    yes: bool = False
    """Do not ask before spending."""

    def __post_init__(self) -> None:
        if self.row and not self.simulated and not self.model:
            raise UserError("expected --model (and --endpoint, if it is not OpenAI's), or --simulated")
        if self.simulated and (self.model or self.endpoint):
            raise UserError("--simulated takes neither --model nor --endpoint")

    @property
    def model_name(self) -> str:
        """The model's name, as folders and results bear it."""
        return SIMULATED if self.simulated else self.model

    @property
    def folder(self) -> Path:
        """Where the runs of this model lie."""
        return self.runs / "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in self.model_name)


def chosen_rows(names: tuple[str, ...]) -> dict[str, Row]:
    """Rows by name, or all of a table, in the order of `ROWS`.

    Raises:
        UserError: an unknown name.
    """
    tables = {name.partition("_")[0] for name in ROWS} | {"all"}
    unknown = [name for name in names if name not in ROWS and name not in tables]
    if unknown:
        raise UserError(f"row: expected some of {', '.join((*sorted(tables), *ROWS))}, got {unknown[0]!r}")
    return {name: row for name, row in ROWS.items() if {"all", name, name.partition("_")[0]} & set(names)}


def model_settings(config: Config, budget: BudgetSettings) -> ModelSettings:
    """The model that teams work with; its finished calls are kept, for all rows together."""
    if config.simulated:
        return ModelSettings()
    return ModelSettings(
        name=config.model,
        base_url=config.endpoint,
        record_folder=str(config.folder / "calls"),
        price=config.price,
        budget=budget,
    )


def training_settings(config: Config, objective: Objective, budget: BudgetSettings) -> TrainSettings:
    """The training of the controller of an objective: three teams, the paper's sizes."""
    base = TrainSettings(
        num_tasks=config.num_train_tasks,
        num_epochs=config.num_epochs,
        rollout=RolloutSettings(team=TeamSettings(max_rounds=config.max_rounds)),
    )
    sparsity_weight = SPARSITY_WEIGHT.get(objective, base.learning.sparsity_weight)
    learning = replace(base.learning, sparsity_weight=sparsity_weight)
    base = replace(base, learning=learning, credit=CREDIT.get(objective, base.credit))
    if config.simulated or config.train_on == "offline":
        return base
    return replace(
        base,
        model=model_settings(config, budget),
        tools=_tools(config),
        tasks=TaskSettings("benchmark", train=BenchmarkSettings(source=config.assistantbench_source)),
        collect=replace(base.collect, num_in_flight=config.num_in_flight),
    )


def setup_settings(config: Config, row: Row, budget: BudgetSettings) -> TrainSettings:
    """World, model and teams of a row's setup."""
    training = training_settings(config, row.objective, budget)
    rollout = replace(training.rollout, num_teams=row.num_teams)
    if row.summary_words != rollout.summary.max_words:
        rollout = replace(
            rollout,
            summary=SummarySettings(max_words=row.summary_words),
            guards=GuardSettings(max_key_characters=15 * row.summary_words),
        )
    training = replace(training, rollout=rollout, model=model_settings(config, budget))
    if config.simulated:  # for GAIA, on which nothing is trained, stands a world in which nothing was
        return replace(training, world_seed=int(row.benchmark != AB))
    source = config.assistantbench_source if row.benchmark == AB else config.gaia_source
    split: Split = config.assistantbench_split if row.benchmark == AB else "validation"
    tested = BenchmarkSettings(row.benchmark, split, source=source, num_tasks=config.num_tasks)
    return replace(training, tools=_tools(config), tasks=TaskSettings("benchmark", test=tested))


def comparison_settings(config: Config, policies: tuple[str, ...]) -> ComparisonSettings:
    """The reference and these lines."""
    evaluation = EvaluationSettings(config.num_tasks or 60, config.num_seeds, num_in_flight=config.num_in_flight)
    return ComparisonSettings(policies=tuple(dict.fromkeys((REFERENCE, *policies))), evaluation=evaluation)


def _tools(config: Config) -> ToolChoice:
    live = config.tools.live
    return replace(config.tools, live=replace(live, search=search_settings(config.search, live.search)))
