"""`score_answer` picks the task's own scorer and refuses what cannot be scored."""

import pytest

from lts_jax.records import Task
from lts_jax.tasks.scoring import score_answer


def _task(answer: str | None, scoring: str) -> Task:
    return Task(task_id="t1", question="?", answer=answer, split="test", scoring=scoring)


def test_each_task_is_scored_by_its_own_rules() -> None:
    # the article counts for GAIA and not for AssistantBench
    assert score_answer(_task("Paris", "assistantbench"), "the Paris").score == 1.0
    assert score_answer(_task("Paris", "gaia"), "the Paris").score == 0.0


def test_a_withheld_answer_is_never_scored() -> None:
    with pytest.raises(ValueError, match=r"^task t1: .*the 'test' split withholds it$"):
        score_answer(_task(None, "gaia"), "")


def test_an_unknown_scorer_is_named() -> None:
    with pytest.raises(ValueError, match=r"^task t1: expected .*exact, f1 or FILE.py:FUNCTION .*got 'bleu'$"):
        score_answer(_task("x", "bleu"), "x")
