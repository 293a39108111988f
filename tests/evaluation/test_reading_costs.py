"""Tokens that a reader saves: those of selection calls apart from all others, by hand and in a comparison."""

from pathlib import Path

import pytest

from lts_jax.commands.evaluate import evaluate_lines
from lts_jax.commands.report import describe_line, stored_evaluation, write_report
from lts_jax.errors import UserError
from lts_jax.evaluation.evaluate import EvaluationSettings
from lts_jax.evaluation.reading_costs import reading_costs, selection_tokens
from lts_jax.storage import read_json
from lts_jax.systems.comparison import ComparisonSettings
from lts_jax.systems.run_folder import open_run
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.train_settings import TrainSettings

POLICIES = ("magentic_one", "m1_parallel", "all")


def test_lines_with_another_reader_stand_beside_their_own(tmp_path: Path) -> None:
    run = make_parts(TrainSettings())
    settings = ComparisonSettings(
        POLICIES, reading=("newest( top = 2 )",), evaluation=EvaluationSettings(num_tasks=6, num_seeds=1)
    )
    folder = open_run(tmp_path / "run", run.settings)
    evaluate_lines(folder, run, settings, {}, quiet=True)
    rollouts = stored_evaluation(folder)
    line = "all read by newest(top=2)"
    assert set(rollouts) == {*POLICIES, line}  # teams that read nothing are not run again
    assert {one.reader for one in rollouts[line]} == {"newest(top=2)"}
    assert {one.reader for one in rollouts["all"]} == {""}
    [cost] = reading_costs(rollouts)
    count = len(rollouts["all"])
    selection = sum(map(selection_tokens, rollouts["all"])) / count
    everything = sum(one.tokens for one in rollouts["all"]) / count - sum(one.tokens for one in rollouts[line]) / count
    assert selection > 0 == sum(map(selection_tokens, rollouts[line]))
    assert cost.selection_tokens_saved.estimate == pytest.approx(selection)
    assert cost.other_tokens_saved.estimate == pytest.approx(everything - selection)
    text = write_report(folder)
    assert line in text and "tokens of selection" in text
    assert [one["line"] for one in read_json(folder.report_json, dict)["readings"]] == [line]
    assert describe_line(line) == "As all, but what is read is chosen by newest(top=2)."


def test_wrong_readers_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="reading: expected each reader once, got rcr twice"):
        ComparisonSettings(POLICIES, reading=("rcr", "rcr()"))
    with pytest.raises(UserError, match="reading: expected a name"):
        ComparisonSettings(POLICIES, reading=("nearest",))
