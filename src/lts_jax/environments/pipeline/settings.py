"""Sizes of the pipeline, who acts when, and the numbers it depends on."""

from dataclasses import dataclass, fields
from functools import cached_property

import jax
import numpy as np

from lts_jax.actions import ACTIONS
from lts_jax.environments.desk.settings import CODE_WIDTH, check_drawer, check_stream
from lts_jax.errors import UserError

AGENTS = ("extraction", "profile", "retrieval")
"""Axis K: what CoMAM (arXiv 2603.12631) calls its three agents."""

EXTRACTION, PROFILE, RETRIEVAL = range(len(AGENTS))


@dataclass(frozen=True)
class PipelineShape:
    """Sizes of arrays. Another value compiles another program."""

    num_teams: int = len(AGENTS)  # K
    num_stored: int = 24  # events of stage 1
    num_distractors: int = 12  # events of stage 2
    upkeep_every: int = 8  # events between two turns of the profile agent (CoMAM's setting as we read it)
    upkeep_rounds: int = 3  # actions of such a turn; ours
    num_retrieved: int = 3  # k, entries that the retrieval agent points at
    num_slots: int = 8  # C, newest events that the profile agent has before it
    num_entries: int = 24  # N, additions and replacements: the drawer's 12, and one for each upkeep action at most
    embedding_width: int = CODE_WIDTH  # D

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be built."""
        for item in fields(self):
            if getattr(self, item.name) < 1:
                raise UserError(f"shape.{item.name}: expected at least 1, got {getattr(self, item.name)}")
        fixed = {"embedding_width": CODE_WIDTH, "num_teams": len(AGENTS)}
        for name, expected in fixed.items():
            if getattr(self, name) != expected:
                raise UserError(f"shape.{name}: expected {expected}, got {getattr(self, name)}")
        if self.num_retrieved > self.num_slots:
            raise UserError(f"shape.num_retrieved: expected at most num_slots = {self.num_slots}")

    @property
    def num_events(self) -> int:
        """Facts and small talk of a rollout."""
        return self.num_stored + self.num_distractors

    @property
    def num_upkeeps(self) -> int:
        """Turns of the profile agent."""
        return self.num_events // self.upkeep_every

    @property
    def steps_of_agents(self) -> tuple[int, int, int]:
        """Actions of each agent in a rollout."""
        return self.num_events, self.num_upkeeps * self.upkeep_rounds, self.num_retrieved

    @property
    def agents(self) -> tuple[tuple[str, int], ...]:
        """Who decides along axis K, each by a policy of its own, and in how many steps."""
        return tuple(zip(AGENTS, self.steps_of_agents, strict=True))

    @property
    def max_steps(self) -> int:
        """T."""
        return max(self.steps_of_agents)

    @property
    def num_step_tokens(self) -> int:
        """S: the newest events, and what is going on."""
        return self.num_slots + 1

    @property
    def num_targets(self) -> int:
        """J: entries of the drawer, then slots of the context."""
        return self.num_entries + self.num_step_tokens

    @property
    def num_actions(self) -> int:
        """A."""
        return len(ACTIONS)

    @cached_property
    def agent_of_step(self) -> np.ndarray:
        """i32[steps of a rollout] who acts: the same in every rollout."""
        order: list[int] = []
        for number in range(self.num_events):
            order.append(EXTRACTION)
            if (number + 1) % self.upkeep_every == 0:
                order += [PROFILE] * self.upkeep_rounds
        return np.asarray(order + [RETRIEVAL] * self.num_retrieved, np.int32)

    @cached_property
    def place_of_step(self) -> np.ndarray:
        """i32[steps of a rollout] agent * T + number of the agent's action."""
        agent = self.agent_of_step
        number = np.cumsum(agent[:, None] == np.arange(self.num_teams), axis=0)[np.arange(len(agent)), agent] - 1
        return (agent * self.max_steps + number).astype(np.int32)

    @cached_property
    def event_of_step(self) -> np.ndarray:
        """i32[steps of a rollout] number of the newest event."""
        return np.cumsum(self.agent_of_step == EXTRACTION).astype(np.int32) - 1


LEARNS, BY_RULE, FROZEN = 0.0, 1.0, 2.0
"""How an agent acts: with parameters that learn; by the rule of `pipeline.rules`; with parameters that stay."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PipelineParams:
    """Numbers of the stream, of the drawer and of who learns, each a traced scalar. All are ours."""

    has_memory: float = 1.0  # 0: nothing can be put into the drawer
    statement_probability: float = 0.35  # an event of stage 1 states a fact
    restatement_probability: float = 0.1  # it says again what was said
    correction_probability: float = 0.15  # it supersedes what was said; the rest is small talk
    stranger_probability: float = 1 / 3  # an event of stage 2 is a fact of a stranger that looks alike
    two_facts_probability: float = 0.5  # the question asks for two facts instead of one
    drawer_slots: float = 12.0  # entries that the drawer holds at a time; a full one refuses another
    noise: float = 0.1  # standard deviation of every component of a vector, in units of a code's
    stranger_cue: float = 1.0  # how visible it is that a fact is a stranger's; 0 hides it
    extraction_acts: float = LEARNS  # 0 learns, 1 by its rule, 2 with parameters that stay as they are
    profile_acts: float = LEARNS
    retrieval_acts: float = LEARNS


def check_params(params: PipelineParams, shape: PipelineShape) -> None:
    """Refuse numbers that cannot be meant. For plain numbers, before anything is traced."""
    for name in (f"{agent}_acts" for agent in AGENTS):
        if getattr(params, name) not in (LEARNS, BY_RULE, FROZEN):
            raise UserError(f"world.{name}: expected 0, 1 or 2, got {getattr(params, name):g}")
    check_stream(params)
    check_drawer(params, shape.num_entries)
