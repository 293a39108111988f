"""What changes while a team works, and what is left when it has ended."""

from dataclasses import dataclass, field

from lts_jax.records import Answer, Message, StopReason


@dataclass(slots=True)
class TeamState:
    """The running state of one team. Owned by `run_team`; `run_teams` reads it when it stops a team."""

    thread: list[Message] = field(default_factory=list)  # what the next call sees
    transcript: list[Message] = field(
        default_factory=list
    )  # every message since the question, also those that a re-plan cleared
    facts: str = ""
    plan: str = ""
    num_rounds: int = 0
    num_steps: int = 0  # that were handed in, with messages of the orchestrator where these are
    num_messages: int = 0  # of these, what the orchestrator said
    num_replans: int = 0
    num_stalls: int = 0  # stalled rounds in all
    stall_count: int = 0  # the counter that triggers a re-plan
    agent: str = ""  # last speaker since the plan was made
    instruction: str = ""  # its instruction

    def say(self, message: Message) -> None:
        """Append a message to the thread."""
        self.thread.append(message)
        self.transcript.append(message)

    def answer(self, team: int, text: str, seconds: float, stop_reason: StopReason, detail: str = "") -> Answer:
        """The team's answer with the counts so far."""
        num_steps = self.num_steps - self.num_messages
        return Answer(team, text, seconds, stop_reason, num_steps, self.num_replans, self.num_stalls, detail=detail)


@dataclass(frozen=True, slots=True)
class TeamResult:
    """A team's answer and everything said in it, in order."""

    answer: Answer
    thread: tuple[Message, ...]
