"""What `lts system simplemem` compresses, and how it is measured."""

from dataclasses import dataclass, field
from typing import Literal

from lts_jax.errors import UserError
from lts_jax.memory.fact_memory import FactSettings
from lts_jax.memory.hybrid import HybridSettings


@dataclass(frozen=True, slots=True)
class SimplememSettings:
    """SimpleMem, arXiv 2601.02553, on streams of the offline world's tasks; thresholds chosen on validation tasks."""

    facts: FactSettings = field(default_factory=FactSettings)
    """Gate, merging and upkeep."""
    reading: HybridSettings = field(default_factory=HybridSettings)
    """Weights, views, depth and rounds of reflection."""
    world_seed: int = 0
    """Of the offline world."""
    split: Literal["train", "validation", "test"] = "test"
    """Whose tasks; no memory meets two splits."""
    stream_tasks: int = 30
    """Tasks that one memory lives through; a question is asked when all of them were worked on."""
    num_streams: int = 12
    """Memories, each of other tasks."""
    num_seeds: int = 3
    """Of the simulated extractor's slips."""
    first_seed: int = 1
    """Of them; the next ones follow."""
    slips: float = 0.02
    """Share of statements that the simulated extractor overlooks, and of the others that it misreads; and of windows
    for which it makes one up. An assumption, varied in a table."""
    max_value_characters: int = 2500
    """Of a raw value; a longer one is cut in the middle, as the bank of a team does."""
    rollout_tasks: int = 60
    """Tasks that teams work on with raw values and with facts; 0 leaves that part out."""
    worlds: tuple[str, ...] = ("omission", "commission")
    """Weaknesses of these teams."""

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be meant."""
        if self.split not in ("train", "validation", "test"):
            raise UserError(f"split: expected train, validation or test, got {self.split!r}")
        least = {"stream_tasks": 1, "num_streams": 1, "num_seeds": 1, "max_value_characters": 1, "rollout_tasks": 0}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise UserError(f"{name}: expected at least {bound}, got {getattr(self, name)}")
        if not 0.0 <= self.slips <= 1.0:
            raise UserError(f"slips: expected in [0, 1], got {self.slips}")
