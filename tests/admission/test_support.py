"""Support recall by hand: what of the needed evidence a routed context holds."""

from lts_jax import prompts
from lts_jax.admission.offline_truth import truth_of
from lts_jax.admission.support import support, support_recall
from lts_jax.llm.simulated.findings import Finding, results_sentence
from lts_jax.records import Message
from lts_jax.systems.world import almanac_tasks

TASK = next(
    task
    for task in almanac_tasks(0, "validation")
    if sum(len(parts) == 1 for parts in truth_of(task.question).values.values()) >= 2
)
TRUTH = truth_of(TASK.question)
FIRST, SECOND = [need for need, parts in TRUTH.values.items() if list(parts) == [1]][:2]
OWN = "https://www.own.example/"


def _thread(agent: str, asked: str) -> list[Message]:
    title = TRUTH.understanding.title(FIRST)
    pages = results_sentence(FIRST, [(title, OWN), ("Other", "https://other.example/")])
    findings = [
        str(Finding(FIRST, TRUTH.values[FIRST][1], 1, 1, "2025-01-01", OWN)),
        str(Finding(SECOND, "wrong", 1, 1, "2025-01-01", "https://www.second.example/")),
    ]
    return [
        prompts.task_ledger(TASK.question, (), "- a fact", "- a plan"),
        *(prompts.agent_reply("WebSurfer", f"{text}\n\nshown") for text in (pages, *findings)),
        prompts.instruction(agent, asked),
    ]


def test_who_gathers_needs_pages_and_the_value_of_what_is_asked() -> None:
    thread = _thread("WebSurfer", f"Open a page to find {FIRST}.")
    assert support(TASK.question, "WebSurfer", thread, thread[-1]) == {("page", OWN), (FIRST, 1)}
    assert support_recall(TASK.question, "WebSurfer", thread, thread) == (2, 2)
    assert support_recall(TASK.question, "WebSurfer", thread, [*thread[:2], thread[-1]]) == (1, 2)
    assert support_recall(TASK.question, "WebSurfer", thread, [thread[-1]]) == (0, 2)
    other = _thread("WebSurfer", "Go on.")
    assert support_recall(TASK.question, "WebSurfer", other, other[-1:]) == (0, 0)  # it names nothing


def test_the_coder_needs_true_values_alone() -> None:
    thread = _thread("Coder", "Write a program.")
    assert support(TASK.question, "Coder", thread, thread[-1]) == {(FIRST, 1)}
    assert support_recall(TASK.question, "Coder", thread, [*thread[:2], *thread[3:]]) == (0, 1)
