"""Blocks of episodes: a fact that lasts as long as a block, what is seen of it, and what reading and writing cost."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.environments.gates import BOTH, LATENT, MODES, NONE, POOL
from lts_jax.environments.grid.blocks import blocks
from lts_jax.environments.grid.environment import bottlenecks
from lts_jax.environments.grid.gated import gated
from lts_jax.environments.stepping import act_all, begin_all, seeds_at
from lts_jax.errors import UserError
from lts_jax.models.gated_memory import GATES, NUM_TOLD, Told

looked = jax.jit(lambda world, params, state: world.look(world.shape, params, state), static_argnums=0)
acted = jax.jit(lambda world, *rest: world.act(world.shape, *rest), static_argnums=0)
began = jax.jit(lambda world, params: world.reset(world.shape, params, SEEDS[0]), static_argnums=0)


def static(world):
    """A world without its numbers, which are traced; worlds of one kind then share their programs."""
    return replace(world, params=None)


STAY, UP, DOWN, LEFT, RIGHT = range(5)
WORLD = blocks((3,), num_episodes=3, limit=4)
SEEDS = jax.random.bits(jax.random.key(4), (16, 2), jnp.uint32)


@pytest.fixture(scope="module")
def lived():
    """States [T, E] of 36 steps by agents who stay: three blocks of three episodes of four steps, and who is over."""

    def step(state, time):
        after, outcome = act_all(WORLD, state, jnp.zeros((16, 2), jnp.int32), seeds_at(SEEDS, time))
        return after, (state, outcome)

    return jax.jit(lambda: jax.lax.scan(step, begin_all(WORLD, SEEDS), jnp.arange(36))[1])()


def test_the_fact_lasts_for_a_block_and_changes_between(lived):
    """Rooms of a corridor of 3 are rows 0, 1 and 5, 6: an own goal lies on the start's side."""
    states, outcome = lived
    is_over = np.asarray(outcome.is_over)
    assert is_over.sum(axis=0).min() >= 3  # at the latest after 12, 24 and 36 steps
    place = np.asarray(WORLD.params.grid.maps.place_urs).reshape(-1)
    width = WORLD.params.grid.maps.width
    starts = np.asarray(states.grid.start_i) // width < 3
    goals = place[np.asarray(states.grid.goal_i)] // width < 3
    own = np.asarray(states.is_own)
    np.testing.assert_array_equal(starts == goals, np.broadcast_to(own[..., None], starts.shape))
    changes = own[1:] != own[:-1]
    assert not changes[~is_over[:-1]].any() and changes[is_over[:-1]].any()
    episodes = np.asarray(states.number)
    assert set(np.unique(episodes)) == {0, 1, 2}
    begins = np.asarray(states.grid.time) == 0
    assert len(np.unique(np.asarray(states.grid.goal_i)[begins][:, 0])) > 5  # drawn anew for every episode
    assert (place[np.asarray(states.grid.goal_i)] != np.asarray(states.grid.start_i)).all()
    for two in (states.grid.goal_i, states.grid.start_i):
        assert (np.asarray(two)[..., 0] != np.asarray(two)[..., 1]).all()
    assert (starts[..., 0] == starts[..., 1]).all()  # all begin in one room


def test_without_a_fact_episodes_are_those_of_the_bottleneck():
    """Apart, with no goal in the own room: starts, goals and maps of the grid itself."""
    world, plain = blocks((3,), own_fraction=0.0, together=False, shows_path=True), bottlenecks((3,))
    ours, theirs = began(static(world), world.params), began(static(plain), plain.params)
    for one, two in zip(jax.tree.leaves(ours.grid), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_array_equal(one, two)
    seen = [looked(static(each), each.params, state) for each, state in ((world, ours), (plain, theirs))]
    np.testing.assert_array_equal(seen[0].observation_io, seen[1].observation_io)


def test_a_block_is_one_episode_to_learning(lived):
    _, outcome = lived
    assert not outcome.is_truncated.any()
    np.testing.assert_array_equal(outcome.done_i, np.broadcast_to(outcome.is_over[..., None], outcome.done_i.shape))


def placed(world, cells, goals, **changes):
    """The first state of a world with agents on cells and goals, each (row, column), of the only map."""
    maps = (world.params.block.grid if hasattr(world.params, "block") else world.params.grid).maps
    place = list(np.asarray(maps.place_urs).reshape(-1))
    state = began(static(world), world.params)
    cell_i = jnp.asarray([row * maps.width + column for row, column in cells], jnp.int32)
    goal_i = jnp.asarray([place.index(row * maps.width + column) for row, column in goals], jnp.int32)
    inner = state.block if hasattr(state, "block") else state
    inner = replace(inner, grid=replace(inner.grid, cell_i=cell_i, start_i=cell_i, goal_i=goal_i), **changes)
    return replace(state, block=inner) if hasattr(state, "block") else inner


@pytest.mark.parametrize("shows_path", [False, True])
def test_a_goal_is_seen_where_it_lies_in_view_and_no_path(shows_path):
    """Agent 0 at (0, 2) has its goal two columns on; agent 1 at (6, 0) has its goal out of view."""
    world = blocks((3,), shows_path=shows_path)
    state = placed(world, [(0, 2), (6, 0)], [(0, 4), (6, 8)])
    seen = looked(static(world), world.params, state)
    plane_i = np.asarray(seen.observation_io[:, :25]).reshape(2, 5, 5)
    ones = [list(zip(*np.nonzero(plane == 1), strict=True)) for plane in plane_i]
    assert ones[0] == ([(2, 2), (2, 3), (2, 4)] if shows_path else [(2, 4)])
    assert ones[1] == ([(2, 2), (2, 3), (2, 4)] if shows_path else [])
    assert (plane_i[0, :2] == -1).all() and seen.place_if.shape == (2, 2)  # the goal's place is not told


def test_a_step_that_leads_on_is_paid_and_any_other_costs():
    """Agent 0 comes nearer, agent 1 stays; then agent 0 is there, and agent 1 bumps into the wall."""
    world = blocks((3,), step_cost=0.02, progress_reward=0.03)
    state = placed(world, [(0, 2), (6, 0)], [(0, 4), (6, 8)])
    for moves, reward in (((RIGHT, STAY), (0.01, -0.05)), ((RIGHT, LEFT), (1.0, -0.05))):
        state, outcome = acted(static(world), world.params, state, jnp.asarray(moves), SEEDS[1])
        np.testing.assert_allclose(outcome.reward_i, reward, atol=1e-6)
    assert not outcome.is_over and state.reached_i.tolist() == [True, False]


def action(move, write, gate):
    """The number of an action."""
    return (move * 2 + write) * len(GATES) + gate


def test_what_is_read_and_written_is_paid_for_by_hand():
    """Price .001 of a number; memories have 16, entries 19. Nobody has a memory at an episode's first step."""
    world = gated(blocks((3,), step_cost=0.01, progress_reward=0.0), "switch", price=0.001)
    state = placed(world, [(0, 0), (6, 0)], [(0, 2), (6, 8)])
    state = replace(state, gate_i=jnp.asarray([POOL, LATENT]))
    steps = [
        ((RIGHT, 1, LATENT), (STAY, 0, NONE), (-0.01 - 0.019, -0.01)),  # nothing to read; one entry is written
        ((STAY, 0, POOL), (STAY, 1, POOL), (-0.01 - 0.016, -0.01 - 0.019)),  # one reads a memory; another entry
        ((STAY, 1, POOL), (STAY, 0, BOTH), (-0.01 - 0.038 - 0.019, -0.01 - 0.038)),  # both read two entries
        ((RIGHT, 0, POOL), (STAY, 0, NONE), (1.0 - 0.038, -0.01 - 0.016 - 0.038)),  # two of three; and a memory
        ((STAY, 1, POOL), (STAY, 0, NONE), (0.0, -0.01)),  # who is there pays nothing and writes nothing
    ]
    for one, two, reward in steps:
        state, outcome = acted(static(world), world.params, state, jnp.asarray([action(*one), action(*two)]), SEEDS[1])
        np.testing.assert_allclose(outcome.reward_i, reward, atol=1e-6)
    assert int(state.num_entries) == 3
    told = Told(*np.asarray(looked(static(world), world.params, state).observation_io[:, -NUM_TOLD:]).T)
    assert told.finished.tolist() == [1, 0] and told.writes.tolist() == [0, 0] and told.reads_pool.tolist() == [1, 0]
    np.testing.assert_allclose(told.column, [0.5, 0.0], atol=1e-6)
    measures = {name: float(value) for name, value in outcome.measures.items()}
    np.testing.assert_allclose(measures["sent"], (19 + 16 + 19 + 38 + 19 + 38 + 38 + 54) / 2)
    np.testing.assert_allclose(measures["written"], 1.5)
    gates = [measures[f"share_{name}"] for name in GATES]  # steps by gate: none 2 (the last one too), latent 2, ...
    np.testing.assert_allclose(gates, [2 / 9, 2 / 9, 4 / 9, 1 / 9], atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_leaves_its_gates_open(mode):
    world = gated(blocks((3,)), mode)
    state = began(static(world), world.params)
    legal = np.asarray(looked(static(world), world.params, state).legal_ia).reshape(2, 5, 2, 4)
    gates = [GATES[number] for number in np.flatnonzero(legal.any(axis=(0, 1, 2)))]
    assert tuple(gates) == MODES[mode]
    assert legal[:, :, 1].any() == (mode in ("pool", "both", "switch"))
    assert (state.gate_i == GATES.index(MODES[mode][0])).all()


def test_at_an_infinite_price_the_switch_is_the_mode_that_reads_nothing():
    dear, none = gated(blocks((3,)), "switch", price=float("inf")), gated(blocks((3,)), "none")
    seen = [looked(static(world), world.params, began(static(world), world.params)) for world in (dear, none)]
    for one, two in zip(*map(jax.tree.leaves, seen), strict=True):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(UserError, match="price: expected a finite one in a mode in which nothing is free"):
        gated(blocks((3,)), "latent", price=float("inf"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: blocks((3,), own_fraction=2.0), "own_fraction: expected from 0 to 1, got 2"),
        (lambda: blocks((3,), step_cost=-1.0), "step_cost: expected at least 0, got -1"),
        (lambda: blocks((3,), num_episodes=0), "num_episodes: expected at least 1, got 0"),
        (lambda: gated(blocks((3,)), "all"), "mode: expected one of none, latent, pool, both, switch, got"),
        (lambda: gated(blocks((3,)), price=-1.0), "price: expected at least 0, got -1"),
    ],
)
def test_what_cannot_be_meant_is_one_line(make, message):
    with pytest.raises(UserError, match=message):
        make()
