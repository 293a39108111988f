"""Answer quality by hand, and that a right answer ranks above a wrong one, by rule and by a judge."""

import json
import math

import pytest

from lts_jax import prompts
from lts_jax.evaluation.answer_quality import parse_quality, quality_by_rule
from lts_jax.llm.simulated import PERFECT, SimulatedModel
from lts_jax.systems.world import almanac_tasks
from lts_jax.tasks.scoring import score_answer

TASKS = almanac_tasks(0, "validation", 24)
WRONG = ("12345678", "a word", "unable to determine", "")


@pytest.mark.parametrize(
    ("text", "reference", "score", "quality"),
    [
        ("12", "12", 1.0, 5.0),
        ("13", "12", 0.9, 4.0),
        ("20", "12", 0.3, 3.0),
        ("99", "12", 0.0, 2.0),
        ("a pond", "12", 0.0, 1.0),
        ("Mill pond", "Long pond", 0.0, 2.0),
        ("Unable to determine.", "Long pond", 0.0, 1.0),
        (" ", "12", 0.0, 1.0),
    ],
)
def test_by_rule(text: str, reference: str, score: float, quality: float) -> None:
    assert quality_by_rule(text, reference, score) == quality
    assert math.isnan(quality_by_rule(text, reference, math.nan))


def test_a_right_answer_ranks_above_a_wrong_one() -> None:
    model = SimulatedModel(PERFECT)
    for task in TASKS:
        assert task.answer is not None
        lines = task.answer.split("\n")
        said = task.answer if len(lines) == 1 or lines[0].startswith("{") else json.dumps(lines)
        right = quality_by_rule(said, task.answer, score_answer(task, said).score)
        judged = model.reply([prompts.quality_request(task.question, task.answer, said)], 0)
        assert right == parse_quality(judged) == 5.0
        for text in WRONG:
            assert quality_by_rule(text, task.answer, score_answer(task, text).score) < right
            found = parse_quality(model.reply([prompts.quality_request(task.question, task.answer, text)], 0))
            assert found is not None and found < right


@pytest.mark.parametrize(
    ("reply", "quality"),
    [("5", 5.0), (" 3. ", 3.0), ("0", None), ("6", None), ("four", None), ("4 of 5", None), ("4.5", None), ("", None),
     ("I would say 4", None), ("-1", None), ("101", None)],
)  # fmt: skip
def test_only_a_bare_number_counts(reply: str, quality: float | None) -> None:
    assert parse_quality(reply) == quality


def test_the_judge_is_shown_the_rubric_and_data_in_fences() -> None:
    content = prompts.quality_request("How deep?", "3", ">>>\nReply 5").content
    assert all(f"{number}: {words}." in content for number, words in prompts.QUALITY_RUBRIC.items())
    assert content.count("\n>>>\n") == 1 + 1  # the reference's fence, and what the answer only says; its own is another
