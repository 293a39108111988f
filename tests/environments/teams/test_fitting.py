"""The search, what it minimises, and whether it finds parameters that simulated rollouts were made with."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.environments.teams.figures import Figures
from lts_jax.environments.teams.fitting import SHARINGS, FitSettings, fit, mismatch, simulated_figures
from lts_jax.environments.teams.params_file import read_params, write_params
from lts_jax.environments.teams.search import minimum
from lts_jax.environments.teams.settings import SimulatorParams, SimulatorShape
from lts_jax.errors import UserError

SHAPE = SimulatorShape(num_teams=2, max_steps=8, num_nodes=6, num_entries=16, embedding_width=8)
PARAMS = SimulatorParams(
    needed_low=3.0, needed_high=3.0, num_dead_ends=1.0, difficulty_spread=0.2, task_spread=0.0, step_limit=8.0
)  # tasks alike, so that few of them show what they were made with


def test_the_search_finds_a_minimum_along_a_narrow_valley():
    wanted = np.array([1.0, -2.0, 0.5])

    def losses(point_pn: np.ndarray) -> np.ndarray:
        away = point_pn - wanted
        return away[:, 0] ** 2 + 100 * (away[:, 1] - away[:, 0]) ** 2 + 10 * away[:, 2] ** 2

    search = partial(minimum, losses, np.zeros(3), spread=1.0, population=12, generations=80)
    np.testing.assert_allclose(search(seed=0), wanted, atol=1e-3)
    np.testing.assert_array_equal(search(seed=3), search(seed=3))
    assert not np.array_equal(search(seed=0), search(seed=3))


def test_points_without_a_finite_loss_are_worst():
    def losses(point_pn: np.ndarray) -> np.ndarray:
        return np.where(point_pn[:, 0] < 0.5, np.nan, (point_pn[:, 0] - 0.6) ** 2 + point_pn[:, 1] ** 2)

    found = minimum(losses, np.array([2.0, 1.0]), spread=0.5, population=12, generations=60, seed=0)
    np.testing.assert_allclose(found, [0.6, 0.0], atol=1e-3)


def test_mismatch_by_hand():
    nothing = {name: jnp.full(3, jnp.nan) for name in Figures.names()}
    target = Figures(**nothing | {"runtime": jnp.array([100.0, 50.0, jnp.nan]), "reward_first": jnp.full(3, 0.5)})
    found = Figures(**nothing | {"runtime": jnp.array([110.0, 50.0, 7.0]), "reward_first": jnp.array([0.5, 0.45, 0.6])})
    # Runtime is 10 % off once, in units of 5 %: 4. The first reward is 10 % and 20 % off, in units of 10 %: 1 + 4.
    assert float(mismatch(found, target)) == pytest.approx(9.0, rel=1e-5)


@pytest.mark.slow
def test_a_fit_finds_what_rollouts_were_made_with():
    made = replace(PARAMS, find_probability=0.7, idle_pull_probability=0.4)
    shown = jax.jit(partial(simulated_figures, SHAPE, num_tasks=300, num_rollouts=2))(made, jax.random.key(7))
    targets = {
        each.name: {name: float(getattr(shown, name)[place]) for name in Figures.names()}
        for place, each in enumerate(SHARINGS)
    }
    latent = ("find_probability", "idle_pull_probability")
    settings = FitSettings(num_tasks=300, population=8, generations=14)
    found = fit(targets, SHAPE, PARAMS, settings, latent=latent)
    assert abs(PARAMS.find_probability - 0.7) > 0.3 and abs(PARAMS.idle_pull_probability - 0.4) > 0.1
    assert found.find_probability == pytest.approx(0.7, abs=0.08)
    assert found.idle_pull_probability == pytest.approx(0.4, abs=0.06)
    assert replace(found, **{name: getattr(PARAMS, name) for name in latent}) == PARAMS
    with pytest.raises(UserError, match="no 'random'"):
        fit({"none": {}, "all": {}}, SHAPE, PARAMS)
    with pytest.raises(UserError, match=r"targets\.all: expected some of runtime.*got 'speed'"):
        fit(targets | {"all": {"speed": 1.0}}, SHAPE, PARAMS)
    with pytest.raises(UserError, match="latent: expected some of"):
        fit(targets, SHAPE, PARAMS, latent=("start_seconds",))


def test_parameters_go_through_a_file(tmp_path):
    params = replace(PARAMS, overlap=0.25)
    write_params(tmp_path / "world.json", params)
    assert read_params(tmp_path / "world.json") == params
    (tmp_path / "strange.json").write_text('{"overlap": 0.5, "mood": 1.0}')
    with pytest.raises(UserError, match=r"strange\.json: unknown field 'mood'"):
        read_params(tmp_path / "strange.json")
