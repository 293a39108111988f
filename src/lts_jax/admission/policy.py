"""The interface of admission: what a decision may look at, and what it returns.

A learned controller and a one-line rule stand behind the same `AdmissionPolicy`, so that tables compare like with like.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lts_jax.actions import ADMIT, REJECT
from lts_jax.llm.chat import Ask
from lts_jax.records import Coordinates, Message, Step

__all__ = ["ADMIT", "REJECT", "Admission", "AdmissionPolicy", "AdmissionRequest"]


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """What an admission may look at: the question, the keys committed before this step arrived, and the step itself."""

    question: str
    keys: Sequence[str]  # of all entries admitted so far, in order of admission
    step: Step  # with its summary
    coordinates: Coordinates
    seconds: float  # rollout clock
    thread: Sequence[Message] = ()  # the team's own context, for policies that ask its orchestrator
    rollout: object | None = None  # identity of the running rollout; replays of one rollout share their coordinates


@dataclass(frozen=True, slots=True)
class Admission:
    """The decision: `action` 0 rejects and 1 admits; `log_prob` is of the taken action under the sampling policy."""

    action: int
    log_prob: float
    admit_probability: float


class AdmissionPolicy(Protocol):
    """Decides, step by step, what enters the memory bank."""

    @property
    def name(self) -> str:
        """Name and version, as it appears in records."""
        ...

    @property
    def listing_window(self) -> int | None:
        """Teams are shown only the newest this many keys; None shows all."""
        ...

    async def decide(self, request: AdmissionRequest, ask: Ask) -> Admission:
        """Decide on one step. `ask` is for policies that consult a language model; its time and cost are recorded."""
        ...
