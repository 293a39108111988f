"""Random numbers from coordinates: where a number is used decides what it is, never when.

A run therefore does not depend on how many rollouts share the process, on arrival order, or on a restart; and a
replay with one admission flipped meets the same world (common random numbers).
"""

from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lts_jax.records import Coordinates


def coordinate_seed(*coordinates: int | str) -> int:
    """Integer in [0, 2^31) from coordinates, by BLAKE2b of their printed forms. Types matter: 1 and "1" differ."""
    digest = blake2b(repr(coordinates).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 33


def uniform(*coordinates: int | str) -> float:
    """Number in [0, 1) with 53 random bits, from coordinates."""
    digest = blake2b(repr(coordinates).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 11) * 2.0**-53


def rollout_coordinates(coordinates: "Coordinates") -> tuple[int, int, str, int]:
    """The coordinates of a rollout as a tuple, to be followed by team, step and purpose."""
    return (coordinates.seed, coordinates.iteration, coordinates.task, coordinates.rollout)
