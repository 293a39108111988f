"""The learned controller behind the same interface as every rule."""

from dataclasses import dataclass, replace
from typing import Any, Protocol

from lts_jax.admission.policy import Admission, AdmissionRequest
from lts_jax.bridge.batching import DeciderCounts
from lts_jax.bridge.decide import BatchedDecider, DeciderSettings
from lts_jax.bridge.decide_cached import CachedDecider
from lts_jax.llm.chat import Ask
from lts_jax.memory.encoded_texts import EncodedTexts, TextEncoder
from lts_jax.models.policy_network import Params, PolicyNetwork


class Decider(Protocol):
    """What answers decisions with a network: `BatchedDecider`, or `CachedDecider` where the network keeps a cache."""

    network: PolicyNetwork
    settings: DeciderSettings
    texts: EncodedTexts

    @property
    def counts(self) -> DeciderCounts:
        """How well decisions were batched so far."""
        ...

    @property
    def params(self) -> Params:
        """The parameters that it decides with."""
        ...

    def replace_params(self, params: Params) -> None:
        """Decide with new parameters from now on."""
        ...

    def rollout_started(self) -> None:
        """One more rollout may ask."""
        ...

    def rollout_ended(self) -> None:
        """One fewer rollout may ask."""
        ...

    async def decide(self, request: AdmissionRequest) -> Admission:
        """Answer one decision."""
        ...


@dataclass(frozen=True, slots=True)
class LearnedPolicy:
    """An `AdmissionPolicy` that asks a network. Teams are shown all keys unless `listing_window` says otherwise."""

    decider: Decider
    name: str
    listing_window: int | None = None
    training: Any = None  # settings that the network was made from, for whoever makes it again on another machine

    @property
    def may_edit(self) -> bool:
        """Whether the network chooses among edits too."""
        return self.decider.network.may_edit

    async def decide(self, request: AdmissionRequest, ask: Ask) -> Admission:
        """Decide by the network; no language model is consulted."""
        return await self.decider.decide(request)


def make_decider(
    network: PolicyNetwork, params: Params, encoder: TextEncoder, settings: DeciderSettings, *, num_rows: int
) -> Decider:
    """What answers decisions with a network: from `num_rows` caches where it keeps any, else each computed anew.

    Of the settings' key buckets those below the network's key window are kept, and the window itself.
    """
    buckets = (*(size for size in settings.key_buckets if size < network.key_window), network.key_window)
    settings = replace(settings, key_buckets=buckets)
    if network.cache is None:
        return BatchedDecider(network, params, encoder, settings)
    return CachedDecider(network, params, encoder, settings, num_rows=num_rows)
