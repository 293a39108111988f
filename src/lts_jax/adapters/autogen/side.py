"""What an AutoGen team is made with: its settings, its openings, its running state, and the client its agents get."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from autogen_agentchat.base import ChatAgent
from autogen_core.models import ModelInfo

from lts_jax.adapters.autogen.client import TEXT_MODEL, CallGate, PortedClient
from lts_jax.memory.trust import label, labels_of_call
from lts_jax.records import Origin, Task
from lts_jax.teams.ports import TeamPorts
from lts_jax.teams.settings import TeamSettings
from lts_jax.teams.state import TeamState

ORIGINS = {
    "WebSurfer": Origin.WEB,
    "FileSurfer": Origin.FILE,
    "ComputerTerminal": Origin.TOOL,
    "Coder": Origin.MODEL,
    "Assistant": Origin.MODEL,
}
"""Where Magentic-One's agents have their content from, by the names that its releases give them."""


@dataclass(frozen=True, slots=True)
class AutogenSettings:
    """How AutoGen's orchestrator is used. Rounds, stalls and ledger attempts are those of `TeamSettings`."""

    prompts: Literal["autogen", "ours"] = "autogen"
    """Whose words the orchestrator asks with: AutoGen's, or those of `lts_jax.prompts`, as our own teams do."""

    origins: Mapping[str, Origin] = field(default_factory=lambda: dict(ORIGINS))
    """Where an agent's content comes from, by its name. Others: unknown after a tool call, else a model's own words."""

    redact: bool = True
    """Take secrets out of what the agents say before it becomes a step."""

    grace_seconds: float = 2.0
    """Seconds that AutoGen's runtime has to end after its team was stopped."""

    def __post_init__(self) -> None:
        if self.prompts not in ("autogen", "ours"):
            raise ValueError(f'AutogenSettings.prompts: expected "autogen" or "ours", got {self.prompts!r}')
        if not self.grace_seconds >= 0:
            raise ValueError(f"AutogenSettings.grace_seconds: expected at least 0, got {self.grace_seconds!r}")


@dataclass(frozen=True, slots=True)
class AutogenSide:
    """One team while it works: what its orchestrator and its agents are made from."""

    task: Task
    team: int
    ports: TeamPorts
    state: TeamState
    team_settings: TeamSettings
    settings: AutogenSettings
    gate: CallGate
    model_info: ModelInfo = field(default_factory=lambda: TEXT_MODEL)

    def client(self) -> PortedClient:
        """A model client for an agent of the team; its calls are recorded as the team's work."""
        return PortedClient(self.gate, self.model_info)

    def origins_of(self, agent: str, calls: Sequence[tuple[str, Mapping[str, object], str]]) -> tuple[str, ...]:
        """Labels of a step's content: of its tool calls (name, arguments, result), or by the agent's name."""
        known = self.settings.origins.get(agent)
        found: list[str] = []
        for tool, arguments, result in calls:
            labels = labels_of_call(tool, arguments, result)
            is_own = labels[0].startswith(Origin.TOOL.value) and known is not Origin.TOOL
            found += [label(known or Origin.UNKNOWN, tool)] if is_own else labels
        return tuple(found) or (label(known or Origin.MODEL, agent),)


MakeAgents = Callable[[AutogenSide], Sequence[ChatAgent]]
"""The agents of one team. They should ask their model through `side.client()`, so that their calls are recorded."""
