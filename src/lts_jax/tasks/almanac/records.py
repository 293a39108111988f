"""Records of the offline world: pages, the drafts of questions, and the world itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lts_jax.records import Task

SPLITS = ("train", "validation", "test")
DIFFICULTIES = ("easy", "medium", "hard")


@dataclass(frozen=True, slots=True)
class Page:
    """One page. `text` is what a search engine saw; a page with a `refusal` answers visits with that."""

    url: str
    title: str
    text: str
    updated: str  # YYYY-MM-DD
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Need:
    """A page that a question needs: `subject` is the search that finds it, `url` its first address."""

    subject: str
    url: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A question before it has a split and an id. `identity` tells questions apart whatever their wording."""

    question: str
    answer: str
    needs: tuple[Need, ...]
    identity: str
    attachments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Almanac:
    """The offline world of one seed. Tools see `pages` and `files` only; the rest is for tests."""

    seed: int
    pages: Mapping[str, Page]
    files: Mapping[str, str]
    tasks: tuple[Task, ...]
    needs: Mapping[str, tuple[Need, ...]]
    stale_urls: Mapping[str, str]  # address of an outdated duplicate -> the page that it contradicts
    mirror_urls: Mapping[str, str]  # address of a refusing page -> a page with the same facts

    def tasks_of(self, split: str, *, families: Sequence[str] | None = None) -> tuple[Task, ...]:
        """Tasks of one split, in a fixed order; of `families` only, if given.

        Raises:
            ValueError: if `split` is not "train", "validation" or "test", or a family does not exist.
        """
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
        known = {task.family for task in self.tasks}
        unknown = sorted(set(families or ()) - known)
        if unknown:
            raise ValueError(f"no such family: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
        return tuple(
            task for task in self.tasks if task.split == split and (families is None or task.family in families)
        )
