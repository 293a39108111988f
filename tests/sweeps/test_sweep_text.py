"""The text side of a sweep, run at its smallest: a training per point and seed, measured on validation tasks."""

import json
from dataclasses import replace

import pytest

from lts_jax.errors import UserError
from lts_jax.evaluation.evaluate import EvaluationSettings, evaluate
from lts_jax.rollouts.collect import CollectSettings
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.rollouts.store import read_folder
from lts_jax.sweeps.cells import cells
from lts_jax.sweeps.fields import sweep_fields
from lts_jax.sweeps.folder import SweepFolder, read_table
from lts_jax.sweeps.plan import PointSettings, SweepPlan, make_points
from lts_jax.sweeps.run import run_sweep
from lts_jax.sweeps.text import TextSettings, ValidationSettings, row, text_runner
from lts_jax.systems.comparison import ComparisonSettings, make_arm, make_policy
from lts_jax.systems.lts import TrainSettings
from lts_jax.systems.world import almanac_tasks
from lts_jax.teams.settings import TeamSettings

TRAINING = TrainSettings(
    num_tasks=1,
    num_epochs=1,
    tasks_per_update=1,
    rollout=RolloutSettings(num_teams=2, team=TeamSettings(max_rounds=6)),
    collect=CollectSettings(num_rollouts=2),
    controller="set_transformer(width=8, num_layers=1, num_heads=1)",
)
BASE = TextSettings(train=TRAINING, validation=ValidationSettings(num_tasks=2))


def plan(*over: str, num_seeds: int = 1) -> SweepPlan:
    points = make_points(BASE, PointSettings(over, mode="list"))
    return SweepPlan("text", BASE, points, num_seeds=num_seeds, first_seed=7, pairs_per_program=1)


OVER = ("policy=lts,all", "credit=leave_one_out,reinforce", "learning.sparsity_weight=.1,.2")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> SweepFolder:
    """A training, then a rule."""
    path = tmp_path_factory.mktemp("sweeps") / "s"
    return run_sweep(path, plan(*OVER), text_runner(path))


def test_every_point_is_measured(finished):
    rows = read_table(finished.results).to_pylist()
    assert [(one["policy"], one["credit"], one["learning.sparsity_weight"]) for one in rows] == [
        ("lts", "leave_one_out", 0.1),
        ("all", "reinforce", 0.2),
    ]
    assert all(0 <= one["reward"] <= 1 and one["runtime_seconds"] > 0 and one["seed"] == 7 for one in rows)
    assert rows[1]["admission_fraction"] == 1.0 and rows[1]["read_rate"] > 0
    assert all(one["unscored_fraction"] == 0.0 for one in rows)


def test_the_training_is_that_of_its_point_on_the_right_tasks(finished):
    runs = list(finished.runs.iterdir())
    [learned] = [run for run in runs if (run / "checkpoints").exists()]
    assert len(runs) == 2
    config = json.loads((learned / "config.json").read_text())["train"]
    assert (config["credit"], config["learning"]["sparsity_weight"], config["seed"]) == ("leave_one_out", 0.1, 7)
    assert "leave_one_out" in (learned / "parts.json").read_text()
    groups = [group for folder in (learned / "evaluation").rglob("lts") for group in read_folder(folder)]
    validation = [rollout for group in groups for rollout in group.rollouts]
    assert {rollout.task.split for rollout in validation} == {"validation"} and len(validation) == 2
    assert {rollout.coordinates.seed for rollout in validation} == {1007}


def test_a_rule_in_a_sweep_is_the_rule_in_an_evaluation(finished):
    training = replace(TRAINING, seed=7)
    policy = make_policy("all", training, ComparisonSettings())
    tasks = almanac_tasks(0, "validation", 2)
    [rollouts] = evaluate([make_arm("all", training, policy)], tasks, EvaluationSettings(2, 1, 1007)).values()
    stored = read_table(finished.results).to_pylist()[1]
    expected = row(rollouts, own_listed=False)
    assert {name: stored[name] for name in expected} == expected
    assert expected["runtime_seconds"] == sum(rollout.seconds for rollout in rollouts) / 2


def test_stored_trainings_and_evaluations_are_not_run_again(finished, monkeypatch):
    """All parts are lost; the runs below them hold everything, so no rollout starts anew."""
    expected = finished.results.read_bytes()
    finished.results.unlink()
    for part in (finished.path / "parts").iterdir():
        part.unlink()
    started = []
    monkeypatch.setattr("lts_jax.rollouts.executor.run_rollout", lambda *rest: started.append(rest))
    run_sweep(finished.path, plan(*OVER), text_runner(finished.path))
    assert not started and finished.results.read_bytes() == expected


def test_every_point_is_a_cell_of_its_own():
    found = cells(BASE, sweep_fields(BASE), plan("learning.sparsity_weight=.1,.2").points)
    assert [cell.outer for cell in found] == [{"learning.sparsity_weight": 0.1}, {"learning.sparsity_weight": 0.2}]
    assert [cell.settings.train.learning.sparsity_weight for cell in found] == [0.1, 0.2]


def test_a_policy_that_cannot_be_swept(tmp_path):
    with pytest.raises(
        UserError, match=r"policy: random_matched needs the rate of a trained controller.* \(at policy="
    ):
        plan("policy=random_matched")
    with pytest.raises(UserError, match=r"validation\.num_tasks: expected at least 1, got 0"):
        plan("validation.num_tasks=0")
    with pytest.raises(UserError, match=r"credit: expected a name, or FILE.py:FUNCTION; got .luck."):
        plan("credit=luck")
