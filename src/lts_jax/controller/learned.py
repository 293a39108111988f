"""The learned controller behind the same interface as every rule."""

from dataclasses import dataclass

from lts_jax.controller.decide import BatchedDecider
from lts_jax.controller.policy import Admission, AdmissionRequest
from lts_jax.llm.chat import Ask


@dataclass(frozen=True, slots=True)
class LearnedPolicy:
    """An `AdmissionPolicy` that asks a network. Teams are shown all keys unless `listing_window` says otherwise."""

    decider: BatchedDecider
    name: str
    listing_window: int | None = None

    async def decide(self, request: AdmissionRequest, ask: Ask) -> Admission:
        """Decide by the network; no language model is consulted."""
        return await self.decider.decide(request)
