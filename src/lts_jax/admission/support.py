"""What a worker's call needs of its team's thread, and how much of that it is shown, in the offline world.

The thread is read with the simulated model's own reader, as it would be by the worker. What is needed is known from the
world: pages that hold what the instruction asks for, and true values.
"""

from collections.abc import Sequence

from lts_jax.admission.offline_truth import truth_of
from lts_jax.llm.simulated import PERFECT
from lts_jax.llm.simulated.thread import Survey
from lts_jax.records import Message


def support(
    question: str, agent: str, messages: Sequence[Message], instruction: Message, *, world_seed: int = 0
) -> frozenset[tuple[object, object]]:
    """The needed evidence that some messages hold, for an agent with an instruction.

    For who gathers: addresses of pages titled as the one that holds what the instruction names, and its true value by
    part of the listing. For the Coder: every true value that the question needs.
    """
    truth = truth_of(question, world_seed)
    survey = Survey([*messages, instruction] if messages[-1:] != [instruction] else messages, PERFECT)
    wanted = list(truth.values) if agent == "Coder" else [survey.need] if survey.need is not None else []
    found: set[tuple[object, object]] = set()
    for need in wanted:
        found |= {(need, each.part) for each, _ in survey.findings.get(need, ()) if truth.is_right(each)}
        if agent != "Coder":
            found |= {("page", url) for url in survey.titles.get(truth.understanding.title(need), ())}
    return frozenset(found)


def support_recall(
    question: str, agent: str, thread: Sequence[Message], shown: Sequence[Message], *, world_seed: int = 0
) -> tuple[int, int]:
    """Needed evidence that is shown, and that stands in the thread, which ends with its instruction."""
    whole = support(question, agent, list(thread), thread[-1], world_seed=world_seed)
    if not whole or len(shown) == len(thread):
        return len(whole), len(whole)
    return len(whole & support(question, agent, list(shown), thread[-1], world_seed=world_seed)), len(whole)
