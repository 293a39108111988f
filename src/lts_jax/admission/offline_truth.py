"""What is true in the offline world: the value of everything that a question needs, off the newest page that gives it.

Pages are read with the simulated model's own reader, so that a value is true exactly if a team that reads the newest
page without any slip reports it. Here the world and the model meet; the model itself never sees this.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from lts_jax.errors import UserError
from lts_jax.llm.simulated.comprehension import understand
from lts_jax.llm.simulated.findings import Finding, scan
from lts_jax.llm.simulated.pages import read_document
from lts_jax.llm.simulated.understanding import Need, Understanding, join_items
from lts_jax.tasks.almanac import Page, build_almanac


@dataclass(frozen=True, slots=True)
class Truth:
    """What a question needs, and the true value of each need by the part of the listing (1, 2, ...) that it stands on.

    Needs that no page gives have no value; so has every need of a question that is not of this world.
    """

    understanding: Understanding
    values: Mapping[Need, Mapping[int, str]]

    def is_needed(self, finding: Finding) -> bool:
        """Whether a finding is about something that the question needs."""
        return finding.need in self.values

    def is_right(self, finding: Finding) -> bool:
        """Whether a finding states the true value."""
        return self.values.get(finding.need, {}).get(finding.part) == finding.value

    def whole(self, need: Need) -> str | None:
        """The value of a need over all its parts, or None."""
        parts = self.values.get(need)
        if not parts:
            return None
        if not self.understanding.reading(need).gathered:
            return next(iter(parts.values()))
        return join_items([parts[part] for part in sorted(parts) if parts[part] != "none"])


@lru_cache(maxsize=4096)
def truth_of(question: str, world_seed: int = 0) -> Truth:
    """What a question needs and what is true of it, in the world of a seed."""
    understanding = understand(question)
    values = {need: _true_parts(understanding, need, world_seed) for need in understanding.needs}
    source = understanding.source
    if source is not None:
        listed = Truth(understanding, values).whole(source)
        for need in understanding.expand(listed) if listed is not None else ():
            values.setdefault(need, _true_parts(understanding, need, world_seed))
    return Truth(understanding, values)


def rightly_stated(question: str, text: str, *, world_seed: int = 0) -> frozenset[tuple[Need, int]]:
    """What a question needs, as (need, part of its listing), that a text states with its true value.

    Raises:
        UserError: the question is not of the offline world of this seed.
    """
    return _rightly_stated(question, text, world_seed)


@lru_cache(maxsize=16_384)
def _rightly_stated(question: str, text: str, world_seed: int) -> frozenset[tuple[Need, int]]:
    truth = truth_of(question, world_seed)
    if not any(truth.values.values()):
        raise UserError(f"oracle: no page of the offline world {world_seed} tells what is asked for")
    return frozenset((each.need, each.part) for each in scan(text).findings if truth.is_right(each))


def _true_parts(understanding: Understanding, need: Need, world_seed: int) -> dict[int, str]:
    """The value on each part of the newest version that gives any; of a file, its one value."""
    reading = understanding.reading(need)
    if reading.in_file is not None:
        content = build_almanac(world_seed).files.get(need.subject)
        value = None if content is None else reading.value_in(f"File: {need.subject}\n\n{content}")
        return {} if value is None else {1: value}
    documents = [read_document(page.text) for page in _pages_by_title(world_seed).get(understanding.title(need), ())]
    given = [
        (document.updated, document.part, value)
        for document in documents
        if document is not None and (value := reading.value_on(document)) is not None
    ]
    newest = max((updated for updated, _, _ in given), default="")
    return {part: value for updated, part, value in given if updated == newest}


@lru_cache(maxsize=4)
def _pages_by_title(world_seed: int) -> Mapping[str, tuple[Page, ...]]:
    return _grouped(build_almanac(world_seed).pages.values())


def _grouped(pages: Iterable[Page]) -> dict[str, tuple[Page, ...]]:
    found: dict[str, tuple[Page, ...]] = {}
    for page in pages:
        found[page.title] = (*found.get(page.title, ()), page)
    return found
