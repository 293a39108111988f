"""What the first message of a team's thread says: the question, the plan's order, what the fact sheet keeps."""

import re
from dataclasses import dataclass
from functools import lru_cache

from lts_jax.llm.simulated.chances import digest_of
from lts_jax.llm.simulated.comprehension import understand
from lts_jax.llm.simulated.findings import Note, scan
from lts_jax.llm.simulated.understanding import Need, Understanding

_REQUEST = re.compile(
    r"Request: (.*?)\n(?:Files at hand: |\n?Team:|Before work begins|Work has ended|Teams working|Agent: |Stored:|"
    r"Progress has stalled|Independent teams)",
    re.DOTALL,
)
_BULLET = re.compile(r"^- .*?find the ([^\n:]+?) of ([^\n:]+?)\.?$", re.MULTILINE | re.IGNORECASE)


def question_in(text: str) -> str:
    """The question that a request of `lts_jax.prompts` states, or "" if it states none."""
    found = _REQUEST.search(text)
    return found[1] if found else ""


@dataclass(frozen=True, slots=True)
class TaskView:
    """The task ledger of a team: question, plan order, findings kept on the fact sheet.

    `team` tells teams apart; `model` is the same for all teams on a question.
    """

    question: str
    understanding: Understanding
    team: int
    model: int
    order: dict[Need, int]
    note: Note


@lru_cache(maxsize=4096)
def read_task_ledger(text: str) -> TaskView:
    """Read the first message of a team's thread."""
    question = question_in(text)
    facts, _, plan = text.partition("\n\nFacts:\n")[2].rpartition("\n\nPlan:\n")
    bullets = [Need(attribute, subject) for attribute, subject in _BULLET.findall(plan)]
    order = {need: place for place, need in reversed(list(enumerate(bullets)))}
    return TaskView(question, understand(question), digest_of(text), digest_of(question), order, scan(facts))


NO_TASK = TaskView("", understand(""), 0, 0, {}, Note())  # of a thread without a task ledger
