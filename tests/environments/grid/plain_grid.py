"""The grid once more, in plain Python: POGEMA's own loop over agents for `block_both`, and everything by search."""

from collections import deque

MOVES = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))


def is_free(lines, cell):
    """Whether a cell lies on the map and is no obstacle."""
    row, column = cell
    return 0 <= row < len(lines) and 0 <= column < len(lines[0]) and lines[row][column] == "."


def distances(lines, goal):
    """Steps to the goal from every cell that reaches it."""
    found, front = {goal: 0}, deque([goal])
    while front:
        cell = front.popleft()
        for dr, dc in MOVES[1:]:
            near = (cell[0] + dr, cell[1] + dc)
            if is_free(lines, near) and near not in found:
                found[near] = found[cell] + 1
                front.append(near)
    return found


def shortest_path(lines, cell, goal):
    """Cells from here to the goal, both among them; of equal ones the one that first goes up, down, left, right."""
    steps, path = distances(lines, goal), [cell]
    while path[-1] != goal:
        row, column = path[-1]
        near = [(row + dr, column + dc) for dr, dc in MOVES[1:]]
        path.append(next(one for one in near if steps.get(one, 1e9) < steps[path[-1]]))
    return path


def moved(lines, cells, actions, active):
    """Places after a step, as POGEMA computes `block_both`."""
    cells, first, used = list(cells), list(cells), {}
    occupied = {cell for cell, is_there in zip(cells, active, strict=True) if is_there}
    for agent, (row, column) in enumerate(first):
        if active[agent]:
            dr, dc = MOVES[actions[agent]]
            target = (row + dr, column + dc)
            used[target] = "blocked" if target in used else "visited"
            used[(row, column)] = "blocked"
    for agent, (row, column) in enumerate(first):
        if active[agent]:
            dr, dc = MOVES[actions[agent]]
            target = (row + dr, column + dc)
            if used.get(target) != "blocked" and is_free(lines, target) and target not in occupied:
                occupied.discard(cells[agent])
                occupied.add(target)
                cells[agent] = target
    return cells


class PlainGrid:
    """One episode."""

    def __init__(self, lines, starts, goals, limit, rewards):
        self.lines, self.cells, self.goals, self.limit = lines, list(starts), list(goals), limit
        self.rewards, self.time = rewards, 0  # goal, step, path, stay
        self.active, self.steps = [True] * len(starts), [None] * len(starts)

    def act(self, actions):
        """(rewards, over, truncated)."""
        goal, step, path, stay = self.rewards
        before = list(self.cells)
        after = moved(self.lines, before, actions, self.active)
        self.time += 1
        paid = [0.0] * len(before)
        for agent, cell in enumerate(after):
            if not self.active[agent]:
                continue
            way = shortest_path(self.lines, before[agent], self.goals[agent])
            paid[agent] = stay if actions[agent] == 0 else step
            if cell in way[1:2]:
                paid[agent] = path
            if cell == self.goals[agent]:
                paid[agent] = goal
        for agent, cell in enumerate(after):
            if self.active[agent] and cell == self.goals[agent]:
                self.active[agent], self.steps[agent] = False, self.time
        self.cells = after
        late, done = self.time >= self.limit, not any(self.active)
        return paid, late or done, late and not done

    def seen(self, agent, radius=2):
        """Planes of rows of what the agent sees."""
        row, column = self.cells[agent]
        span = range(-radius, radius + 1)
        around = [[(row + dr, column + dc) for dc in span] for dr in span]
        inside = {cell for line in around for cell in line}
        path = []
        for cell in shortest_path(self.lines, self.cells[agent], self.goals[agent]):
            if cell not in inside:
                break
            path.append(cell)
        here = {cell for cell, is_there in zip(self.cells, self.active, strict=True) if is_there}
        others = {goal for number, goal in enumerate(self.goals) if number != agent}
        plain = [[1 if c in path else 0 if is_free(self.lines, c) else -1 for c in line] for line in around]
        return [plain, [[int(c in here) for c in line] for line in around],
                [[int(c in others) for c in line] for line in around]]  # fmt: skip

    def measures(self):
        """CSR, ISR, sum of costs and makespan, once it is over."""
        steps = [self.time if one is None else one for one in self.steps]
        reached = [one is not None for one in self.steps]
        return float(all(reached)), sum(reached) / len(reached), float(sum(steps)), float(max(steps))
