"""Random numbers from coordinates: where a number is used decides what it is, never when.

A run therefore does not depend on how many rollouts share the process, on arrival order, or on a restart; and a
replay with one admission flipped meets the same world (common random numbers).
"""

from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lts_jax.records import Coordinates

_SCALE = 2.0**-53


def coordinate_seed(*coordinates: int | str) -> int:
    """Integer in [0, 2^31) from coordinates, by BLAKE2b of their printed forms. Types matter: 1 and "1" differ."""
    return _bits(repr(coordinates)) >> 33


def uniform(*coordinates: int | str) -> float:
    """Number in [0, 1) with 53 random bits, from coordinates."""
    return (_bits(repr(coordinates)) >> 11) * _SCALE


def seed_and_uniform(*coordinates: int | str, label: str) -> tuple[int, float]:
    """`coordinate_seed(*coordinates)` and `uniform(*coordinates, label)`; at least two coordinates, printed once."""
    printed = repr(coordinates)
    return _bits(printed) >> 33, (_bits(f"{printed[:-1]}, {label!r})") >> 11) * _SCALE


def _bits(printed: str) -> int:
    return int.from_bytes(blake2b(printed.encode(), digest_size=8).digest(), "little")


def rollout_coordinates(coordinates: "Coordinates") -> tuple[int, int, str, int]:
    """The coordinates of a rollout as a tuple, to be followed by team, step and purpose."""
    return (coordinates.seed, coordinates.iteration, coordinates.task, coordinates.rollout)
