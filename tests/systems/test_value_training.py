"""Training by the value of an admission: killed and resumed, no bit changes."""

import math
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from lts_jax.bridge.collate import collate
from lts_jax.errors import UserError
from lts_jax.learning.settings import LearningSettings
from lts_jax.learning.state import TrainState
from lts_jax.memory.encoded_texts import EncodedTexts
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.rollouts.collect import CollectSettings
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.rollouts.store import read_folder
from lts_jax.systems.lts import Progress, TrainSettings, train_controller
from lts_jax.systems.run_folder import open_run
from lts_jax.teams.settings import TeamSettings

SETTINGS = TrainSettings(
    num_tasks=2,
    num_epochs=2,
    tasks_per_update=1,
    objective="admission_value(num_steps=3)",
    rollout=RolloutSettings(num_teams=2, team=TeamSettings(max_rounds=5)),
    collect=CollectSettings(num_rollouts=2),
    learning=LearningSettings(learning_rate=0.05, token_weight=0.1),
    encoder="hashing(width=16)",
)


class Killed(Exception):
    """In the place of a kill."""


def trained(folder: Path, settings: TrainSettings, stop_after: int | None = None) -> TrainState:
    def die(iteration: int, line: dict) -> None:
        if iteration == stop_after:
            raise Killed

    return train_controller(open_run(folder, settings), settings, Progress(on_iteration=die))


@pytest.mark.slow
@pytest.mark.parametrize("controller", ["linear", "set_transformer(width=16, num_layers=1)"])
def test_a_run_that_was_stopped_ends_with_the_same_bits(controller: str, tmp_path: Path) -> None:
    """Also where optimiser steps are taken on rollouts of iterations before the stop."""
    settings = replace(SETTINGS, controller=controller)
    whole = trained(tmp_path / "whole", settings)
    with pytest.raises(Killed):
        trained(tmp_path / "killed", settings, stop_after=2)
    again = trained(tmp_path / "killed", settings)
    ours, theirs = (jax.tree.leaves((one.params, one.opt_state, one.num_updates)) for one in (whole, again))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    lines = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "killed")]
    assert lines[0] == lines[1] and lines[0].count("\n") == 4 and "null" not in lines[0]
    assert int(whole.num_updates) == (4 if controller == "linear" else 4 * 3)
    fresh = jax.tree.leaves(whole.params)
    assert any(np.abs(leaf).max() > 0.0 for leaf in fresh)
    # Every decision fell by a coin, and that is what is stored of it.
    texts = EncodedTexts(HashingEncoder(16))
    for group in read_folder(tmp_path / "whole" / "rollouts"):
        trajectory, _ = collate(group, texts, settings.padding)
        assert trajectory.decision_mask_gkt.any() and (trajectory.tokens_g > 0.0).all()
        stored = trajectory.behavior_log_prob_gkt[trajectory.decision_mask_gkt]
        np.testing.assert_allclose(stored, math.log(0.5), rtol=1e-6)


def test_passes_of_a_few_tasks_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"^learning\.tasks_per_pass: expected 0 for admission_value, which takes a batch"
    ):
        replace(SETTINGS, num_tasks=2, tasks_per_update=2, learning=LearningSettings(tasks_per_pass=1))
