"""How the arms of a system that is a study are trained and measured."""

from dataclasses import dataclass

from lts_jax.errors import UserError


@dataclass(frozen=True, slots=True)
class StudySettings:
    """How every arm is trained and measured. Ours, chosen on other seeds than the table's."""

    arms: tuple[str, ...] = ()
    """Which to train; all if none is named."""
    num_seeds: int = 20
    """Controllers of each arm."""
    first_seed: int = 1
    """Of them; the next ones follow."""
    num_updates: int | None = None
    """Optimiser steps of a phase; the system's own if not given."""
    tasks_per_update: int = 8
    """Fresh tasks of an update."""
    num_rollouts: int = 8
    """Rollouts of a task, n of AgeMem (arXiv 2601.01885)."""
    learning_rate: float | None = None
    """Of AdamW without weight decay, at the first update of every phase; it falls to 0 as a cosine. The system's own if
    not given."""
    entropy_weight: float | None = None
    """Of the entropy of actions in the loss, in all phases. The system's own if not given."""
    network: str = "matching"
    """Of every agent, as set_transformer(width=16)."""
    num_evaluation_tasks: int = 200
    """Of every seed, for all arms and rules the same."""

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be meant; the rest is the laboratory's to refuse."""
        for name, least in (("num_seeds", 1), ("num_evaluation_tasks", 1)):
            if getattr(self, name) < least:
                raise UserError(f"{name}: expected at least {least}, got {getattr(self, name)}")
