"""What a desk depends on: sizes that shape the program, and numbers that are traced through it."""

from dataclasses import dataclass, fields
from typing import Any

import jax

from lts_jax.actions import ACTIONS
from lts_jax.errors import UserError

NUM_SUBJECTS, NUM_RELATIONS, NUM_VALUES = 8, 4, 16
NUM_ATTRIBUTES = NUM_SUBJECTS * NUM_RELATIONS
NUM_FACTS = 3  # that a summary can hold
CODE_WIDTH = 32  # what codes of a fact take: subject, relation, value, time, kind


@dataclass(frozen=True, slots=True)
class DeskShape:
    """Sizes of arrays. Another value compiles another program. The defaults are AgeMem's, where it says."""

    num_teams: int = 1  # K, who decides; one policy in AgeMem (arXiv 2601.01885)
    num_stored: int = 24  # events of stage 1
    num_distractors: int = 12  # events of stage 2
    block_size: int = 4  # events between two times to act
    rounds: int = 5  # actions after each block, and in stage 3 (AgeMem: up to 5)
    num_slots: int = 8  # C, of the context; one more, and the oldest falls out
    num_entries: int = 32  # N, additions and replacements that one rollout can number
    retrieve_top: int = 5  # entries that a retrieval brings (AgeMem's release)
    embedding_width: int = CODE_WIDTH  # D

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be built."""
        for item in fields(self):
            if getattr(self, item.name) < 1:
                raise UserError(f"shape.{item.name}: expected at least 1, got {getattr(self, item.name)}")
        for name in ("num_stored", "num_distractors"):
            if getattr(self, name) % self.block_size:
                raise UserError(
                    f"shape.{name}: expected a multiple of block_size = {self.block_size}, got {getattr(self, name)}"
                )
        if self.embedding_width != CODE_WIDTH:
            raise UserError(f"shape.embedding_width: expected {CODE_WIDTH}, got {self.embedding_width}")
        if self.num_teams != 1:
            raise UserError(f"shape.num_teams: expected 1, got {self.num_teams}")

    @property
    def num_blocks(self) -> int:
        """Times to act before the question."""
        return (self.num_stored + self.num_distractors) // self.block_size

    @property
    def max_steps(self) -> int:
        """T, actions of a rollout."""
        return self.rounds * (self.num_blocks + 1)

    @property
    def num_events(self) -> int:
        """Facts and small talk of a rollout."""
        return self.num_stored + self.num_distractors

    @property
    def num_step_tokens(self) -> int:
        """Vectors before the one who decides: the slots of the context, and what is going on."""
        return self.num_slots + 1

    @property
    def num_targets(self) -> int:
        """J, what an action may point at: entries of the drawer, then slots of the context."""
        return self.num_entries + self.num_step_tokens

    @property
    def num_actions(self) -> int:
        """A."""
        return len(ACTIONS)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class DeskParams:
    """Numbers of the stream and of the drawer, each a traced scalar: sweep and vmap any of them. All are ours."""

    has_memory: float = 1.0  # 0: nothing can be put into the drawer
    statement_probability: float = 0.35  # an event of stage 1 states a fact
    restatement_probability: float = 0.1  # it says again what was said
    correction_probability: float = 0.15  # it supersedes what was said; the rest is small talk
    stranger_probability: float = 1 / 3  # an event of stage 2 is a fact of a stranger that looks alike
    two_facts_probability: float = 0.5  # the question asks for two facts instead of one
    drawer_slots: float = 12.0  # entries that the drawer holds at a time; a full one refuses another
    noise: float = 0.1  # standard deviation of every component of a vector, in units of a code's
    stranger_cue: float = 1.0  # how visible it is that a fact is a stranger's; 0 hides it
    task_weight: float = 0.5  # of the answer in the reward; this and the next four as in AgeMem's release
    tools_weight: float = 0.2  # of how many and which tools were called
    context_weight: float = 0.15  # of how short and how whole the context is at the end
    memory_weight: float = 0.15  # of what was stored, kept in order, and retrieved
    penalty_weight: float = 1.0  # of -1 without an answer, -1 at the last round, -.5 for an overflow
    from_last_context: float = 0.0  # 1: memory and tools count from the clearing of the context on, as in the release


def check_params(params: DeskParams, shape: DeskShape) -> None:
    """Refuse numbers that cannot be meant. For plain numbers, before anything is traced.

    Raises:
        UserError: naming the field, what was expected and what was given.
    """
    check_stream(params)
    check_drawer(params, shape.num_entries)


def check_stream(params: Any) -> None:
    """Refuse a number that is out of its range, and kinds of events that add up to more than all."""
    fractions = ("has_memory", "from_last_context")
    for item in fields(params):
        value, is_fraction = getattr(params, item.name), item.name.endswith("_probability") or item.name in fractions
        if is_fraction and not 0 <= value <= 1:
            raise UserError(f"world.{item.name}: expected from 0 to 1, got {value:g}")
        if not value >= 0:
            raise UserError(f"world.{item.name}: expected at least 0, got {value:g}")
    total = params.statement_probability + params.restatement_probability + params.correction_probability
    if total > 1:
        raise UserError(
            f"world.statement_probability: expected at most 1 with restatements and corrections, got {total:g}"
        )


def check_drawer(params: Any, num_entries: int) -> None:
    """Refuse a drawer that is larger than what a rollout can number."""
    if not 1 <= params.drawer_slots <= num_entries:
        given = params.drawer_slots
        raise UserError(f"world.drawer_slots: expected from 1 to shape.num_entries = {num_entries}, got {given:g}")
