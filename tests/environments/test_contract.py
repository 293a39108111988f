"""An environment that is not ours: its steps by hand, its contract, and the laboratory's calls on it."""

import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.environments.check import check_environment
from lts_jax.environments.contract import Acting, Controller
from lts_jax.environments.known import environment_of
from lts_jax.environments.policies import constant, constant_logit
from lts_jax.environments.rollout import rollout
from lts_jax.environments.teams.environment import TEAMS, teams
from lts_jax.environments.teams.process import Process, go_on
from lts_jax.environments.teams.settings import SimulatorShape
from lts_jax.errors import UserError
from lts_jax.lab.settings import LabSettings
from lts_jax.lab.simulate import simulate
from lts_jax.lab.trials import RULES, Trial, try_rules

sys.path.insert(0, str(Path(__file__).parent))
from notes import NOTES, Numbers, gather, notes

SMALL = LabSettings(environment=NOTES, num_iterations=20, tasks_per_update=4, num_evaluation_tasks=32)
ADMIT_ALL = Controller(constant, constant_logit(1.0), Acting(1.0))


def good(probability: float) -> Numbers:
    return Numbers(good_probability=jnp.float32(probability))


def test_two_steps_by_hand() -> None:
    task = jnp.zeros(4)
    scene, state = NOTES.begin(NOTES.shape, good(1.0), task, jax.random.key(0), None)
    state, first = NOTES.step(scene, state, ADMIT_ALL, 0)
    assert (int(first.place), int(first.action), int(first.num_keys)) == (0, 1, 0)
    np.testing.assert_allclose(state["key_nd"][:2], [[0.6, 0.8, 0.0, 0.0], [0.0] * 4], atol=1e-6)
    state, second = NOTES.step(scene, state, ADMIT_ALL, 1)
    assert (int(second.place), int(second.num_keys), int(state["worth"])) == (4, 1, 2)  # the other team's first step


def test_a_whole_rollout_by_hand() -> None:
    # Eight notes, all good and all kept: worth 8 of 8. All bad: -8 of 8. Four steps of ten seconds.
    for probability, reward in ((1.0, 1.0), (0.0, -1.0)):
        environment = replace(NOTES, params=good(probability))
        trajectory, context, _ = rollout(environment, jnp.zeros(4), jax.random.key(0), ADMIT_ALL)
        assert float(trajectory.reward_agg_g) == reward and float(trajectory.runtime_g) == 40.0
        assert np.asarray(context.num_keys_gkt).tolist() == [[0, 2, 4, 6], [1, 3, 5, 7]]
        assert bool(trajectory.used_gkt.all()) == (probability == 1.0)


def test_the_laboratory_trains_it() -> None:
    points = [{"world.good_probability": 0.5}, {"world.good_probability": 0.0}]
    found = simulate("usage_aware", settings=SMALL, seeds=2, points=points)
    assert [(row["world.good_probability"], row["seed"]) for row in found.rows] == [
        (0.5, 0),
        (0.5, 1),
        (0.0, 0),
        (0.0, 1),
    ]
    for row in found.rows[:2]:  # it has learned to tell good from bad: better than all, and than a coin
        assert row["reward"] > max(row["reward_all"], row["reward_random_matched"]) + 0.2
        assert row["reward_none"] == 0.0 and row["credit"] == "usage_aware"
    for row in found.rows[2:]:
        assert row["reward_all"] == -1.0
    assert found.curves["learning/loss"].shape == (4, 20)


def test_curves_alone_are_those_of_a_run_that_is_measured_too() -> None:
    alone = simulate(settings=replace(SMALL, num_iterations=3, num_evaluation_tasks=0), seeds=2)
    measured = simulate(settings=replace(SMALL, num_iterations=3, num_evaluation_tasks=4), seeds=2)
    assert alone.rows == ({"credit": "usage_aware", "seed": 0}, {"credit": "usage_aware", "seed": 1})
    np.testing.assert_allclose(alone.curves["learning/loss"], measured.curves["learning/loss"], rtol=1e-6)


def test_what_it_lacks_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"^credit scheme counterfactual: needs flipped, and environment notes replays"):
        simulate("counterfactual", settings=SMALL, seeds=1)
    with pytest.raises(UserError, match=r"^rules: environment notes has no oracle"):
        try_rules(SMALL, [{}], (0,), RULES, Trial(NOTES.measures, 4))
    with pytest.raises(UserError, match=r"^world.good_probability: expected from 0 to 1, got 2$"):
        simulate(settings=SMALL, seeds=1, points=[{"world.good_probability": 2.0}])
    with pytest.raises(UserError, match=r"^world.overlap: expected a number of world"):
        simulate(settings=SMALL, seeds=1, points=[{"world.overlap": 0.5}])
    with pytest.raises(UserError, match=r"^shape: expected the Sizes of environment notes, got a SimulatorShape$"):
        LabSettings(environment=NOTES, shape=SimulatorShape())


def floats(scene, state, event_e):
    trajectory, context, truth = gather(NOTES.shape, scene, state, event_e)
    return replace(trajectory, action_gkt=trajectory.action_gkt.astype(jnp.float32)), context, truth


def nothing(scene, state, event_e):
    return jnp.zeros(()), gather(NOTES.shape, scene, state, event_e)[1], None


def raising(scene, state):
    raise ZeroDivisionError("by nobody")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"gather": floats},
            r"environment: notes: gather: expected action_gkt int32\[2, 2, 4\], got float32\[2, 2, 4\]",
        ),
        ({"gather": nothing}, "environment: notes: gather: expected a Trajectory, got a"),
        ({"is_running": raising}, "environment: notes: tracing a group raises ZeroDivisionError: by nobody"),
        ({"shape": 3}, r"environment: notes: expected a whole number shape.num_teams, got None"),
        ({"params": SimulatorShape()}, "environment: notes: expected a number has_memory among its params, got none"),
        ({"follows_scripts": True}, "environment: notes: follows_scripts: expected event_kt in its truth, got none"),
    ],
)
def test_a_broken_contract_is_refused_in_one_line(changed, message) -> None:
    with pytest.raises(UserError, match=f"^{message}") as refused:
        check_environment(replace(NOTES, **changed))
    assert "\n" not in str(refused.value)


def test_a_text_names_a_function_of_ones_own() -> None:
    path = Path(__file__).parent / "notes.py"
    assert environment_of(f"{path}:notes(num_teams=3)").shape.num_teams == 3
    assert environment_of("teams") is TEAMS
    for text, message in {
        f"{path}:notes(teams=3)": "environment: .* has no setting 'teams'",
        f"{path}:good": "environment: ",
        "team": r"environment: expected a name, .*did you mean teams",
    }.items():
        with pytest.raises(UserError, match=message):
            environment_of(text)
    assert notes(3).shape.num_entries == 12


def hurry(scene, state, turn, work, seconds):
    """Today's last phase, but that a team which goes on is at work for one second only."""
    state = go_on(scene, state, turn, work, seconds)
    next_k = jnp.where(jnp.isfinite(state.next_seconds_k), state.started_seconds_k + 1.0, jnp.inf)
    return replace(state, next_seconds_k=turn.put(state.next_seconds_k, jnp.max(jnp.where(turn.here_k, next_k, 0.0))))


def test_one_phase_of_the_teams_can_be_replaced() -> None:
    shape = SimulatorShape(num_teams=2, max_steps=5, num_nodes=5, num_entries=8, embedding_width=8)
    task = TEAMS.draw_task(shape, TEAMS.params, jax.random.key(1))
    usual, hurried = (
        rollout(replace(environment, shape=shape), task, jax.random.key(2), ADMIT_ALL)[0]
        for environment in (TEAMS, teams(Process(go_on=hurry)))
    )
    later = np.asarray(hurried.step_mask_gkt)[:, 1:]
    np.testing.assert_allclose(np.asarray(hurried.step_seconds_gkt)[:, 1:][later], 1.0, atol=1e-4)
    np.testing.assert_array_equal(usual.step_seconds_gkt[:, 0], hurried.step_seconds_gkt[:, 0])
    assert later.any() and teams() is TEAMS
