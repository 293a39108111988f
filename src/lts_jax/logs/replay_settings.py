"""Settings of a replay: what a step of a recorded run would have taken, which calls may be shared, and when not.

Recorded runs hold texts but no times, so every second of a replay comes from a latency model: of the model calls, from
the lengths of the recorded texts; of tools and of the customer, from a setting. Reports must say so.
"""

import math
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from statistics import NormalDist
from typing import Literal

from lts_jax.errors import UserError
from lts_jax.logs.importers.recorded import RecordedStep
from lts_jax.records import Coordinates
from lts_jax.rollouts.latency import LatencySettings, model_seconds
from lts_jax.seeds import rollout_coordinates, uniform

Staleness = Literal["none", "object", "team"]
ReplayReward = Literal["team_seconds", "runtime", "recorded"]
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """How recorded runs of one task are replayed as parallel teams. Times in seconds; every default is our choice.

    `staleness`, when an entry may not be pulled because the state behind it may have changed in the writer's world
    before it was written, or in the reader's since: "none" never; "object" when a state-changing call of either team
    named an identifier that occurs in the entry; "team" when either team made any state-changing call.

    `reward`, what becomes `reward_agg` and `reward_first`, as replaying cannot change a recorded reward:
    "team_seconds" the saved fraction of all teams' seconds, and of the first finisher's; "runtime" the saved fraction
    of the last team's, and of the first finisher's; "recorded" the mean recorded reward, and the first finisher's.
    """

    latency: LatencySettings = field(default_factory=lambda: LatencySettings(contention=0.0))  # calls never contend
    num_teams: int | None = None  # K: the first K recorded runs of a task; None takes all
    read_only_tools: tuple[str, ...] = ("get_*", "search_*", "list_*", "find_*", "calculate")  # patterns; may be pulled
    neutral_tools: tuple[str, ...] = ("think", "transfer_to_human_agents")  # take no time, change nothing, not pulled
    characters_per_token: float = 4.0
    tool_seconds: float = 1.5  # median of a tool call
    tool_sigma: float = 0.6  # of the logarithm of a tool call's time
    customer_seconds: float | None = None  # median of a customer's answer; None: a model writing its recorded length
    summary_seconds: float = 1.1  # from a step's end to its decision: a 25-token summary; the team does not wait
    selection_seconds: float = 0.0  # what looking through listed keys adds to every model call
    pull_seconds: float = 0.01  # what a pulled value takes in place of the tool's time
    keys_cost_tokens: bool = True  # whether listed keys lengthen every prompt
    pull_skips_model_call: bool = False  # whether a pull also saves the model call that would have asked for the tool
    own_entries: bool = False  # whether a team may pull what it wrote itself
    staleness: Staleness = "object"
    reward: ReplayReward = "team_seconds"

    def __post_init__(self) -> None:
        if self.latency.contention:
            raise UserError(
                f"replay.latency.contention: expected 0, as replayed calls never contend, got {self.latency.contention}"
            )
        for name in ("tool_seconds", "tool_sigma", "summary_seconds", "selection_seconds", "pull_seconds"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0.0):
                raise UserError(f"replay.{name}: expected zero or more, got {getattr(self, name)}")
        if self.customer_seconds is not None and not self.customer_seconds >= 0.0:
            raise UserError(f"replay.customer_seconds: expected zero or more, or none, got {self.customer_seconds}")
        if not self.characters_per_token > 0.0:
            raise UserError(f"replay.characters_per_token: expected above zero, got {self.characters_per_token}")
        if self.num_teams is not None and self.num_teams < 1:
            raise UserError(f"replay.num_teams: expected at least 1, or none for all, got {self.num_teams}")
        if self.staleness not in ("none", "object", "team"):
            raise UserError(f"replay.staleness: expected none, object or team, got {self.staleness!r}")
        if self.reward not in ("team_seconds", "runtime", "recorded"):
            raise UserError(f"replay.reward: expected team_seconds, runtime or recorded, got {self.reward!r}")

    def is_read_only(self, tool: str) -> bool:
        """Whether calls of this tool may be answered from memory. A plain reply ("") may not."""
        return bool(tool) and any(fnmatchcase(tool, pattern) for pattern in self.read_only_tools)

    def is_neutral(self, tool: str) -> bool:
        """Whether the tool does nothing outside the agent."""
        return any(fnmatchcase(tool, pattern) for pattern in self.neutral_tools)

    def changes_state(self, item: RecordedStep) -> bool:
        """Whether this step changed the world: a call that is neither read-only nor neutral, and did not fail."""
        changing = bool(item.tool) and not self.is_read_only(item.tool) and not self.is_neutral(item.tool)
        return changing and not item.step.failed

    def tokens(self, characters: int) -> int:
        """Tokens of a text by its length, rounded up."""
        return math.ceil(characters / self.characters_per_token)


@dataclass(frozen=True, slots=True)
class ReplayTimes:
    """Seconds of each part of a step. Noise is a function of coordinates: the same in any replay of the same step."""

    settings: ReplaySettings
    coordinates: Coordinates

    def model(self, team: int, item: RecordedStep, key_tokens: int) -> float:
        """Seconds of the model call behind a step whose prompt also lists keys; 0 where no call was made."""
        if not item.asks_model:
            return 0.0
        settings = self.settings
        prompt_tokens = settings.tokens(item.prompt_characters) + key_tokens
        noise = self._uniform(team, item, "model")
        return model_seconds(settings.latency, prompt_tokens, settings.tokens(item.reply_characters), noise)

    def tool(self, team: int, item: RecordedStep) -> float:
        """Seconds of the step's tool call; 0 for plain replies and neutral tools."""
        if not item.tool or self.settings.is_neutral(item.tool):
            return 0.0
        return self.settings.tool_seconds * self._factor(team, item, "tool", self.settings.tool_sigma)

    def customer(self, team: int, item: RecordedStep) -> float:
        """Seconds until the customer has answered this step; 0 where nobody did."""
        settings = self.settings
        if not item.customer_characters:
            return 0.0
        if settings.customer_seconds is None:
            tokens = settings.tokens(item.customer_characters)
            return model_seconds(settings.latency, 0, tokens, self._uniform(team, item, "customer"))
        return settings.customer_seconds * self._factor(team, item, "customer", settings.latency.noise_sigma)

    def _factor(self, team: int, item: RecordedStep, purpose: str, sigma: float) -> float:
        return math.exp(sigma * _NORMAL.inv_cdf(min(max(self._uniform(team, item, purpose), 1e-9), 1.0 - 1e-9)))

    def _uniform(self, team: int, item: RecordedStep, purpose: str) -> float:
        return uniform(*rollout_coordinates(self.coordinates), team, item.step.step, purpose)
