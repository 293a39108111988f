"""The interface of admission: what a decision may look at, and what it returns.

A learned controller and a one-line rule stand behind the same `AdmissionPolicy`, so that tables compare like with like.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Protocol

from lts_jax.actions import ACTIONS, ADMIT, DELETE, NO_TARGET, REJECT
from lts_jax.errors import UserError
from lts_jax.llm.chat import Ask
from lts_jax.records import Coordinates, Message, Step, check_target

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
    ended: Set[int] = frozenset()  # ids (places in `keys`) of the entries that an edit had ended

    @property
    def living_keys(self) -> Sequence[str]:
        """The keys of the entries that live: all of them where nothing is edited."""
        if not self.ended:
            return self.keys
        return tuple(key for entry, key in enumerate(self.keys) if entry not in self.ended)


@dataclass(frozen=True, slots=True)
class Admission:
    """The decision: `action` 0 rejects and 1 admits; `log_prob` is of the taken action under the sampling policy.

    2 puts the step in the place of the entry `target`, and 3 ends that entry. Where it has ended meanwhile, nothing is
    done: another team may have been faster.

    Raises:
        UserError: an action that no bank knows, an edit without a target, or a target of what is no edit.
    """

    action: int
    log_prob: float
    admit_probability: float
    target: int = NO_TARGET

    def __post_init__(self) -> None:
        if not 0 <= self.action <= DELETE:
            known = ", ".join(f"{number} ({name})" for number, name in enumerate(ACTIONS[: DELETE + 1]))
            raise UserError(f"Admission.action: expected one of {known}, got {self.action}")
        try:
            check_target("Admission", self.action, self.target)
        except ValueError as error:
            raise UserError(str(error)) from None


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
