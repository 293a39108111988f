"""Trials: rules mean what they say, seeds pair them, and a coin admits as often as it is told."""

import numpy as np
import pytest

from lts_jax.environments.contract import Rollouts
from lts_jax.environments.measures import measures
from lts_jax.environments.teams.settings import SimulatorShape
from lts_jax.lab.settings import LabSettings
from lts_jax.lab.trials import RULES, Trial, try_coin, try_rules

SETTINGS = LabSettings(shape=SimulatorShape(num_teams=2, max_steps=6, num_entries=12))
POINTS = [{"world.wrong_probability": 0.0}, {"world.wrong_probability": 1.0}]
SEEDS = (3, 4)


def measure(rollouts: Rollouts) -> dict:
    trajectory, _, truth = rollouts
    holds_wrong = (truth.held_km > 0).any()
    agree_k = truth.answer_k[..., :1] == truth.answer_k
    return measures(rollouts) | {
        "holds_wrong": holds_wrong,
        "num_decisions": trajectory.decision_mask_gkt.sum(),
        "right_ones_agree": (agree_k | ~(truth.is_right_k & truth.is_right_k[..., :1])).all(),
    }


@pytest.fixture(scope="module")
def found() -> dict:
    return try_rules(SETTINGS, POINTS, SEEDS, RULES, Trial(measure, 24))


def test_measures_come_by_rule_point_and_seed(found):
    assert set(found) == set(RULES)
    assert found["all"]["reward"].shape == (2, 2)
    # A point's world is its own: with every found value wrong nobody earns anything.
    assert (found["none"]["reward"][1] == 0).all() and (found["none"]["reward"][0] > 0).all()
    # A seed is its own: other tasks, other times.
    assert found["none"]["runtime_seconds"][0, 0] != found["none"]["runtime_seconds"][0, 1]


def test_rules_admit_what_they_say(found):
    fraction = {name: one["admission_fraction"] for name, one in found.items()}
    assert (fraction["all"] == 1.0).all() and (fraction["none"] == 0.0).all()
    assert (found["none"]["num_decisions"] == 0).all()  # there is no bank to decide on
    assert ((fraction["random"] > 0.3) & (fraction["random"] < 0.7)).all()
    assert ((fraction["novelty"] > 0) & (fraction["novelty"] < 1)).all()
    assert (fraction["oracle"][0] > fraction["oracle"][1]).all()  # where needed facts are all wrong, detours are left


def test_without_a_bank_numbers_of_the_bank_change_nothing(found):
    # What a value's error does to others needs a bank; times do not hang on values.
    assert found["none"]["runtime_seconds"][0] == pytest.approx(found["none"]["runtime_seconds"][1])


def test_the_truth_names_held_values_and_answers(found):
    assert (found["none"]["holds_wrong"][0] == 0).all() and (found["none"]["holds_wrong"][1] == 1).all()
    assert all((one["right_ones_agree"] == 1).all() for one in found.values())


def test_a_coin_admits_as_often_as_it_is_told():
    told = np.array([[0.1, 0.8], [0.3, 1.0]])  # points x seeds: .2 and .9 on average
    coin = try_coin(SETTINGS, POINTS, SEEDS, told, Trial(measure, 24))
    assert coin["admission_fraction"].mean(0) == pytest.approx([0.2, 0.9], abs=0.08)
