"""The oracle rule: what it admits, step by step, and that its own bookkeeping is what the record says afterwards."""

import asyncio

import pytest
from offline_steps import FAILED, FOUND_RIGHT, FOUND_STALE, LISTED, TICKETS, step

from lts_jax.admission.policy import AdmissionRequest
from lts_jax.admission.rules import make_rule
from lts_jax.admission.step_kinds import RIGHT, WRONG, label_decisions
from lts_jax.errors import UserError
from lts_jax.llm.budget import Budget
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.records import Coordinates
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.train_settings import TrainSettings

STEPS = (FOUND_RIGHT, FOUND_STALE, LISTED, FAILED, FOUND_RIGHT, FOUND_STALE)


def admits(rule, outputs=STEPS, rollout=None, question=TICKETS.question):
    """The rule's answers where every admission is committed before the next step."""
    policy, rollout, actions = make_rule(rule, HashingEncoder()), rollout or object(), []
    for number, output in enumerate(outputs):
        keys = ("key",) * sum(actions)
        place = Coordinates(0, 0, TICKETS.task_id, 0)
        request = AdmissionRequest(question, keys, step(output, number=number), place, 0.0, (), rollout)
        actions.append(asyncio.run(policy.decide(request, None)).action)
    return actions


@pytest.mark.parametrize(
    ("rule", "actions"),
    [
        ("oracle", [1, 0, 0, 0, 0, 0]),
        ("oracle(values=any)", [1, 1, 0, 0, 0, 0]),
        ("oracle(repeats=true)", [1, 0, 0, 0, 1, 0]),
        ("oracle(listings=true)", [1, 0, 1, 0, 0, 0]),
        ("oracle(values=none, listings=true)", [0, 0, 1, 0, 0, 0]),
    ],
)
def test_steps_are_admitted_by_their_kind_and_once(rule, actions):
    assert admits(rule) == actions


def test_rollouts_side_by_side_do_not_know_each_other():
    policy, place = make_rule("oracle", HashingEncoder()), Coordinates(0, 0, TICKETS.task_id, 0)
    for rollout in (object(), object()):
        request = AdmissionRequest(TICKETS.question, (), step(FOUND_RIGHT), place, 0.0, (), rollout)
        assert asyncio.run(policy.decide(request, None)).action == 1


def test_an_admission_that_is_not_committed_yet_hides_nothing():
    policy, place, rollout = make_rule("oracle", HashingEncoder()), Coordinates(0, 0, TICKETS.task_id, 0), object()
    for keys, action in (((), 1), ((), 1), (("key",), 0)):
        request = AdmissionRequest(TICKETS.question, keys, step(FOUND_RIGHT), place, 0.0, (), rollout)
        assert asyncio.run(policy.decide(request, None)).action == action


def test_wrong_settings_and_questions_of_elsewhere_are_refused():
    with pytest.raises(UserError, match="expected one of right, any, none"):
        make_rule("oracle(values=true_ones)", HashingEncoder())
    with pytest.raises(UserError, match="no page of the offline world 0"):
        admits("oracle", question="Which pond is the deepest?")


@pytest.mark.parametrize(("values", "kinds"), [("right", {RIGHT}), ("any", {RIGHT, WRONG})])
def test_in_rollouts_exactly_the_new_values_of_its_kind_are_stored(values, kinds):
    run = make_parts(TrainSettings())
    parts = run.rollout_parts(make_rule(f"oracle(values={values})", run.encoder), Budget())
    (group,) = collect_groups(run.tasks("train", 1), parts, run.settings.rollout, CollectSettings(2), Iteration(3, 0))
    for rollout in group.rollouts:
        stored = [decision.entry >= 0 for decision in rollout.decisions]
        assert any(stored)
        assert stored == [label.kind in kinds and label.is_new for label in label_decisions(rollout)]
