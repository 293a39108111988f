"""The desk's rules on the desk of default sizes: what each is worth, and that none does what it may not."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.actions import ADD, ANSWER, DELETE, NOOP, RETRIEVE, UPDATE
from lts_jax.environments.contract import Acting, Controller
from lts_jax.environments.desk import rules
from lts_jax.environments.desk.environment import begin, desk, step
from lts_jax.environments.desk.settings import NUM_VALUES
from lts_jax.environments.desk.task import draw_task

RULES = (
    rules.never_store,
    rules.add_all,
    rules.add_first_stage,
    rules.newest_wins,
    rules.add_update_skip,
    rules.oracle,
)
NUM_TASKS = 200


@dataclass(frozen=True)
class Played:
    """One rule on all tasks; of actions the first axis is the task, the second the action's number."""

    score: np.ndarray
    wanted: np.ndarray  # the action that the rule is sure of
    action: np.ndarray  # what `choose_edit` took
    wanted_target: np.ndarray
    target: np.ndarray
    is_on: np.ndarray
    tally: Any
    num_alive: np.ndarray


def by_number(number, seen):
    """One of the rules, so that one program serves for all."""
    return jax.lax.switch(number, [lambda seen, rule=rule: rule(None, seen) for rule in RULES], seen)


@pytest.fixture(scope="module")
def played() -> dict[str, Played]:
    """Every rule on the same tasks, and what it was sure of before it was known what is legal."""
    shape, params = desk().shape, jax.tree.map(jnp.asarray, desk().params)

    def one(number, key):
        scene, state = begin(shape, params, draw_task(shape, params, key), key)
        asked = []

        def asking(number, seen):
            asked.append(by_number(number, seen))
            return asked[-1]

        def forward(state, event):
            after, record = step(scene, state, Controller(asking, number, Acting(1.0, True)), event)
            logits, pointers = asked.pop()
            is_on = record.place < shape.max_steps
            told = jnp.argmax(logits), record.action, jnp.argmax(pointers), record.target, is_on
            return after, told

        state, told = jax.lax.scan(forward, state, jnp.arange(shape.max_steps))
        alive = jnp.sum((jnp.arange(shape.num_entries) < state.num_entries) & (state.died_n > shape.max_steps))
        return state.score, *told, state.tally, alive

    keys = jax.random.split(jax.random.key(11), NUM_TASKS)
    compiled = jax.jit(jax.vmap(one, in_axes=(None, 0)))
    found = {rule.__name__: jax.device_get(compiled(jnp.array(place), keys)) for place, rule in enumerate(RULES)}
    return {name: Played(*values) for name, values in found.items()}


def test_who_knows_the_question_is_always_right(played) -> None:
    assert (played["oracle"].score == 1.0).all()


def test_who_stores_nothing_guesses(played) -> None:
    chance = 1 / NUM_VALUES
    score = played["never_store"].score
    # Facts of the second stage are strangers', so nothing in the context answers. Four standard errors of one guess.
    assert abs(score.mean() - chance) < 4 * (chance * (1 - chance) / NUM_TASKS) ** 0.5
    assert set(np.unique(score)) <= {0.0, 0.5, 1.0}
    assert (played["never_store"].num_alive == 0).all()
    assert set(played["never_store"].action[played["never_store"].is_on]) == {NOOP, ANSWER}


@pytest.mark.parametrize(
    ("better", "worse", "margin"),
    [
        ("newest_wins", "add_first_stage", 0.1),
        ("add_first_stage", "add_all", 0.05),
        ("add_all", "never_store", 0.1),
        ("oracle", "newest_wins", 0.02),
    ],
)
def test_what_keeps_order_is_worth_more(played, better: str, worse: str, margin: float) -> None:
    """Paired, on the same tasks."""
    difference = played[better].score - played[worse].score
    assert difference.mean() > margin


@pytest.mark.parametrize("name", [rule.__name__ for rule in RULES])
def test_no_rule_does_what_it_may_not(played, name: str) -> None:
    one = played[name]
    np.testing.assert_array_equal(one.wanted[one.is_on], one.action[one.is_on])
    points = one.is_on & np.isin(one.action, (ADD, UPDATE, DELETE))
    np.testing.assert_array_equal(one.wanted_target[points], one.target[points])
    assert points.any() == (name != "never_store")
    assert (one.num_alive <= desk().params.drawer_slots).all() and (one.tally.refused == 0).all()
    last = np.take_along_axis(one.action, one.is_on.sum(axis=1, keepdims=True) - 1, axis=1)
    assert (last == ANSWER).all()  # each answers, and has looked up before if there was anything
    assert ((one.action == RETRIEVE) & one.is_on).sum() <= NUM_TASKS
