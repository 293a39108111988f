"""The desk: against a slow twin in plain Python, and what must hold of every rollout."""

import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.environments.choosing import choose_edit
from lts_jax.environments.contract import Acting, Controller
from lts_jax.environments.desk.coding import NOTHING
from lts_jax.environments.desk.environment import begin, desk, is_running, step
from lts_jax.environments.desk.settings import DeskParams, DeskShape, check_params
from lts_jax.environments.desk.task import CORRECTION, RESTATEMENT, STATEMENT, STRANGER, TALK, draw_task
from lts_jax.errors import UserError
from lts_jax.lab.lab import plan_of
from lts_jax.lab.settings import LabSettings
from lts_jax.trajectory import ALIVE

sys.path.insert(0, str(Path(__file__).parent))
from plain_desk import PlainDesk

SHAPE = DeskShape(num_stored=8, num_distractors=4, num_entries=10, num_slots=5, rounds=4)
PARAMS = DeskParams(drawer_slots=4.0)
NUM_SCRIPTS = 64


def scripted(params, seen):
    """Actions and targets from a list, by the number of the action; `choose_edit` replaces what is not legal."""
    actions, targets = params
    state = seen.latent[1]
    wanted = jax.nn.one_hot(actions[state.num_done], 8) * 9.0
    return wanted.at[0].add(1.0), jax.nn.one_hot(targets[state.num_done], SHAPE.num_targets)


@pytest.fixture(scope="module")
def played():
    """Every script from begin to end: streams, scripts, and the last states."""
    draw = np.random.default_rng(0)
    # Time to act ends a block soon if nothing is done, so that is scripted seldom; answers come late.
    actions = draw.choice(8, (NUM_SCRIPTS, SHAPE.max_steps), p=[0.08, 0.3, 0.12, 0.08, 0.14, 0.08, 0.1, 0.1])
    targets = draw.integers(0, SHAPE.num_targets, (NUM_SCRIPTS, SHAPE.max_steps))

    def one(key, actions, targets):
        task = draw_task(SHAPE, PARAMS, key)
        scene, state = begin(SHAPE, PARAMS, task, key)
        controller = Controller(scripted, (actions, targets), Acting(1.0, True))

        def forward(state, event):
            return step(scene, state, controller, event)

        state, events = jax.lax.scan(forward, state, jnp.arange(SHAPE.max_steps))
        return task, state, events

    keys = jax.random.split(jax.random.key(1), NUM_SCRIPTS)
    return actions, targets, jax.device_get(jax.jit(jax.vmap(one))(keys, jnp.asarray(actions), jnp.asarray(targets)))


def row(tree, place):
    return jax.tree.map(lambda leaf: leaf[place], tree)


def test_every_script_ends_as_in_plain_python(played) -> None:
    actions, targets, (tasks, states, _) = played
    counts = dict.fromkeys(("refused", "updates", "overflows", "summaries", "retrieved", "answers"), 0)
    for place in range(NUM_SCRIPTS):
        task, state = row(tasks, place), row(states, place)
        plain = PlainDesk(SHAPE, PARAMS, task)
        for action, target in zip(actions[place], targets[place], strict=True):
            plain.act(int(action), int(target))
        assert (int(state.num_done), bool(state.is_over)) == (plain.done, plain.is_over)
        for name, count in plain.tally.items():
            assert int(getattr(state.tally, name)) == count, name
            counts[name] = counts.get(name, 0) + count
        assert [bool(one) for one in (state.died_n == ALIVE)[: int(state.num_entries)]] == plain.alive
        facts = [facts_of(state.slots, slot) for slot in range(int(state.num_slots))]
        assert facts == [sorted(item[1]) for item in plain.slots]
        entries = [facts_of(state.drawer, entry) for entry in range(int(state.num_entries))]
        assert entries == [sorted(item[1]) for item in plain.log]
        counts["answers"] += plain.answer is not None
        if plain.answer is not None:
            known = [(a, v) for a, v in zip(task.asked_2, task.answer_2, strict=True) if a != NOTHING]
            if all(attribute in plain.answer for attribute, _ in known):
                right = np.mean([plain.answer[attribute][1] == value for attribute, value in known])
                assert float(state.score) == pytest.approx(right)
    assert min(counts.values()) > 10  # the scripts have been everywhere


def facts_of(items, place):
    rows = zip(items.attribute[place], items.value[place], items.time[place], strict=True)
    return sorted((int(a), int(v), int(t)) for a, v, t in rows if a != NOTHING)


def test_what_must_hold_of_every_action(played) -> None:
    _, _, (_, states, events) = played
    was_on = events.place < SHAPE.max_steps
    assert (np.diff(events.place, axis=1)[was_on[:, 1:]] == 1).all()  # one after the other
    taken = np.take_along_axis(events.legal_a, events.action[..., None], axis=-1)[..., 0]
    assert taken[was_on].all()
    points = events.target >= 0
    allowed = np.take_along_axis(events.target_mask_j, np.maximum(events.target, 0)[..., None], axis=-1)[..., 0]
    assert allowed[was_on & points].all() and not events.target_mask_j[was_on & ~points].any()
    # What an action ends, the next no longer sees: its number is one more than the action's.
    for place in range(NUM_SCRIPTS):
        ended = states.died_n[place][states.died_n[place] != ALIVE]
        edits = np.flatnonzero(was_on[place] & np.isin(events.action[place], (2, 3))) + 1
        assert sorted(ended.tolist()) == edits.tolist()


def test_streams_say_what_their_kinds_mean() -> None:
    shape, params = DeskShape(), DeskParams()
    draw = jax.jit(jax.vmap(lambda key: draw_task(shape, params, key)))
    tasks = jax.device_get(draw(jax.random.split(jax.random.key(2), 400)))
    stored = tasks.kind_e[:, : shape.num_stored]
    # The first event cannot be said again: .35 + .10 + .15 of it are statements. Later shares are the parameters.
    assert np.mean(stored[:, 0] == STATEMENT) == pytest.approx(0.6, abs=0.08)
    for kind, share in {STATEMENT: 0.35, RESTATEMENT: 0.1, CORRECTION: 0.15, TALK: 0.4}.items():
        assert np.mean(stored[:, 8:] == kind) == pytest.approx(share, abs=0.02)
    assert np.mean(tasks.kind_e[:, shape.num_stored :] == STRANGER) == pytest.approx(1 / 3, abs=0.03)
    for place in range(400):
        newest: dict[int, int] = {}
        for kind, attribute, value in zip(stored[place], tasks.attribute_e[place], tasks.value_e[place], strict=False):
            if kind == TALK:
                assert (attribute, value) == (NOTHING, NOTHING)
                continue
            assert (attribute in newest) == (kind != STATEMENT)
            if kind == RESTATEMENT:
                assert newest[attribute] == value
            if kind == CORRECTION:
                assert newest[attribute] != value
            newest[attribute] = value
        for attribute, value in zip(tasks.asked_2[place], tasks.answer_2[place], strict=True):
            assert value == (NOTHING if attribute == NOTHING else newest.get(attribute, NOTHING))
        assert tasks.asked_2[place, 0] != tasks.asked_2[place, 1]


def test_a_choice_among_the_legal_by_hand() -> None:
    """Three actions, the second illegal; the third points at one of two. Odds 1 : 3, then 1 : 4."""
    legal = jnp.array([True, False, True]), jnp.array([[0, 0, 0], [1, 1, 1], [1, 0, 1]], bool)
    logits, pointers = jnp.array([0.0, 50.0, float(np.log(3.0))]), jnp.array([0.0, 50.0, float(np.log(4.0))])

    def chosen(*draws: float, greedy: bool = False):
        choice = choose_edit(logits, pointers, legal, jnp.array(draws), Acting(1.0, greedy))
        return int(choice.action), int(choice.target), float(jnp.exp(choice.log_prob))

    assert chosen(0.2, 0.9) == (0, -1, pytest.approx(0.25))
    assert chosen(0.3, 0.1) == (2, 0, pytest.approx(0.75 * 0.2))
    assert chosen(0.9, 0.3) == (2, 2, pytest.approx(0.75 * 0.8))
    assert chosen(0.2, 0.1, greedy=True)[:2] == (2, 2)


def test_what_cannot_be_meant_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"^shape.num_stored: expected a multiple of block_size = 4, got 7$"):
        DeskShape(num_stored=7)
    with pytest.raises(UserError, match=r"^shape.num_slots: expected at least 1, got 0$"):
        DeskShape(num_slots=0)
    with pytest.raises(UserError, match=r"^world.drawer_slots: expected from 1 to shape.num_entries = 32, got 40$"):
        check_params(DeskParams(drawer_slots=40.0), DeskShape())
    with pytest.raises(UserError, match=r"^world.statement_probability: expected at most 1 with .*, got 1.15$"):
        check_params(DeskParams(statement_probability=0.9), DeskShape())
    with pytest.raises(UserError, match=r"^network: expected one that points at entries, as environment desk asks"):
        plan_of(LabSettings(environment="desk", credit="stepwise_broadcast", network="pooled"))
    with pytest.raises(
        UserError, match=r"^objective: admission_value knows two actions, and environment desk has more"
    ):
        plan_of(LabSettings(environment="desk", objective="admission_value", network="set_transformer"))


def test_a_rollout_over_stays_as_it_is() -> None:
    scene, state = begin(SHAPE, PARAMS, draw_task(SHAPE, PARAMS, jax.random.key(0)), jax.random.key(0))
    state = replace(state, is_over=jnp.asarray(True))
    script = jnp.ones(SHAPE.max_steps, jnp.int32), jnp.full(SHAPE.max_steps, SHAPE.num_entries)
    after, event = step(scene, state, Controller(scripted, script, Acting(1.0, True)), 0)
    assert not is_running(scene, after) and int(event.place) == SHAPE.max_steps
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(old, new)
    assert desk() is desk()
