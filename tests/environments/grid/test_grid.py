"""The grid against POGEMA itself, against a twin in plain Python, and by hand."""

import random
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.environments.check import check_environment
from lts_jax.environments.grid import environment as grid_world
from lts_jax.environments.grid.environment import GridState, bottlenecks, grid
from lts_jax.environments.grid.maps import GridMap, bottleneck, drawn, maze, random_map, tabulate
from lts_jax.environments.grid.moving import block_both
from lts_jax.environments.grid.settings import REWARDS, GridParams, GridShape
from lts_jax.environments.known import environment_of
from lts_jax.environments.stepping import act_all, begin_all, look_all, seeds_at
from lts_jax.errors import UserError
from tests.environments.grid.plain_grid import PlainGrid, moved

EPISODES = np.load(Path(__file__).parent / "pogema_episodes.npz")
WEIGHTS = ("goal_reward", "step_reward", "path_reward", "stay_reward")


def state_of(maps, starts, goals, number=0):
    """A state with agents and goals on these cells of a map, of its one region."""
    places = np.asarray(maps.place_urs)[number].reshape(-1).tolist()
    cells = [row * maps.width + column for row, column in starts]
    aims = [places.index(row * maps.width + column) for row, column in goals]
    none = jnp.zeros(len(cells), jnp.int32)
    here = jnp.asarray(cells, jnp.int32)
    return GridState(jnp.asarray(number), jnp.asarray(0), here, jnp.asarray(aims), here, none == 0, none, none)


def everywhere(lines):
    """A map whose one region is every free cell."""
    return drawn("\n".join(lines))


@partial(jax.jit, static_argnums=0)
def played(shape, params, state, action_ti):
    """Places, rewards, ends and what was seen at each step, without beginning anew."""

    def step(state, action_i):
        state, outcome = grid_world.act(shape, params, state, action_i, jnp.zeros(2, jnp.uint32))
        seen = grid_world.look(shape, params, state)
        return state, (state.cell_i, outcome, seen.observation_io)

    return jax.lax.scan(step, state, action_ti)[1]


@pytest.mark.parametrize("kind", range(12))
def test_300_episodes_of_pogema_step_for_step(kind):
    """Positions, rewards, who is where in view, and how episodes end."""
    number, rule = divmod(kind, 3)
    chosen = np.flatnonzero((EPISODES["map"] == number) & (EPISODES["collision"] == rule))
    lines = str(EPISODES["maps"][number]).split()
    num_agents = int((EPISODES["starts"][chosen[0], :, 0] >= 0).sum())
    maps = tabulate([everywhere(lines)], limits=100)
    shape = GridShape(num_agents, collision=str(EPISODES["collisions"][rule]))
    for episode in chosen:
        told = {name: EPISODES[name][episode] for name in ("starts", "goals", "actions", "places", "rewards", "agents")}
        starts, goals = (list(map(tuple, told[name][:num_agents].tolist())) for name in ("starts", "goals"))
        params = GridParams(jax.tree.map(jnp.asarray, replace(maps, limit_u=EPISODES["limit"][[episode]])))
        actions = jnp.asarray(told["actions"][:, :num_agents], jnp.int32)
        cell_ti, outcome, seen_tio = jax.device_get(played(shape, params, state_of(maps, starts, goals), actions))
        num_steps = EPISODES["num_steps"][episode]
        place_ti2 = np.stack([cell_ti // maps.width, cell_ti % maps.width], axis=-1)
        np.testing.assert_array_equal(place_ti2[:num_steps], told["places"][:num_steps, :num_agents])
        np.testing.assert_array_equal(outcome.reward_i[:num_steps], told["rewards"][:num_steps, :num_agents])
        planes = seen_tio.reshape(*seen_tio.shape[:2], 3, 5, 5)[:num_steps, :, 1]
        if (
            shape.collision != "soft"
        ):  # there POGEMA's plane loses an agent that follows another: its old cell is cleared
            np.testing.assert_array_equal(planes, told["agents"][:num_steps, :num_agents])
        last = num_steps - 1
        assert outcome.is_over[last] and not outcome.is_over[:last].any()
        ended = EPISODES["ended"][episode]
        assert outcome.is_truncated[last] == (not ended) and EPISODES["late"][episode] >= (not ended)


def test_all_300_episodes_are_in_the_groups():
    assert len(EPISODES["map"]) == 300
    assert len({(int(a), int(b)) for a, b in zip(EPISODES["map"], EPISODES["collision"], strict=True)}) == 12


DRAWN = {
    # name: (starts, actions, active, places after), on a free row of five cells with an obstacle at the right end
    "a swap fails": ([(0, 1), (0, 2)], [4, 3], [1, 1], [(0, 1), (0, 2)]),
    "nobody follows": ([(0, 1), (0, 2)], [4, 4], [1, 1], [(0, 1), (0, 3)]),
    "one cell for two": ([(0, 1), (0, 3)], [4, 3], [1, 1], [(0, 1), (0, 3)]),
    "three in a row": ([(0, 0), (0, 1), (0, 2)], [4, 4, 4], [1, 1, 1], [(0, 0), (0, 1), (0, 3)]),
    "who has finished blocks nothing": ([(0, 1), (0, 2)], [4, 0], [1, 0], [(0, 2), (0, 2)]),
    "a border": ([(0, 0), (0, 3)], [1, 0], [1, 1], [(0, 0), (0, 3)]),
    "an obstacle": ([(0, 3), (0, 0)], [4, 4], [1, 1], [(0, 3), (0, 1)]),
    "who aims and is blocked blocks": ([(0, 0), (0, 2), (0, 3)], [4, 3, 4], [1, 1, 1], [(0, 0), (0, 2), (0, 3)]),
}


@pytest.mark.parametrize("name", DRAWN)
def test_block_both_by_hand(name):
    starts, actions, active, expected = DRAWN[name]
    maps = tabulate([everywhere(["....#"])])
    state = replace(state_of(maps, starts, starts), active_i=jnp.asarray(active, bool))
    shape, params = GridShape(len(starts)), GridParams(jax.tree.map(jnp.asarray, maps))
    after, _ = grid_world.act(shape, params, state, jnp.asarray(actions), jnp.zeros(2, jnp.uint32))
    assert [divmod(int(cell), maps.width) for cell in after.cell_i] == expected
    assert moved(["....#"], starts, actions, active) == expected


def test_block_both_equals_the_loop_in_many_situations():
    """6,000 situations of 2 to 6 agents on 4 x 4 cells."""
    draw = random.Random(0)
    for num_agents in range(2, 7):
        rows = []
        for _ in range(1200):
            cells = [(r, c) for r in range(4) for c in range(4)]
            obstacles = draw.sample(cells, draw.randint(0, 5))
            lines = ["".join("#" if (r, c) in obstacles else "." for c in range(4)) for r in range(4)]
            places = draw.sample([cell for cell in cells if cell not in obstacles], num_agents)
            actions = [draw.randrange(5) for _ in places]
            active = [draw.random() < 0.8 for _ in places]
            rows.append((lines, places, actions, active))
        number = [[r * 4 + c for r, c in places] for _, places, _, _ in rows]
        steps = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
        aims = []
        for lines, places, actions, _ in rows:
            aim = [(r + steps[a][0], c + steps[a][1]) for (r, c), a in zip(places, actions, strict=True)]
            inside = [0 <= r < 4 and 0 <= c < 4 and lines[r][c] == "." for r, c in aim]
            aims.append([(t if ok else p) for t, p, ok in zip(aim, places, inside, strict=True)])
        target = [[r * 4 + c for r, c in aim] for aim in aims]
        active = jnp.asarray([one[3] for one in rows])
        moves = jax.jit(jax.vmap(block_both))(jnp.asarray(number), jnp.asarray(target), active)
        for (lines, places, actions, is_there), aim, goes in zip(rows, aims, np.asarray(moves), strict=True):
            expected = moved(lines, places, actions, is_there)
            assert [t if go else p for t, p, go in zip(aim, places, goes, strict=True)] == expected


def test_500_random_episodes_equal_the_twin():
    """All that is seen, paid and measured, on corridors and random maps, with every kind of reward."""
    draw = random.Random(1)
    maps = [bottleneck(1), bottleneck(4), random_map(5, 7, seed=3), maze(5, 7, seed=1)]
    whole = [GridMap(one.name, one.free, (tuple(sorted(set(sum(one.regions, ())))),)) for one in maps]
    with_corridor = [replace(one, regions=(tuple(map(tuple, np.argwhere(one.free).tolist())),)) for one in whole[:2]]
    every = with_corridor + whole[2:]
    tables = tabulate(every, limits=[9, 17, 13, 30])
    params = {name: GridParams(jax.tree.map(jnp.asarray, tables), **numbers) for name, numbers in REWARDS.items()}
    many = {count: jax.jit(jax.vmap(partial(played, GridShape(count)), in_axes=(None, 0, 0))) for count in (2, 3)}
    for number, reward in enumerate(REWARDS):
        num_agents = 2 + number % 2
        plain, states, actions = [], [], []
        for _ in range(100):
            place = draw.randrange(4)
            one, cells = every[place], list(every[place].regions[0])
            lines = ["".join("." if free else "#" for free in row) for row in one.free]
            starts, goals = draw.sample(cells, num_agents), draw.sample(cells, num_agents)
            paid = [getattr(params[reward], name) for name in WEIGHTS]
            plain.append(PlainGrid(lines, starts, goals, int(tables.limit_u[place]), paid))
            states.append(state_of(tables, starts, goals, place))
            actions.append([[draw.randrange(5) for _ in range(num_agents)] for _ in range(30)])
        state = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
        cell_eti, outcome, seen_etio = jax.device_get(many[num_agents](params[reward], state, jnp.asarray(actions)))
        for episode, twin in enumerate(plain):
            for time, chosen in enumerate(actions[episode]):
                paid, is_over, is_truncated = twin.act(chosen)
                told = jax.tree.map(lambda leaf, at=(episode, time): leaf[at], outcome)
                assert [divmod(int(cell), tables.width) for cell in cell_eti[episode, time]] == twin.cells
                np.testing.assert_allclose(told.reward_i, paid, atol=1e-7)
                assert (told.is_over, told.is_truncated) == (is_over, is_truncated)
                seen = seen_etio[episode, time].reshape(num_agents, 3, 5, 5)
                if time % 5 == 0:
                    np.testing.assert_array_equal(seen, [twin.seen(agent) for agent in range(num_agents)])
                if is_over:
                    found = [told.measures[name] for name in ("csr", "isr", "soc", "makespan")]
                    np.testing.assert_allclose(found, twin.measures())
                    break


def test_measures_of_twelve_steps_by_hand():
    """Agent 0 needs 3 steps, agent 1 walks to and fro until the limit of 12: CSR 0, ISR 1/2, SoC 15, makespan 12."""
    maps = tabulate([everywhere([".....", "....."])], limits=12)
    state = state_of(maps, [(0, 0), (1, 4)], [(0, 3), (1, 0)])
    actions = jnp.asarray([[4, 3], [4, 4]] * 6)
    _, outcome, _ = played(GridShape(), GridParams(jax.tree.map(jnp.asarray, maps)), state, actions)
    np.testing.assert_array_equal(outcome.reward_i[:, 0], [0, 0, 1] + [0] * 9)
    np.testing.assert_array_equal(outcome.is_over, [False] * 11 + [True])
    assert outcome.is_truncated[11]
    assert [float(outcome.measures[name][11]) for name in ("csr", "isr", "soc", "makespan")] == [0.0, 0.5, 15.0, 12.0]


def test_every_kind_of_reward_by_hand():
    """To the goal's side, away, against the border, staying, and onto the goal two cells to the right."""
    expected = {  # of one agent: right (path), left (no path), up (blocked), stay, right, right onto the goal
        "sparse": [0, 0, 0, 0, 0, 1],
        "dense": [-0.01, -0.01, -0.01, -0.01, -0.01, 1],
        "directional": [0.005, 0, 0, 0, 0.005, 1],
        "directional_negative": [-0.005, -0.01, -0.01, -0.01, -0.005, 1],
        "moving_negative": [-0.01, -0.01, -0.01, -0.005, -0.01, 1],
    }
    maps = tabulate([everywhere(["....."])])
    actions = jnp.asarray([[4], [3], [1], [0], [4], [4]])
    for reward, paid in expected.items():
        params = GridParams(jax.tree.map(jnp.asarray, maps), **REWARDS[reward])
        _, outcome, _ = played(GridShape(1), params, state_of(maps, [(0, 1)], [(0, 3)]), actions)
        np.testing.assert_allclose(outcome.reward_i[:, 0], paid, atol=1e-7)


def test_episodes_begin_in_opposite_rooms_and_begin_anew():
    """Starts and goals in the two rooms, no place twice; after the end another episode, on all lengths."""
    world = bottlenecks((1, 2), num_agents=4, limits=3)
    seed_ew = jax.random.bits(jax.random.key(0), (400, 2), jnp.uint32)
    state = jax.jit(partial(begin_all, world))(seed_ew)
    row = np.asarray(state.cell_i) // 9
    bottom = 2 + (np.asarray(state.map) + 1)[:, None]
    is_top = row < 2
    assert ((row >= bottom) | is_top).all() and (is_top.sum(axis=1) == 2).all()
    assert ((np.asarray(state.goal_i) < 18) == ~is_top).all()
    for places in (np.asarray(state.cell_i), np.asarray(state.goal_i)):
        assert all(len(set(line)) == 4 for line in places)
    assert set(np.asarray(state.map)) == {0, 1} and set(is_top[:, 0]) == {True, False}
    step = jax.jit(lambda state, time: act_all(world, state, jnp.zeros((400, 4), jnp.int32), seeds_at(seed_ew, time)))
    for time in range(3):
        state, outcome = step(state, jnp.asarray(time))
    assert outcome.is_over.all() and outcome.is_truncated.all() and not state.time.any()
    seen = jax.jit(partial(look_all, world))(state)
    assert seen.observation_io.shape == (400, 4, 75) and not seen.place_if[:, :, :2].any()


def test_jit_equals_not_jit():
    world, seed_w = bottlenecks((3,)), jnp.asarray([5, 7], jnp.uint32)
    state = world.reset(world.shape, world.params, seed_w)
    found = world.act(world.shape, world.params, state, jnp.asarray([2, 1]), seed_w)
    same = jax.jit(world.act, static_argnums=0)(world.shape, world.params, state, jnp.asarray([2, 1]), seed_w)
    jax.tree.map(np.testing.assert_array_equal, found, same)


def test_lifelong_agents_get_another_goal():
    world = grid([maze(7, 7, seed=0)], shape=GridShape(3, on_goal="restart"))
    state = jax.jit(partial(begin_all, world))(jnp.zeros((1, 2), jnp.uint32))
    at_goal = np.asarray(world.params.maps.place_urs).reshape(-1)[np.asarray(state.goal_i)]
    state = replace(state, cell_i=jnp.asarray(at_goal))
    step = jax.jit(partial(act_all, world))
    after, outcome = step(state, jnp.zeros((1, 3), jnp.int32), jnp.ones((1, 2), jnp.uint32))
    assert outcome.reward_i.tolist() == [[1.0, 1.0, 1.0]] and not outcome.done_i.any()
    assert (after.goal_i != state.goal_i).any() and after.active_i.all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tabulate([]), "maps: expected at least one"),
        (lambda: drawn("..\n."), "map: expected lines of one length"),
        (lambda: drawn("#.#"), "map: expected at least two connected free cells"),
        (lambda: tabulate([GridMap("m", np.ones((1, 3), bool), (((0, 0), (0, 0)),))]), "different places"),
        (lambda: tabulate([GridMap("m", np.array([[True, False, True]]), (((0, 0), (0, 1)),))]), "an obstacle at 0, 1"),
        (lambda: tabulate([GridMap("m", np.array([[True, False, True]]), (((0, 0), (0, 2)),))]), "expected a path"),
        (lambda: bottlenecks(reward="rich"), "reward: expected one of sparse, dense"),
        (lambda: bottlenecks((0,)), "length: expected at least 1"),
        (lambda: bottlenecks((3,), num_agents=37), "a map has room for 36"),
        (lambda: GridShape(collision="none"), "shape.collision: expected one of block_both"),
        (lambda: GridShape(0), "shape.num_agents: expected at least 1"),
        (lambda: maze(4, 5), "maze: expected odd sizes"),
        (lambda: random_map(3, 3, density=1.0), "density: expected from 0"),
        (lambda: grid([maze(7, 7)], shape=GridShape(radius=3)).check(bottlenecks().params, GridShape(radius=3)), "2"),
    ],
)
def test_what_cannot_be_meant_is_one_line(make, message):
    with pytest.raises(UserError, match=message) as refused:
        make()
    assert "\n" not in str(refused.value)


def test_a_world_of_single_steps_is_tried_and_has_no_rollouts():
    world = environment_of('bottleneck(lengths="3,4")')
    check_environment.__wrapped__(world)
    with pytest.raises(UserError, match="it has single steps of agents and no rollouts of teams"):
        world.draw_task(world.shape, world.params, jax.random.key(0))
    with pytest.raises(UserError, match="it has rollouts of teams and no single steps"):
        environment_of("teams").reset(None, None, None)
    broken = replace(world, look=lambda *given: replace(grid_world.look(*given), legal_ia=jnp.ones((2, 5))))
    with pytest.raises(UserError, match=r"expected legal_ia bool\[2, 5\], got float32\[2, 5\]"):
        check_environment.__wrapped__(broken)
