"""Settings of a team and of K teams side by side. Defaults are the papers' where they give one."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from lts_jax.teams.routing import RoutingSettings
from lts_jax.wording import LedgerForm

StallSemantics = Literal["agent_framework", "autogen"]
Stored = Literal["steps", "messages"]
ParallelMode = Literal["all", "first", "quorum"]


@dataclass(frozen=True, slots=True)
class TeamSettings:
    """How one team runs.

    `stall_semantics` chooses between the two released orchestrators. "autogen": re-plan when the stall counter reaches
    `max_stalls`, the counter is not reset by a re-plan (so each further stalled round re-plans at once), and
    `max_rounds` + 1 rounds run. "agent_framework": re-plan when the counter exceeds `max_stalls`, a re-plan resets it,
    and `max_rounds` rounds run. Both rewrite facts and plan from the old thread before it is cleared.
    """

    max_rounds: int = 30
    """Rounds (progress checks); one that ends in a re-plan counts too. 30 in the paper."""

    max_stalls: int = 3
    """Stall counter at which a team re-plans. 3 in both released orchestrators."""

    max_replans: int | None = 3
    """Re-plans before the team is asked for its answer; None: no limit, as in AutoGen. Ours."""

    max_ledger_attempts: int = 3
    """Calls for one ledger before the rule takes over. AutoGen tries 10 times without saying what was wrong and then
    ends the run; with the problem shown, and a rule after it, three calls are enough (Agent Framework's number)."""

    ledger_form: LedgerForm = "full"
    """How the ledger is asked for: "full", five answers with a reason each, as in Magentic-One; or "short", five bare
    answers, for models that are too small to keep to that."""

    stall_semantics: StallSemantics = "agent_framework"
    """Whose stall counter and round test."""

    persist_values: bool = True
    """Pulled values stay in the thread until it is cleared; otherwise for one step. The paper leaves it open."""

    viewport_characters: int = 4_000
    """Characters of a tool's text kept in a worker's output."""

    report_characters: int = 8_000
    """Characters of a tool's text that a worker reads when it writes its report."""

    max_told_rounds: int = 5
    """Rounds in which a team that keeps a memory may keep what it is told before the question; they are among
    `max_rounds`, and at most half of them. 5 in AgeMem."""

    routing: RoutingSettings = field(default_factory=RoutingSettings)
    """What of the thread a worker is shown. All of it in Magentic-One."""

    stored: Stored = "steps"
    """What is offered to the shared memory: "steps", each worker's turn, as in the paper; or "messages", also every
    plan, instruction and final answer of the orchestrator, as in the authors' early public code."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        _at_least("max_rounds", self.max_rounds, 1)
        _at_least("max_told_rounds", self.max_told_rounds, 0)
        _at_least("max_stalls", self.max_stalls, 1)
        if self.max_replans is not None:
            _at_least("max_replans", self.max_replans, 0)
        _at_least("max_ledger_attempts", self.max_ledger_attempts, 1)
        _at_least("viewport_characters", self.viewport_characters, 0)
        _at_least("report_characters", self.report_characters, 1)
        _one_of("stall_semantics", self.stall_semantics, get_args(StallSemantics))
        _one_of("stored", self.stored, get_args(Stored))
        _one_of("ledger_form", self.ledger_form, get_args(LedgerForm))

    @property
    def most_steps(self) -> int:
        """Steps that a team may hand in: one a round; with messages two, and a plan before and an answer after them."""
        rounds = self.max_rounds + 1
        return rounds if self.stored == "steps" else 2 * rounds + 2


@dataclass(frozen=True, slots=True)
class ParallelSettings:
    """When K teams stop (M1-Parallel, arXiv 2507.08944): all have ended, one has answered, or a quorum has."""

    mode: ParallelMode = "all"
    """"all": wait for every team. "first": the first answer stops the others. "quorum": so do `quorum` answers."""

    quorum: int = 2
    """Answers that stop the others in mode "quorum"."""

    deadline_seconds: float | None = None
    """Seconds on the teams' clock, from the start of `run_teams`, after which unfinished teams are stopped."""

    grace_seconds: float = 0.1
    """Real seconds that stopped teams have to clean up before they are left behind."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        _one_of("mode", self.mode, get_args(ParallelMode))
        _at_least("quorum", self.quorum, 1)
        if self.deadline_seconds is not None and not self.deadline_seconds > 0:
            raise ValueError(f"deadline_seconds: expected positive or None, got {self.deadline_seconds!r}")
        if not self.grace_seconds >= 0:
            raise ValueError(f"grace_seconds: expected zero or more, got {self.grace_seconds!r}")

    def num_answers_to_stop(self, num_teams: int) -> int:
        """Answers after which the others are stopped. Raises ValueError when the quorum exceeds the teams."""
        if self.mode == "quorum" and self.quorum > num_teams:
            raise ValueError(f"quorum: expected at most the number of teams ({num_teams}), got {self.quorum}")
        return {"all": num_teams, "first": 1, "quorum": self.quorum}[self.mode]


def _at_least(name: str, value: object, smallest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
        raise ValueError(f"{name}: expected a whole number of at least {smallest}, got {value!r}")


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
