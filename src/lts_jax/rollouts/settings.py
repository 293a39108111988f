"""How a task is worked on: K teams, what they read and share, and when they stop."""

from dataclasses import dataclass, field
from typing import Literal

from lts_jax.errors import UserError
from lts_jax.memory.guards import GuardSettings
from lts_jax.memory.reading import ReadingSettings
from lts_jax.memory.summarize import SummarySettings
from lts_jax.memory.valkey_log import check_address
from lts_jax.rollouts.latency import LatencySettings
from lts_jax.teams.own_team import engine_part
from lts_jax.teams.settings import ParallelSettings, TeamSettings

MAX_STEPS = 10_000  # of a rollout: arrays are padded for as many


@dataclass(frozen=True, slots=True)
class RolloutSettings:
    """How a task is worked on. The paper: three teams, thirty rounds, all teams are waited for, then aggregated."""

    num_teams: int = 3  # K
    team: TeamSettings = field(default_factory=TeamSettings)
    parallel: ParallelSettings = field(default_factory=ParallelSettings)
    reading: ReadingSettings = field(default_factory=ReadingSettings)
    summary: SummarySettings = field(default_factory=SummarySettings)
    latency: LatencySettings = field(default_factory=LatencySettings)
    guards: GuardSettings = field(default_factory=GuardSettings)
    excerpt_characters: int = 8000  # of all teams' transcripts together, for the aggregator
    sharing: Literal["in_turn", "aside"] = "in_turn"  # whether a team waits for its step's summary and decision; ours
    reward: Literal["partial", "binary"] = "partial"  # the score, or 1 if wholly right else 0, also in reports; ours
    drawer: bool = False  # a memory of each team's own, worked on by the six tools of AgeMem (arXiv 2601.01885)
    values: Literal["raw", "facts", "merged"] = "raw"  # outputs; the facts in them; these merged (arXiv 2601.02553)
    engine: str | None = None  # teams of your own in place of ours, as mine.py:team; see lts_jax.teams.own_team
    engine_seconds: float | None = None  # of wall time that one may spend by itself; None: an hour, ours
    spread_teams: bool = False  # the teams of one task over several workers, where one machine is too small for them
    bank_log: str | None = None  # their bank, at a server as valkey://HOST:PORT; None: with the first of the workers

    def __post_init__(self) -> None:
        if not 1 <= self.num_teams <= 64:
            raise UserError(f"num_teams: expected from 1 to 64, got {self.num_teams}")
        self.parallel.num_answers_to_stop(self.num_teams)  # a quorum that there is
        if self.num_teams * self.team.most_steps > MAX_STEPS:
            raise UserError(
                f"num_teams, team.max_rounds: expected at most {MAX_STEPS} steps of all teams together, "
                f"got {self.num_teams} times {self.team.most_steps}"
            )
        if self.reward not in ("partial", "binary"):
            raise UserError(f"reward: expected partial or binary, got {self.reward!r}")
        if self.values not in ("raw", "facts", "merged"):
            raise UserError(f"values: expected raw, facts or merged, got {self.values!r}")
        if self.sharing not in ("in_turn", "aside"):
            raise UserError(f"sharing: expected in_turn or aside, got {self.sharing!r}")
        if self.engine is not None:
            object.__setattr__(self, "engine", engine_part(self.engine).text)
        if self.engine_seconds is not None and not self.engine_seconds > 0:
            raise UserError(f"engine_seconds: expected more than 0, got {self.engine_seconds:g}")
        if self.spread_teams and self.values != "raw":
            raise UserError(f"values: expected raw where teams are spread, got {self.values}")
        if self.bank_log is not None and not self.spread_teams:
            raise UserError("bank_log: expected it only with spread_teams: other teams have their bank beside them")
        if self.bank_log is not None:
            check_address(self.bank_log)
        if self.excerpt_characters < 1:
            raise UserError(f"excerpt_characters: expected at least 1, got {self.excerpt_characters}")
