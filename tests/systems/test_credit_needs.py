"""Text-side training refuses a credit scheme by name before anything is written, and replays for one that asks."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.credit.replays import counterfactual
from lts_jax.errors import UserError
from lts_jax.learning.settings import LearningSettings
from lts_jax.rollouts.collect import CollectSettings
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.rollouts.store import read_folder
from lts_jax.systems import lts
from lts_jax.systems.run_folder import open_run
from lts_jax.systems.run_parts import Brought, make_parts
from lts_jax.systems.world import ModelSettings
from lts_jax.teams.settings import TeamSettings

SETTINGS = lts.TrainSettings(
    num_tasks=1,
    num_epochs=1,
    tasks_per_update=1,
    rollout=RolloutSettings(num_teams=2, team=TeamSettings(max_rounds=5)),
    collect=CollectSettings(num_rollouts=2),
    learning=LearningSettings(learning_rate=0.05),
    controller="set_transformer(width=8, num_layers=1, num_heads=1)",
)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"credit": "gae"},
            "credit scheme gae: needs a value head; set --controller 'set_transformer(value_head=true)'",
        ),
        (
            {"credit": "shapley"},
            "credit scheme shapley: needs coalitions, which only the simulator makes; use lts sweep",
        ),
        (
            {"credit": "counterfactual", "model": ModelSettings(name="some", base_url="http://127.0.0.1:9/v1")},
            "credit scheme counterfactual: replays rollouts, and a live model meets no world twice",
        ),
    ],
)
def test_what_cannot_be_had_is_said_before_anything_is_made(changed, message):
    with pytest.raises(UserError) as refused:
        make_parts(replace(SETTINGS, **changed)).check()
    assert str(refused.value) == message


def test_a_scheme_of_your_own_is_tried_before_the_first_rollout(tmp_path):
    def endless(trajectory):
        return jnp.full(trajectory.action_gkt.shape, jnp.inf)

    folder = open_run(tmp_path / "run", SETTINGS)
    with pytest.raises(UserError, match=r"^credit scheme .*:test_a_scheme.*endless: expected numbers, got inf at "):
        lts.train_controller(folder, make_parts(SETTINGS, Brought(credit=endless)))
    assert not folder.rollouts.exists() or not list(folder.rollouts.iterdir())


def test_a_scheme_that_asks_for_flips_is_given_them(tmp_path):
    seen = []

    def watched(trajectory):
        jax.debug.callback(lambda flipped, decided: seen.append((flipped, decided)), trajectory.flipped.runtime_gkt,
                           trajectory.decision_mask_gkt)  # fmt: skip
        return counterfactual(trajectory)

    folder = open_run(tmp_path / "run", SETTINGS)
    state = lts.train_controller(folder, make_parts(SETTINGS, Brought(credit=watched)))
    assert int(state.num_updates) == 1
    runtime, decided = seen[-1]
    np.testing.assert_array_equal(np.isfinite(runtime), decided)
    [group] = read_folder(folder.rollouts)
    assert sum(len(rollout.decisions) for rollout in group.rollouts) == decided.sum() > 0


def test_a_scheme_that_asks_for_re_rollouts_is_given_them(tmp_path):
    settings = replace(SETTINGS, credit="local_group", collect=CollectSettings(num_rollouts=1))
    state = lts.train_controller(open_run(tmp_path / "run", settings), settings, lts.Progress())
    assert int(state.num_updates) == 1


def test_gae_trains_on_text_with_a_value_head(tmp_path):
    network = "set_transformer(width=8, num_layers=1, num_heads=1, value_head=true)"
    settings = replace(SETTINGS, credit="gae", controller=network)
    state = lts.train_controller(open_run(tmp_path / "run", settings), settings, lts.Progress())
    assert int(state.num_updates) == 1
