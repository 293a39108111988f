"""The compiled simulator against one rollout in plain Python, and its laws: jit, vmap, padding."""

import importlib.util
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.environments.contract import ASK, Acting, Controller, Script
from lts_jax.environments.policies import constant, constant_logit, novelty
from lts_jax.environments.randomness import seed_words
from lts_jax.environments.rollout import rollout
from lts_jax.environments.teams.environment import TEAMS
from lts_jax.environments.teams.settings import SimulatorParams, SimulatorShape
from lts_jax.environments.teams.task import draw_task

_SPEC = importlib.util.spec_from_file_location(
    "simulator_twin", Path(__file__).parents[2] / "reference" / "simulator_twin.py"
)
twin = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(twin)

SHAPE = SimulatorShape(num_teams=3, max_steps=8, num_nodes=9, num_entries=20, embedding_width=8, bounded_bank=True)
WORLD = SimulatorParams(needed_low=2.0, needed_high=4.0, num_dead_ends=2.0, pull_probability=0.9, step_limit=7.0)
NUM_SEEDS = 6
COIN = float(constant_logit(0.6))

# Each a world that reaches another part of the code.
WORLDS = {
    "plain": WORLD,
    "no memory": replace(WORLD, has_memory=0.0),
    "evicts the oldest": replace(WORLD, capacity=3.0, evict_rule=0.0),
    "evicts the least read": replace(WORLD, capacity=3.0, evict_rule=1.0),
    "evicts the least wanted": replace(WORLD, capacity=3.0, evict_rule=2.0),
    "first answer ends": replace(WORLD, first_answer_ends=1.0),
    "deadline": replace(WORLD, deadline_seconds=90.0),
    "slow controller": replace(WORLD, decision_seconds=30.0),
    "slow summaries, an early end": replace(
        WORLD, summary_seconds=40.0, decision_seconds=5.0, first_answer_ends=1.0, deadline_seconds=200.0
    ),
    "crashes, stalls, poison": replace(
        WORLD, crash_probability=0.1, stall_probability=0.2, poison_probability=0.3, stop_probability=0.1
    ),
    "window, failures discourage": replace(
        WORLD, listing_window=4.0, discourage_probability=0.8, drop_probability=0.3, wrong_probability=0.5
    ),
}


def coin_of(query, keys, triplet, node, variant) -> float:
    return COIN


def novelty_of(query, keys, triplet, node, variant) -> float:
    return 1e9 if max((float(key @ triplet[1]) for key in keys), default=-1.0) < 0.6 else -1e9


POLICIES = {"coin": (constant, jnp.float32(COIN), coin_of), "novelty": (novelty, jnp.float32(0.6), novelty_of)}


@lru_cache
def compiled(policy: str):
    """All seeds of one world at once: (world, forced) -> tasks and rollouts."""
    function, params, _ = POLICIES[policy]

    def one(world, key, forced_kt):
        task = draw_task(SHAPE, world, key)
        controller = Controller(function, params, Acting(1.0, False))
        result = rollout(replace(TEAMS, shape=SHAPE, params=world), task, key, controller, Script(forced_kt))
        return task, seed_words(key), result

    run = jax.jit(jax.vmap(one, in_axes=(None, 0, 0)))
    return lambda world, forced_skt: run(jax.tree.map(jnp.float32, world), keys(), forced_skt)


def keys():
    return jax.random.split(jax.random.key(5), NUM_SEEDS)


ASKED = np.full((NUM_SEEDS, SHAPE.num_teams, SHAPE.max_steps), ASK, np.int32)


def check(policy: str, world: SimulatorParams, forced_skt: np.ndarray = ASKED) -> list:
    tasks, seeds, results = jax.tree.map(np.asarray, compiled(policy)(world, jnp.asarray(forced_skt)))
    twins = []
    for s in range(NUM_SEEDS):
        task, (trajectory, context, truth) = jax.tree.map(lambda value: value[s], (tasks, results))  # noqa: B023
        forced = {(k, t): int(forced_skt[s, k, t]) for k, t in np.argwhere(forced_skt[s] != ASK).tolist()}
        slow = twin.twin_rollout(
            SHAPE, world, twin.TwinTask.of(task), seeds[s].tolist(), POLICIES[policy][2], forced=forced
        )
        same(slow, trajectory, context, truth)
        twins.append(slow)
    return twins


def num_spared(slow, number: int) -> int:
    """Readers that never worked on the entry's node, and that no earlier entry about it had spared that."""
    node, count = slow.bank[number].node, 0
    for reader in slow.bank[number].readers:
        has_worked = any(team == reader and step.node == node for (team, _), step in slow.steps.items())
        count += not has_worked and not any(e.node == node and reader in e.readers for e in slow.bank[:number])
    return count


def same(slow, trajectory, context, truth) -> None:
    """Equal trajectory, context and truth: integers exactly, floats to rounding."""
    near = partial(np.testing.assert_allclose, rtol=2e-5, atol=1e-5)
    near(trajectory.reward_agg_g, slow.reward_agg)
    near(trajectory.reward_first_g, slow.reward_first)
    near(trajectory.runtime_g, slow.runtime)
    near(trajectory.finish_seconds_gk, [team.finish for team in slow.teams])
    near(truth.score_k, slow.scores)
    assert truth.has_answer_k.tolist() == slow.has_answer
    assert truth.is_right_k.tolist() == slow.is_right
    assert bool(trajectory.rollout_mask_g) == any(slow.has_answer)
    for k, t in np.ndindex(trajectory.step_mask_gkt.shape):
        step = slow.steps.get((k, t))
        assert bool(trajectory.step_mask_gkt[k, t]) == (step is not None)
        if step is None:
            assert trajectory.action_gkt[k, t] == 0 and np.isposinf(trajectory.decision_seconds_gkt[k, t])
            continue
        entry = None if step.entry is None else slow.bank[step.entry]
        assert int(trajectory.action_gkt[k, t]) == step.action
        assert bool(trajectory.decision_mask_gkt[k, t]) == step.is_decided
        assert int(context.num_keys_gkt[k, t]) == step.num_keys
        assert int(truth.node_kt[k, t]) == step.node
        assert int(truth.variant_kt[k, t]) == step.variant
        assert int(truth.event_kt[k, t]) == step.event
        assert int(truth.entry_kt[k, t]) == (SHAPE.num_entries if step.entry is None else step.entry)
        assert int(trajectory.num_other_readers_gkt[k, t]) == (len(entry.readers) if entry else 0)
        assert bool(trajectory.used_gkt[k, t]) == bool(entry and entry.readers)
        assert int(trajectory.num_spared_gkt[k, t]) == (num_spared(slow, step.entry) if entry else 0)
        near(trajectory.first_pull_seconds_gkt[k, t], entry.first_pull if entry else np.inf)
        near(trajectory.behavior_log_prob_gkt[k, t], step.log_prob)
        near(trajectory.decision_seconds_gkt[k, t], step.decided)
        near(trajectory.step_seconds_gkt[k, t], step.seconds, atol=1e-4)
        near(context.step_gktsd[k, t], step.triplet)
    for number in range(SHAPE.num_entries):
        near(context.key_gnd[number], slow.bank[number].key if number < len(slow.bank) else 0.0)


@pytest.mark.parametrize("name", WORLDS)
def test_every_part_of_the_world_equals_the_twin(name: str) -> None:
    assert sum(len(slow.steps) for slow in check("coin", WORLDS[name])) > 2 * NUM_SEEDS


def test_a_policy_that_reads_keys_equals_the_twin() -> None:
    twins = check("novelty", WORLDS["evicts the least wanted"]) + check("novelty", WORLDS["slow controller"])
    actions = {step.action for slow in twins for step in slow.steps.values()}
    assert actions == {0, 1}


def test_forced_actions_equal_the_twin_and_are_taken() -> None:
    forced = np.random.default_rng(0).integers(-1, 2, ASKED.shape, np.int32)
    for s, slow in enumerate(check("coin", WORLD, forced)):
        for (k, t), step in slow.steps.items():
            assert forced[s, k, t] in (ASK, step.action)


def test_the_worlds_reach_what_they_are_named_after() -> None:
    """A twin that never evicts, crashes or is late would agree for no reason."""
    by_name = {name: check("coin", world) for name, world in WORLDS.items()}
    entries = [entry for name in WORLDS if "evicts" in name for slow in by_name[name] for entry in slow.bank]
    assert any(not entry.is_alive for entry in entries) and any(entry.readers for entry in entries)
    assert all(not slow.bank for slow in by_name["no memory"])
    assert any(team.end == 90.0 for slow in by_name["deadline"] for team in slow.teams)
    assert any(team.has_died for slow in by_name["crashes, stalls, poison"] for team in slow.teams)
    assert any(entry.variant >= twin.PLANTED for slow in by_name["crashes, stalls, poison"] for entry in slow.bank)
    assert any(not answer for slow in by_name["first answer ends"] for answer in slow.has_answer)
    assert any(team.dropped for slow in by_name["window, failures discourage"] for team in slow.teams)


def test_one_rollout_alone_equals_its_place_in_a_batch() -> None:
    """vmap is a loop, bit for bit in what is counted; seconds to rounding, as compilers group products differently."""
    _, _, batch = compiled("coin")(WORLD, jnp.asarray(ASKED))
    run = jax.jit(lambda key: rolled(SHAPE, WORLD, key))
    for s, key in enumerate(keys()[:2]):
        alone = run(key)
        for one, many in zip(jax.tree.leaves(alone), jax.tree.leaves(batch), strict=True):
            if jnp.issubdtype(one.dtype, jnp.floating):
                np.testing.assert_allclose(one, many[s], rtol=1e-5, atol=1e-5)
            else:
                np.testing.assert_array_equal(one, many[s])


def rolled(shape, world, key):
    controller = Controller(constant, jnp.float32(COIN), Acting(1.0, False))
    return rollout(replace(TEAMS, shape=shape, params=world), draw_task(shape, world, key), key, controller)


def test_room_for_entries_that_is_not_needed_changes_nothing() -> None:
    """More room in the bank than a rollout fills is padding; room for steps numbers the places, so it matters."""
    world = replace(WORLD, stop_probability=0.3)
    wide = replace(SHAPE, num_entries=26)
    wider, wider_context, wider_truth = jax.jit(jax.vmap(partial(rolled, wide, world)))(keys())
    _, _, (trajectory, context, truth) = compiled("coin")(world, jnp.asarray(ASKED))
    assert int(jnp.sum(trajectory.action_gkt, axis=(1, 2)).max()) < SHAPE.num_entries
    for narrow, other in zip(jax.tree.leaves(trajectory), jax.tree.leaves(wider), strict=True):
        np.testing.assert_allclose(narrow, other, rtol=1e-5)
    np.testing.assert_allclose(context.key_gnd, wider_context.key_gnd[:, : SHAPE.num_entries], rtol=1e-5, atol=1e-6)
    assert np.all(np.asarray(wider_context.key_gnd)[:, SHAPE.num_entries :] == 0.0)
    np.testing.assert_array_equal(truth.variant_kt, wider_truth.variant_kt)


def test_jit_changes_nothing() -> None:
    small = SimulatorShape(num_teams=1, max_steps=2, num_nodes=4, num_entries=2, embedding_width=8, max_pulls=1)
    key = keys()[0]
    plain = partial(rolled, small, WORLD, key)
    with jax.disable_jit():
        slow = plain()
    for one, other in zip(jax.tree.leaves(jax.jit(plain)()), jax.tree.leaves(slow), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
