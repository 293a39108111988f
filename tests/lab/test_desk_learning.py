"""A desk that only storing in the first stage can solve: learned where the reward reaches that stage, and not else."""

import numpy as np
import pytest

from lts_jax.environments.desk.settings import DeskParams, DeskShape
from lts_jax.lab.lab import results_by_scheme
from lts_jax.lab.settings import LabSettings
from lts_jax.learning.settings import LearningSettings

CHANCE = 1 / 16


@pytest.mark.slow
def test_what_is_paid_in_the_last_stage_alone_is_not_stored_in_the_first():
    shape = DeskShape(
        num_stored=4, num_distractors=4, block_size=4, rounds=3, num_slots=4, num_entries=8, retrieve_top=3
    )
    world = DeskParams(
        statement_probability=1.0, restatement_probability=0.0, correction_probability=0.0, two_facts_probability=0.0,
        drawer_slots=6.0, task_weight=1.0, tools_weight=0.0, context_weight=0.0, memory_weight=0.0, penalty_weight=0.0,
    )  # fmt: skip
    learning = LearningSettings(
        learning_rate=0.01, sparsity_weight=0.0, temperature=1.0, entropy_weight=0.003, weight_decay=0.0
    )
    settings = LabSettings(
        environment="desk", shape=shape, world=world, network="matching(hidden_width=16)", num_rollouts=8,
        tasks_per_update=8, num_iterations=60, num_evaluation_tasks=0, is_strict=True, learning=learning,
    )  # fmt: skip
    schemes = {"all": "stepwise_broadcast", "own": "stepwise_broadcast(broadcast=false)"}
    found = results_by_scheme(settings, schemes, [{}], range(3))
    curves = {name: np.asarray(one.curves["credit/return_mean"]) / 2.0 for name, one in found.items()}
    last = {name: curve[:, -15:].mean(axis=1) for name, curve in curves.items()}
    assert (last["all"] > 0.6).all(), last
    assert (last["own"] < CHANCE + 0.12).all(), last
    assert (curves["all"][:, :5].mean(axis=1) < 0.25).all(), "it began by chance"
