"""The whole road in small: train, compare, report; what is lost is made again, and made the same."""

import json
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from lts_jax.commands.evaluate import evaluate_in
from lts_jax.commands.report import stored_evaluation, write_report
from lts_jax.commands.train import train_in
from lts_jax.errors import UserError
from lts_jax.evaluation.evaluate import EvaluationSettings
from lts_jax.learning.run_keeping import places_of_iteration
from lts_jax.llm.budget import BudgetSettings
from lts_jax.rollouts.collect import CollectSettings
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.rollouts.store import read_folder
from lts_jax.systems import comparison
from lts_jax.systems.comparison import ComparisonSettings, matched_threshold
from lts_jax.systems.lts import TrainSettings, train_controller, trained_params
from lts_jax.systems.run_folder import open_run
from lts_jax.systems.world import ModelSettings, almanac_tasks
from lts_jax.teams.settings import TeamSettings

TRAINING = TrainSettings(
    num_tasks=2,
    num_epochs=1,
    tasks_per_update=1,
    rollout=RolloutSettings(num_teams=2, team=TeamSettings(max_rounds=8)),
    collect=CollectSettings(num_rollouts=2),
    controller="set_transformer(width=8, num_layers=1, num_heads=1)",
)
COMPARISON = ComparisonSettings(
    policies=("magentic_one", "m1_parallel", "all", "lts", "random_matched", "similarity_matched"),
    num_matching_tasks=2,
    evaluation=EvaluationSettings(num_tasks=5, num_seeds=2),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = open_run(tmp_path_factory.mktemp("runs") / "small", TRAINING)
    train_in(folder, TRAINING)
    evaluate_in(folder, TRAINING, COMPARISON)
    write_report(folder)
    return folder


def test_the_run_folder_holds_what_it_promises(finished):
    names = {path.name for path in finished.path.iterdir()}
    assert names == {
        "config.json",
        "parts.json",
        "credit",
        "metrics.jsonl",
        "rollouts",
        "checkpoints",
        "evaluation",
        "report.json",
        "report.html",
    }
    assert {path.name for path in finished.evaluation.iterdir()} == set(COMPARISON.policies)
    report = json.loads(finished.report_json.read_text())
    assert report["num_tasks"] == 5 and report["num_seeds"] == 2
    assert not list(finished.path.rglob("*.tmp"))


def test_every_line_met_the_same_tasks_and_seeds(finished):
    rollouts = stored_evaluation(finished)
    places = {name: {one.coordinates for one in group} for name, group in rollouts.items()}
    assert len({frozenset(group) for group in places.values()}) == 1
    assert {one.num_teams for one in rollouts["magentic_one"]} == {1}
    assert all(not one.decisions for one in rollouts["m1_parallel"])
    assert all(decision.entry >= 0 for one in rollouts["all"] for decision in one.decisions)


def test_training_and_evaluation_met_the_tasks_of_their_own_split(finished):
    trained = [rollout for group in read_folder(finished.rollouts) for rollout in group.rollouts]
    evaluated = [rollout for group in stored_evaluation(finished).values() for rollout in group]
    assert {one.task.split for one in trained} == {"train"}
    assert {one.task.split for one in evaluated} == {"test"}
    assert not {one.task.question for one in trained} & {one.task.question for one in evaluated}


def test_the_learned_controller_is_greedy_in_evaluation_and_samples_in_training(finished):
    greedy = [decision for one in stored_evaluation(finished)["lts"] for decision in one.decisions]
    assert greedy
    assert all(decision.log_prob == 0.0 for decision in greedy)
    assert all(decision.action == (decision.admit_probability > 0.5) for decision in greedy)
    groups = read_folder(finished.rollouts)
    sampled = [decision for group in groups for one in group.rollouts for decision in one.decisions]
    assert {decision.action for decision in sampled} == {0, 1}
    assert all(decision.log_prob < 0.0 for decision in sampled)


def test_what_is_learned_from_is_what_was_decided(finished):
    lines = [json.loads(line) for line in finished.metrics.read_text().splitlines()]
    assert [line["iteration"] for line in lines] == list(range(TRAINING.num_iterations))
    assert all(line["learning/behavior_gap"] < 1e-5 for line in lines)


def test_the_matched_coin_admits_at_the_learned_rate(finished):
    rollouts = stored_evaluation(finished)
    actions = [decision.action for one in rollouts["lts"] for decision in one.decisions]
    rate = sum(actions) / len(actions)
    assert rate != 0.5
    assert {one.policy for one in rollouts["random_matched"]} == {f"random(rate={rate!r})"}


def test_a_run_is_not_gone_on_with_under_other_settings(finished):
    """Even where nobody compares `config.json`, the checkpoint knows which settings wrote it."""
    before = {path: path.read_bytes() for path in finished.path.rglob("*") if path.is_file()}
    for changed in (
        replace(TRAINING, learning=replace(TRAINING.learning, sparsity_weight=0.4)),
        replace(TRAINING, world_seed=1),
    ):
        with pytest.raises(UserError, match="written by configuration"):
            train_controller(finished, changed)
        with pytest.raises(UserError, match="written by configuration"):
            trained_params(finished, changed)
    assert {path: path.read_bytes() for path in finished.path.rglob("*") if path.is_file()} == before


def test_what_is_lost_is_made_again_and_made_the_same(finished):
    before = finished.report_json.read_text()
    shutil.rmtree(finished.evaluation / "all")
    victim = next((finished.evaluation / "lts").glob("*.parquet"))
    victim.unlink()
    evaluate_in(finished, TRAINING, COMPARISON)
    write_report(finished)
    assert finished.report_json.read_text() == before


def test_an_unfinished_training_cannot_be_evaluated(tmp_path):
    folder = open_run(tmp_path / "r", TRAINING)
    with pytest.raises(UserError, match="trained for 0 of 2 iterations"):
        trained_params(folder, TRAINING)


def test_an_epoch_goes_through_every_task_once():
    names = [task.task_id for task in almanac_tasks(0, "train", 12)]
    batches = [places_of_iteration(names, 4, 0, iteration) for iteration in range(6)]
    for epoch in (batches[:3], batches[3:]):
        assert sorted(place for batch in epoch for place in batch) == list(range(12))
    assert batches[:3] != batches[3:]


def test_any_number_of_tasks_is_balanced():
    tasks = almanac_tasks(0, "train", 36)
    by_difficulty = {name: sum(task.difficulty == name for task in tasks) for name in ("easy", "medium", "hard")}
    by_family = [sum(task.family == family for task in tasks) for family in {task.family for task in tasks}]
    assert max(by_difficulty.values()) - min(by_difficulty.values()) <= 4
    assert max(by_family) - min(by_family) <= 1
    with pytest.raises(UserError, match="100000 were asked for"):
        almanac_tasks(0, "train", 100000)


def test_the_matched_threshold_admits_as_much_as_asked():
    low, high = (matched_threshold(TRAINING, COMPARISON, wanted) for wanted in (0.2, 0.9))
    assert low < high


def test_the_matched_threshold_is_found_on_validation_tasks_alone(monkeypatch):
    seen = []

    def admits_its_threshold(arms, tasks, settings, *rest, **further):
        """In place of rollouts: a hundred decisions, of which the threshold's share admits."""
        seen.extend(tasks)
        [arm] = arms
        threshold = float(re.fullmatch(r"similarity\(threshold=(.*)\)", arm.parts.policy.name)[1])
        decisions = [SimpleNamespace(entry=0 if number < 100 * threshold else -1) for number in range(100)]
        return {arm.name: [SimpleNamespace(decisions=decisions)]}

    monkeypatch.setattr(comparison, "evaluate", admits_its_threshold)
    for wanted in (0.2, 0.66):
        assert matched_threshold(TRAINING, COMPARISON, wanted) == pytest.approx(wanted, abs=1 / 64)
    assert {task.split for task in seen} == {"validation"}
    assert len({task.task_id for task in seen}) == COMPARISON.num_matching_tasks


def test_a_restart_counts_what_was_spent_once(tmp_path):
    training = replace(TRAINING, num_epochs=2, tasks_per_update=2)
    folder = open_run(tmp_path / "r", training)
    train_controller(folder, training)
    tokens = sum(rollout.tokens for group in read_folder(folder.rollouts) for rollout in group.rollouts)
    # The second update is lost, and one of its two groups: the other one must not be paid for twice.
    shutil.rmtree(folder.checkpoints / "state_00000002")
    (folder.checkpoints / "state_00000002.json").unlink()
    max(folder.rollouts.iterdir()).unlink()
    tight = replace(training, model=ModelSettings(budget=BudgetSettings(max_tokens=tokens)))
    train_controller(open_run(folder.path, tight), tight)
    assert len(list(folder.rollouts.iterdir())) == 4
    shutil.rmtree(folder.checkpoints / "state_00000002")
    (folder.checkpoints / "state_00000002.json").unlink()
    max(folder.rollouts.iterdir()).unlink()
    poor = replace(training, model=ModelSettings(budget=BudgetSettings(max_tokens=tokens // 2)))
    with pytest.raises(UserError, match="the budget of the run is used up"):
        train_controller(open_run(folder.path, poor), poor)
