"""Uniform numbers for one reply, and lasting traits of one team; both cheap and the same in every process."""

from hashlib import blake2b
from struct import unpack
from typing import TypeVar

T = TypeVar("T")

_SCALE = 2.0**-32


class Chances:
    """Up to 16 uniform numbers of a reply, from its seed and purpose, in a fixed order; then they start again."""

    __slots__ = ("_numbers", "_position")

    def __init__(self, seed: int, purpose: str) -> None:
        self._numbers = unpack("<16I", blake2b(f"{purpose}/{seed}".encode()).digest())
        self._position = 0

    def uniform(self) -> float:
        """The next number in [0, 1)."""
        number = self._numbers[self._position & 15]
        self._position += 1
        return number * _SCALE

    def happens(self, probability: float) -> bool:
        """True with the given probability. Takes one number whatever the probability is."""
        return self.uniform() < probability

    def below(self, count: int) -> int:
        """An integer in [0, count); 0 for a count of 0."""
        return int(self.uniform() * count)

    def shuffle(self, items: list[T]) -> list[T]:
        """The items in random order, by one number each (Fisher-Yates)."""
        order = list(items)
        for place in range(len(order) - 1, 0, -1):
            other = self.below(place + 1)
            order[place], order[other] = order[other], order[place]
        return order


def trait(team: int, *labels: str) -> float:
    """Number in [0, 1) that belongs to a team and some labels, whatever the seed of the call."""
    digest = blake2b(f"{team}/{'/'.join(labels)}".encode(), digest_size=4).digest()
    return unpack("<I", digest)[0] * _SCALE


def digest_of(text: str) -> int:
    """A number that stands for a text: what tells one team from another."""
    return unpack("<Q", blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())[0]
