"""`lts sweep --side grid`: numbers of rewards and learning in one program, the rest refused or a program more."""

import pytest

from lts_jax.errors import UserError
from lts_jax.lab.grid_sweep import MEASURES, GridSweepSettings, measure_grid
from lts_jax.learning.ppo import PpoSettings
from lts_jax.sweeps.cells import cells
from lts_jax.sweeps.fields import sweep_fields
from lts_jax.sweeps.sides import side

TINY = GridSweepSettings(num_updates=4, learning=PpoSettings(num_environments=4, rollout_steps=4))


def test_points_share_a_program_and_a_point_alone_has_the_same_measures():
    points = [
        {"learning.entropy_weight": 0.0, "world.stay_reward": 0.0},
        {"learning.entropy_weight": 1.0, "world.stay_reward": 0.5},
    ]
    rows = measure_grid(TINY, points, [1, 2])
    assert len(rows) == 4 and all(set(row) == set(MEASURES) for row in rows)
    assert rows[2]["reward"] > rows[0]["reward"] + 0.05  # staying is paid
    again = measure_grid(TINY, points[1:], [2])
    assert again[0]["reward"] == pytest.approx(rows[3]["reward"], abs=1e-4)


def test_every_number_is_swept_inside():
    known = sweep_fields(TINY)
    points = [{"learning.clip": 0.1, "learning.num_epochs": 1}, {"learning.clip": 0.3, "learning.num_epochs": 1}]
    made = cells(TINY, known, points)
    assert len(made) == 1 and [dict(point) for point in made[0].inner] == [
        {"learning.clip": 0.1},
        {"learning.clip": 0.3},
    ]
    assert {"world.goal_reward", "learning.discount", "core", "width"} <= set(known)
    assert side("grid").default_settings() == GridSweepSettings()
    assert "sweep it with --side simulator" in side("grid").lacks("credit")


def test_what_is_no_number_is_one_line():
    with pytest.raises(UserError, match="expected a number of world or learning"):
        measure_grid(TINY, [{"learning.num_epochs": 2.0}], [1])
    with pytest.raises(UserError, match="num_updates: expected at least 4"):
        GridSweepSettings(num_updates=2)
    with pytest.raises(UserError, match="core: expected one of srmt"):
        GridSweepSettings(core="lstm")  # type: ignore[arg-type]
