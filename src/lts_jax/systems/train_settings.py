"""Everything a training run on text teams depends on, as one record of plain values."""

from dataclasses import dataclass, field
from typing import Literal

from lts_jax.bridge.collate import CollateSettings
from lts_jax.credit.schemes import scheme
from lts_jax.errors import UserError
from lts_jax.learning.objective_parts import AdmissionValue, make_objective, objective_part
from lts_jax.learning.settings import LearningSettings
from lts_jax.live.task_tools import ToolChoice
from lts_jax.memory.encoder_parts import encoder_part
from lts_jax.memory.making_readers import reader_part
from lts_jax.memory.readers import SELECT
from lts_jax.models.networks import network_part
from lts_jax.models.qwen3_folder import MeshSettings, Qwen3ControllerSettings
from lts_jax.rollouts.collect import CollectSettings
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.task_source import TaskSettings
from lts_jax.systems.world import ModelSettings

PADDING = 32  # padded sizes are multiples of it, so that runs of nearly equal settings share programs


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Everything a training run depends on. Defaults are the paper's where it gives one; a part is named by a call."""

    seed: int = 0  # of every random number of the run
    world_seed: int = 0  # of the offline world
    num_tasks: int = 33  # training tasks; the paper has the 33 of AssistantBench's development split
    num_epochs: int = 5  # passes over the training tasks; the paper
    tasks_per_update: int = 3  # task groups per optimiser step; the paper does not say, ours
    credit: str = "usage_aware"  # a scheme, as usage_aware(usage_weight=0.3) or mine.py:function; `lts parts` has all
    objective: str = "policy_gradient"  # the paper's, with that credit; or admission_value, which asks no scheme
    rollout: RolloutSettings = field(default_factory=RolloutSettings)
    collect: CollectSettings = field(default_factory=CollectSettings)
    learning: LearningSettings = field(default_factory=LearningSettings)
    controller: str = (
        "set_transformer"  # a network, as set_transformer(width=64) or mine.py:Class; the paper's is qwen3
    )
    qwen3: Qwen3ControllerSettings = field(default_factory=Qwen3ControllerSettings)
    encoder: str = "hashing"  # of texts, as hashing(width=512) or qwen3(folder=FOLDER), which is the paper's
    reading: str = "select"  # what chooses among shared values, as cosine(top=2) or mine.py:function; the model's call
    encoder_store: str | None = None  # file that keeps vectors between runs; each text is then encoded once
    mesh: MeshSettings = field(default_factory=MeshSettings)
    own_pulls_count: bool = False  # whether a team's pull of its own entry counts as use; open in the paper
    merged_credit: Literal["equal", "full"] = "equal"  # a merged entry's use: split among its writers, or each in full
    model: ModelSettings = field(default_factory=ModelSettings)
    tasks: TaskSettings = field(default_factory=TaskSettings)
    tools: ToolChoice = field(default_factory=ToolChoice)

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise UserError(f"seed: expected from 0 to 2^32 - 1, got {self.seed}")
        for name in ("num_tasks", "num_epochs", "tasks_per_update"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.merged_credit not in ("equal", "full"):
            raise UserError(f"merged_credit: expected equal or full, got {self.merged_credit!r}")
        if self.num_tasks % self.tasks_per_update:
            raise UserError(
                f"num_tasks: expected a multiple of tasks_per_update = {self.tasks_per_update}, got {self.num_tasks}"
            )
        per_pass = self.learning.tasks_per_pass or self.tasks_per_update
        if self.tasks_per_update % per_pass:
            raise UserError(
                f"learning.tasks_per_pass: expected a divisor of tasks_per_update = {self.tasks_per_update}, "
                f"got {per_pass}"
            )
        if per_pass % self.mesh.data:
            raise UserError(
                f"mesh.data: expected a divisor of the {per_pass} tasks of an update or pass, got {self.mesh.data}"
            )
        if self.controller == "qwen3" and self.qwen3.key_window < self.padding.max_entries:
            raise UserError(
                f"qwen3.key_window: expected at least {self.padding.max_entries}, the padded keys of a rollout, "
                f"got {self.qwen3.key_window}"
            )
        # The canonical text of a part is its name in the run folder: equal parts make equal runs.
        object.__setattr__(self, "credit", scheme(self.credit).text)
        object.__setattr__(self, "objective", objective_part(self.objective).text)
        if isinstance(make_objective(self.objective), AdmissionValue) and self.learning.tasks_per_pass:
            raise UserError(
                "learning.tasks_per_pass: expected 0 for admission_value, which takes a batch whole, "
                f"got {self.learning.tasks_per_pass}"
            )
        object.__setattr__(self, "controller", network_part(self.controller).text)
        object.__setattr__(self, "encoder", encoder_part(self.encoder).text)
        object.__setattr__(self, "reading", reader_part(self.reading).text)
        if self.reading != SELECT and self.rollout.reading.by == "code":
            raise UserError(f"reading: expected {SELECT} where rollout.reading.by is code, got {self.reading}")

    @property
    def virtual_time(self) -> bool:
        """Whether nothing takes real time: the simulated model, and no live tools."""
        return self.model.is_simulated and not self.tools.is_live

    @property
    def num_iterations(self) -> int:
        """Updates of the whole run."""
        return self.num_epochs * self.num_tasks // self.tasks_per_update

    @property
    def padding(self) -> CollateSettings:
        """Padded sizes that hold any rollout of these settings."""
        num_steps = self.rollout.team.most_steps
        num_entries = self.rollout.num_teams * num_steps
        return CollateSettings(
            _round_up(num_steps),
            _round_up(num_entries),
            self.own_pulls_count,
            lives=self.rollout.values == "merged",
            merged_credit=self.merged_credit,
        )


def _round_up(count: int) -> int:
    return -(-count // PADDING) * PADDING
