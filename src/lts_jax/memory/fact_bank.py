"""A bank of facts: an admitted step's output becomes the facts that it states, and facts of one matter one entry.

Between the decision to admit and the bank: the step keeps its summary as key, its value is compressed
(`fact_memory`), and where living entries hold facts of the same entities and topic whose affinity to its own is above
the threshold (`consolidate`), it takes their place with all of their lines. Lineage, trust and usage reach back through
the bank's parents and edits.
"""

from dataclasses import replace

import numpy as np

from lts_jax.llm.chat import Ask
from lts_jax.memory.bank import KeyRefused
from lts_jax.memory.consolidate import NO_MERGING, MergeSettings, affinity, joined_lines
from lts_jax.memory.encoders import Encoder
from lts_jax.memory.fact_memory import FactMemory, FactSettings, Source
from lts_jax.memory.facts import Fact
from lts_jax.memory.guards import GuardSettings
from lts_jax.memory.remote_bank import Bank
from lts_jax.memory.trust import Provenance
from lts_jax.records import MemoryEntry, Step


def facts_of(values: str) -> FactSettings | None:
    """What a bank of such values makes of an output: nothing for "raw", facts, or facts that are "merged"."""
    if values == "raw":
        return None
    return FactSettings() if values == "merged" else FactSettings(merge=MergeSettings(threshold=NO_MERGING))


class FactKeeper:
    """Compresses what is admitted to one bank, and merges it with what is there."""

    def __init__(self, bank: Bank, encoder: Encoder, settings: FactSettings, guards: GuardSettings) -> None:
        self._bank, self._encoder, self._settings = bank, encoder, settings
        self.memory = FactMemory(encoder, settings, guards)
        self._waiting: dict[tuple[int, int], list[Fact]] = {}  # by step: its facts, until it is stored
        self._facts: dict[int, list[Fact]] = {}  # by entry

    async def compressed(self, step: Step, question: str, seconds: float, ask: Ask) -> Step:
        """The step with its facts in place of its output, unless the settings keep that; none make it empty."""
        facts = await self.memory.read(step.output, Source(seconds, step.team, step.step, step.agent), ask, question)
        self._waiting[step.team, step.step] = facts
        if self._settings.keeps_output or (self._settings.keeps_rest and not facts):
            return step
        return replace(step, output=joined_lines([fact.text for fact in facts]))

    def store(self, step: Step, seconds: float, provenance: Provenance, sequence: int) -> MemoryEntry:
        """Put a compressed step into the bank, in place of the entries that it is merged with.

        Raises:
            KeyRefused: the step states no fact, or as of `MemoryBank.add`.
        """
        facts = self._waiting.pop((step.team, step.step), [])
        if not facts and self._settings.keeps_rest:
            return self._bank.add(step, seconds, provenance)
        if not facts:
            raise KeyRefused(f"step {step.step} of team {step.team} states no fact")
        merged = self._near(facts)
        if not merged:
            made = self._bank.add(step, seconds, provenance)
        else:
            text = joined_lines([*(self._bank.entry(entry).value for entry in merged), step.output])
            made = self._bank.join(merged, replace(step, output=text), seconds, provenance, sequence=sequence)
        self._facts[made.entry] = [fact for entry in merged for fact in self._facts.pop(entry)] + facts
        return made

    def _near(self, facts: list[Fact]) -> list[int]:
        """The living entries that hold a fact near one of these, of the same entities and topic."""
        settings = self._settings.merge
        if settings.threshold > 1.0:
            return []
        vector_nd = self._encoder.encode([fact.text for fact in facts])
        found = []
        for entry, held in self._facts.items():
            if self._bank.is_hidden(entry) or _matter(held) != _matter(facts):
                continue
            cosine_nn = self._encoder.encode([fact.text for fact in held]) @ vector_nd.T
            gap_nn = np.array(
                [[(one.seconds - other.seconds) / settings.unit_seconds for other in facts] for one in held]
            )
            omega_nn = affinity(cosine_nn, gap_nn, cosine_weight=settings.cosine_weight, decay=settings.decay)
            if (omega_nn > settings.threshold).any():
                found.append(entry)
        return found


def _matter(facts: list[Fact]) -> frozenset[tuple[str, tuple[str, ...]]]:
    """What facts are about."""
    return frozenset((fact.draft.topic, fact.draft.entities) for fact in facts)
