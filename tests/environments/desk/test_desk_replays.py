"""Replays on the desk: one decision turned to nothing against plain Python, additions withheld, forks, and credit."""

import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.actions import ADD, ANSWER, NOOP, RETRIEVE
from lts_jax.credit.replays import counterfactual, difference_rewards
from lts_jax.environments.contract import ASK, Acting, Controller, Fork, Script
from lts_jax.environments.desk.coding import NOTHING
from lts_jax.environments.desk.environment import desk
from lts_jax.environments.desk.settings import DeskParams, DeskShape
from lts_jax.environments.pipeline.environment import pipeline
from lts_jax.environments.pipeline.settings import PipelineShape
from lts_jax.environments.policies import blind
from lts_jax.environments.randomness import seed_words
from lts_jax.environments.replays import Original, ReplaySettings, flip_decisions, withhold_coalitions
from lts_jax.environments.rollout import draw_group, group, rollout
from lts_jax.errors import UserError

sys.path.insert(0, str(Path(__file__).parent))
from plain_desk import PlainDesk

SHAPE = DeskShape(num_stored=4, num_distractors=2, block_size=2, num_entries=8, num_slots=4, rounds=3)
PARAMS = DeskParams(
    drawer_slots=4.0, task_weight=1.0, tools_weight=0.0, context_weight=0.0, memory_weight=0.0, penalty_weight=0.0
)
DESK = replace(desk(), shape=SHAPE, params=PARAMS)
SETTINGS = ReplaySettings(max_places=SHAPE.max_steps, num_permutations=2, num_blocks=2, num_rerollouts=2)
NUM_SCRIPTS = 24


def scripted(params, seen):
    """Actions and targets from a list, by the number of the action."""
    actions, targets = params
    number = seen.latent[1].num_done
    wanted = jax.nn.one_hot(actions[number], 8) * 9.0
    return wanted.at[0].add(1.0), jax.nn.one_hot(targets[number], SHAPE.num_targets)


def play(key, actions, targets):
    """A rollout of a script, and what the replays of it find."""
    task, key_g = draw_group(DESK, key, 1)
    controller = Controller(scripted, (actions, targets), Acting(1.0, True))
    trajectory, _, truth = group(DESK, task, key_g, controller)
    original = Original(DESK, task, key_g, controller, trajectory, truth)
    return task, trajectory, flip_decisions(original, SETTINGS), withhold_coalitions(original, SETTINGS)


@pytest.fixture(scope="module")
def played():
    """Scripts that mostly store what is said, look it up and answer."""
    draw = np.random.default_rng(3)
    sense = np.array([ADD, ADD, NOOP] * SHAPE.num_blocks + [RETRIEVE, ANSWER, NOOP])
    stray = draw.random((NUM_SCRIPTS, SHAPE.max_steps)) < 0.2
    actions = np.where(stray, draw.integers(0, 8, stray.shape), sense)
    targets = np.where(actions == ADD, SHAPE.num_entries, 0) + draw.integers(0, 4, stray.shape)
    keys = jax.random.split(jax.random.key(5), NUM_SCRIPTS)
    return actions, targets, jax.device_get(jax.jit(jax.vmap(play))(keys, jnp.asarray(actions), jnp.asarray(targets)))


def score_of(plain: PlainDesk, task) -> float | None:
    """What the answer scores; None where something is not known and guessed, or nothing was said."""
    asked = [(a, v) for a, v in zip(task.asked_2, task.answer_2, strict=True) if a != NOTHING]
    if plain.answer is None or not all(attribute in plain.answer for attribute, _ in asked):
        return None
    return float(np.mean([plain.answer[attribute][1] == value for attribute, value in asked]))


def test_a_turned_decision_ends_as_in_plain_python(played) -> None:
    actions, targets, found = played
    num_known = num_lost = 0
    for place in range(NUM_SCRIPTS):
        task, trajectory, flipped, _ = jax.tree.map(lambda leaf, place=place: leaf[place], found)
        whole = PlainDesk(SHAPE, PARAMS, task)
        for action, target in zip(actions[place], targets[place], strict=True):
            whole.act(int(action), int(target))
        for number in np.flatnonzero(trajectory.decision_mask_gkt[0, 0]):
            plain = PlainDesk(SHAPE, PARAMS, task)
            for at, (action, target) in enumerate(zip(actions[place], targets[place], strict=True)):
                plain.act(NOOP if at == number else int(action), int(target))
            assert flipped.runtime_gkt[0, 0, number] == plain.done
            score = score_of(plain, task)
            if score is not None:
                assert flipped.reward_agg_gkt[0, 0, number] == pytest.approx(score)
            if trajectory.action_gkt[0, 0, number] == NOOP:
                assert flipped.reward_agg_gkt[0, 0, number] == trajectory.reward_agg_g[0]
            num_known += score is not None
            num_lost += score is None and score_of(whole, task) is not None
    assert num_known > 30 and num_lost > 10  # decisions that mattered were among them


def test_a_grown_memory_ends_as_the_rollout_and_an_empty_one_guesses(played) -> None:
    _, _, (_, trajectory, _, coalitions) = played
    whole = np.repeat(trajectory.reward_agg_g[..., None], 2, -1)
    np.testing.assert_array_equal(coalitions.reward_agg_gpc[..., -1], whole)
    stored = trajectory.reward_agg_g[:, 0] == 1.0
    assert stored.sum() > 3
    assert coalitions.reward_agg_gpc[stored][..., 0].mean() < 0.5  # every addition took its turn and added nothing


def test_credit_of_a_turned_decision_is_by_hand_and_comas_is_refused(played) -> None:
    _, _, (_, trajectory, flipped, _) = played
    one = jax.tree.map(lambda leaf: leaf[0], replace(trajectory, flipped=flipped))
    by_hand = one.reward_agg_g[:, None, None] - one.flipped.reward_agg_gkt
    found = difference_rewards(one, first_weight=0.0)
    np.testing.assert_allclose(found, np.where(one.decision_mask_gkt, by_hand, 0.0))
    with pytest.raises(UserError, match=r"^counterfactual: expected two actions, got 8; "):
        counterfactual(one)


WORLDS = {"desk": DESK, "pipeline": replace(pipeline(), shape=PipelineShape(num_stored=8, num_distractors=4))}


@pytest.mark.parametrize("name", WORLDS)
def test_a_rollout_told_what_it_did_is_itself_and_a_fork_keeps_what_came_before(name) -> None:
    environment, never = WORLDS[name], jnp.asarray(10**6)
    controller = Controller(
        blind(environment.shape.num_actions, environment.shape.num_targets), jnp.zeros(()), Acting(1.0, False)
    )
    key = jax.random.key(6)
    task, key_g = draw_group(environment, key, 1)
    run = jax.jit(lambda script: rollout(environment, task, key_g[0], controller, script))
    nothing = jnp.full((environment.shape.num_teams, environment.shape.max_steps), ASK)
    words = seed_words(key_g[0]), seed_words(key)
    trajectory, _, truth = run(Script(nothing, Fork(never, words[1]), nothing))
    forced = jnp.where(trajectory.decision_mask_gkt, trajectory.action_gkt, ASK)
    was_before = trajectory.decision_mask_gkt & (truth.event_kt < 4)
    before = jnp.where(was_before, forced, ASK)
    told = run(Script(forced, Fork(never, words[1]), trajectory.target_gkt))[0]
    same = run(Script(before, Fork(jnp.asarray(4), words[0]), trajectory.target_gkt))[0]
    other = run(Script(before, Fork(jnp.asarray(4), words[1]), trajectory.target_gkt))[0]
    for again in (told, same):
        jax.tree.map(np.testing.assert_array_equal, again, trajectory)
    assert was_before.any()
    np.testing.assert_array_equal(other.action_gkt[was_before], trajectory.action_gkt[was_before])
    np.testing.assert_array_equal(other.target_gkt[was_before], trajectory.target_gkt[was_before])
    assert (other.action_gkt != trajectory.action_gkt).any()
