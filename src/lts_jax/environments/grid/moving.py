"""Who may move: POGEMA's three rules for agents that get in each other's way, on cells as numbers.

Each function takes, of I agents, the cell they stand on, the cell they aim at (their own where an obstacle or a border
is in the way, or they stay), and who is still there; it says who moves.
"""

import jax
import jax.numpy as jnp
from jax import Array


def block_both(cell_i: Array, target_i: Array, active_i: Array) -> Array:
    """bool[I]: nobody enters a cell on which an active agent stands now, nor one at which another one aims.

    So nobody follows into a cell that is being left, a swap fails, and of two who want one cell none gets it. Equal to
    POGEMA's own loop over agents, in closed form.
    """
    other_ij = _others(active_i)
    taken_i = jnp.any(other_ij & (cell_i == target_i[:, None]), axis=1)
    wanted_i = jnp.any(other_ij & (target_i == target_i[:, None]), axis=1)
    return active_i & (target_i != cell_i) & ~taken_i & ~wanted_i


def priority(cell_i: Array, target_i: Array, active_i: Array) -> Array:
    """bool[I]: agents move one after another, each into a cell that is free by then."""

    def one(agent: Array, now_i: Array) -> Array:
        others_i = active_i & (jnp.arange(len(now_i)) != agent)
        is_free = active_i[agent] & ~jnp.any(others_i & (now_i == target_i[agent]))
        return now_i.at[agent].set(jnp.where(is_free, target_i[agent], now_i[agent]))

    return jax.lax.fori_loop(0, len(cell_i), one, cell_i) != cell_i


def soft(cell_i: Array, target_i: Array, active_i: Array) -> Array:
    """bool[I]: agents may follow each other; a swap fails; of several who want one cell the first goes.

    Who cannot go stays, and whoever wanted that cell stays too, until nothing changes; agents are sent back from the
    last to the first.
    """
    num_agents = len(cell_i)
    other_ij = _others(active_i)
    swaps_i = jnp.any(other_ij & (cell_i == target_i[:, None]) & (target_i == cell_i[:, None]), axis=1)
    moves_i = active_i & (target_i != cell_i) & ~swaps_i
    earlier_ij = jnp.arange(num_agents) < jnp.arange(num_agents)[:, None]

    def again(_: Array, moves_i: Array) -> Array:
        stays_i = active_i & ~moves_i
        onto_i = jnp.any(other_ij & stays_i & (cell_i == target_i[:, None]), axis=1)
        behind_i = jnp.any(other_ij & moves_i & earlier_ij & (target_i == target_i[:, None]), axis=1)
        return moves_i & ~onto_i & ~behind_i

    return jax.lax.fori_loop(0, num_agents, again, moves_i)


RULES = {"block_both": block_both, "priority": priority, "soft": soft}
"""By the name of `GridShape.collision`."""


def _others(active_i: Array) -> Array:
    """bool[I, I]: j is active and not i."""
    return active_i & ~jnp.eye(len(active_i), dtype=bool)
