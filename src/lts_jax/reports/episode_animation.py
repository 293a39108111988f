"""An episode on a grid as an SVG that moves by itself: agents as dots, their goals as rings; no library, no script."""

from collections.abc import Sequence

from lts_jax.reports.palette import FAINT, INK, OTHERS, SOFT
from lts_jax.reports.svg import Figure, quote, rect, svg, text

CELL = 16  # pixels
SECONDS = 0.25  # of a step

Cell = tuple[int, int]


def episode_animation(
    free: Sequence[str], places: Sequence[Sequence[Cell]], goals: Sequence[Cell], *, title: str
) -> Figure:
    """The episode, again and again; the map lies on its side where it is higher than wide.

    Args:
        free: rows of the map, `.` for a free cell.
        places: of each step, where every agent is, as (row, column); one that has reached its goal disappears.
        goals: of every agent.
        title: above it.
    """
    turned = len(free) > len(free[0])

    def at(cell: Cell) -> tuple[float, float]:
        across, down = (cell[0], cell[1]) if turned else (cell[1], cell[0])
        return CELL * (across + 0.5), 26 + CELL * (down + 0.5)

    parts = [text(0, 14, title, weight=600)]
    cells = [(r, c) for r, line in enumerate(free) for c, sign in enumerate(line) if sign == "."]
    for cell in cells:
        x, y = at(cell)
        parts.append(rect(x - CELL / 2 + 0.5, y - CELL / 2 + 0.5, CELL - 1, CELL - 1, FAINT, radius=2))
    for agent, goal in enumerate(goals):
        x, y = at(goal)
        color = OTHERS[agent % len(OTHERS)]
        parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="6" fill="none" stroke="{color}" stroke-width="2"/>')
    parts += [_agent([at(step[agent]) for step in places], at(goal), agent) for agent, goal in enumerate(goals)]
    across, down = (len(free), len(free[0])) if turned else (len(free[0]), len(free))
    height = 26 + CELL * down + 20
    parts.append(text(0, height - 4, f"{len(places) - 1} steps", color=SOFT))
    return svg(
        "".join(parts), max(CELL * across, 200), height, f"{title}: {len(places) - 1} steps", extra_class="moves"
    )


def _agent(points: Sequence[tuple[float, float]], goal: tuple[float, float], agent: int) -> str:
    seconds = SECONDS * len(points)
    color, first = OTHERS[agent % len(OTHERS)], points[0]
    moves = "".join(
        _animate(name, [point[axis] for point in points], seconds) for axis, name in enumerate(("cx", "cy"))
    )
    arrived = next((number for number, point in enumerate(points) if point == goal), None)
    fades = ""
    if arrived is not None:
        shown = [1.0 if number <= arrived else 0.25 for number in range(len(points))]
        fades = _animate("opacity", shown, seconds)
    tip = quote(f"agent {agent}" + ("" if arrived is None else f", at its goal after {arrived} steps"))
    return (
        f'<circle cx="{first[0]:g}" cy="{first[1]:g}" r="5" fill="{color}" stroke="{INK}">'
        f"<title>{tip}</title>{moves}{fades}</circle>"
    )


def _animate(name: str, values: Sequence[float], seconds: float) -> str:
    said = ";".join(f"{value:g}" for value in values)
    return (
        f'<animate attributeName="{name}" values="{said}" dur="{seconds:g}s" calcMode="discrete" '
        'repeatCount="indefinite"/>'
    )
