"""What a report says first: learning against a coin, the best rule, the fastest and the paper's method."""

from dataclasses import replace

from fake_rollouts import make_rollouts

from lts_jax.commands.demo import TRAINING, own_training
from lts_jax.reports.report import build_report
from lts_jax.reports.text import report_text
from lts_jax.reports.verdict import best_rule, fastest_rule, verdict


def test_learning_is_held_against_a_coin_the_best_rule_and_the_papers_method() -> None:
    rollouts = make_rollouts(6, 2)
    rollouts["admission_value"], rollouts["random_matched"] = rollouts["lts"], rollouts["all"]
    report = build_report(rollouts)
    said = verdict(report)
    assert said[0].startswith("What learning saved: admission_value (6 tasks x 2 rollouts, simulated seconds")
    assert [line.partition(":")[0] for line in said[1:]] == [
        "against a coin that admits as often",
        "against the best rule here, similarity",
        "against the fastest rule here, all",
        "against the paper's method, lts",
    ]
    assert "0.0 % less time (not resolved: 0.0 to 0.0), score +0.000" in said[4]  # the same rollouts
    assert report_text(report).startswith(said[0])


def test_a_rule_that_is_best_and_fastest_is_named_once() -> None:
    rollouts = make_rollouts(6, 2)
    rollouts["similarity"] = [replace(one, seconds=0.5 * one.seconds, reward_agg=1.0) for one in rollouts["all"]]
    report = build_report(rollouts)
    assert best_rule(report).policy == fastest_rule(report).policy == "similarity"
    said = [line.partition(":")[0] for line in verdict(report)]
    assert said[1:] == ["against the best and fastest rule here, similarity"]


def test_without_a_trained_controller_there_is_nothing_to_say() -> None:
    rollouts = make_rollouts(5, 1)
    del rollouts["lts"]
    assert verdict(build_report(rollouts)) == []


def test_ours_is_trained_on_as_many_rollouts_as_the_papers() -> None:
    ours = own_training(TRAINING)
    assert ours.objective == "admission_value" and ours.controller == "linear"
    assert (ours.num_tasks, ours.num_epochs, ours.num_iterations) == (165, 1, 11)
    assert ours.num_tasks * ours.num_epochs == TRAINING.num_tasks * TRAINING.num_epochs
