"""Record episodes of POGEMA 1.4.0 for the golden test; it wants numpy below 2, so it runs in an environment of its own.

python -m venv pogema && pogema/bin/pip install pogema==1.4.0
pogema/bin/python tests/environments/grid/record_pogema.py tests/environments/grid/pogema_episodes.npz
"""

import random
import sys

import numpy as np
from pogema import GridConfig, pogema_v0

ROOMS = [".........", "........."]
OPEN = ["......", ".#..#.", "......", "..##..", "......"]
NARROW = ["...#...", ".#...#.", "...#..."]
MAX_STEPS = 40
MOVES = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))


def corridor(length: int) -> list[str]:
    """Two rooms of 2 x 9 and a corridor."""
    return ROOMS + ["####.####"] * length + ROOMS


def towards(lines: list[str], cell: tuple[int, int], goal: tuple[int, int]) -> int:
    """An action that comes nearer to the goal, by breadth-first search from there."""
    distance, front = {goal: 0}, [goal]
    while front:
        row, column = front.pop(0)
        for dr, dc in MOVES[1:]:
            near = (row + dr, column + dc)
            inside = 0 <= near[0] < len(lines) and 0 <= near[1] < len(lines[0])
            if inside and lines[near[0]][near[1]] == "." and near not in distance:
                distance[near] = distance[(row, column)] + 1
                front.append(near)
    here = distance[cell]
    nearer = [n for n, (dr, dc) in enumerate(MOVES) if distance.get((cell[0] + dr, cell[1] + dc), here) < here]
    return nearer[0] if nearer else 0


def episode(number: int) -> dict:
    """One episode: a third by chance, the others towards the goal most of the time, so that agents meet."""
    draw = random.Random(number)
    lines = [corridor(1), corridor(3), OPEN, NARROW][number % 4]
    collision = ["block_both", "block_both", "block_both", "block_both", "soft", "priority"][number // 4 % 6]
    num_agents = 2 if number % 4 < 2 else 4
    free = [(r, c) for r, line in enumerate(lines) for c, sign in enumerate(line) if sign == "."]
    starts, goals = draw.sample(free, num_agents), draw.sample(free, num_agents)
    limit = draw.randint(12, MAX_STEPS)
    config = GridConfig(
        map="\n".join(lines), agents_xy=list(starts), targets_xy=list(goals), num_agents=num_agents, obs_radius=2,
        max_episode_steps=limit, on_target="finish", collision_system=collision, observation_type="POMAPF", seed=0,
    )  # fmt: skip
    world = pogema_v0(grid_config=config)
    world.reset()
    greedy = [0.0, 0.7, 0.95][number // 24 % 3]
    actions, places, rewards, agents = [], [], [], []
    ended, late = False, False
    while not (ended or late):
        now = world.grid.get_agents_xy(ignore_borders=True)
        chosen = [
            towards(lines, tuple(cell), goal) if draw.random() < greedy else draw.randrange(5)
            for cell, goal in zip(now, goals, strict=True)
        ]
        seen, reward, terminated, truncated, _ = world.step(list(chosen))
        actions.append(chosen)
        places.append(world.grid.get_agents_xy(ignore_borders=True))
        rewards.append(reward)
        agents.append([one["agents"] for one in seen])
        ended, late = all(terminated), all(truncated)
    return {
        "lines": lines, "collision": collision, "starts": starts, "goals": goals, "limit": limit, "actions": actions,
        "places": places, "rewards": rewards, "agents": agents, "ended": ended, "late": late,
    }  # fmt: skip


def padded(rows: list, shape: tuple[int, ...], fill: int) -> np.ndarray:
    """i8 array of a size, the rest filled."""
    array, given = np.full(shape, fill, np.int8), np.asarray(rows, np.int8)
    array[tuple(slice(size) for size in given.shape)] = given
    return array


def main(path: str, count: int = 300) -> None:
    """Write the episodes as arrays: -1 where there is no agent, or the episode is over."""
    episodes = [episode(number) for number in range(count)]
    names = ["block_both", "soft", "priority"]
    np.savez_compressed(
        path,
        map=np.array([number % 4 for number in range(count)], np.int8),
        maps=np.array(["\n".join(lines) for lines in (corridor(1), corridor(3), OPEN, NARROW)]),
        collision=np.array([names.index(one["collision"]) for one in episodes], np.int8),
        collisions=np.array(names),
        limit=np.array([one["limit"] for one in episodes], np.int8),
        num_steps=np.array([len(one["actions"]) for one in episodes], np.int8),
        starts=np.stack([padded(one["starts"], (4, 2), -1) for one in episodes]),
        goals=np.stack([padded(one["goals"], (4, 2), -1) for one in episodes]),
        actions=np.stack([padded(one["actions"], (MAX_STEPS, 4), -1) for one in episodes]),
        places=np.stack([padded(one["places"], (MAX_STEPS, 4, 2), -1) for one in episodes]),
        rewards=np.stack([padded(one["rewards"], (MAX_STEPS, 4), 0) for one in episodes]),
        agents=np.stack([padded(one["agents"], (MAX_STEPS, 4, 5, 5), 0) for one in episodes]),
        ended=np.array([one["ended"] for one in episodes]),
        late=np.array([one["late"] for one in episodes]),
    )


if __name__ == "__main__":
    main(sys.argv[1])
