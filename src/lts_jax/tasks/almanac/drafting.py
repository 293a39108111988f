"""What every question family uses to word a question and to write numbers."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from random import Random

from lts_jax.tasks.almanac.records import Draft, Need

NUM_NAMED = {
    "easy": 2,
    "medium": 4,
    "hard": 6,
}  # subjects named in a question, where a family has nothing special


def make_draft(
    rng: Random,
    wordings: Sequence[str],
    slots: dict[str, object],
    answer: str,
    *,
    needs: Iterable[Need],
    attachments: tuple[str, ...] = (),
) -> Draft:
    """Fill the slots of one of the wordings; the same pages and the same answer mean the same question."""
    needs = tuple(needs)
    identity = f"{sorted(need.url for need in needs)} {attachments} {answer}"
    return Draft(rng.choice(wordings).format(**slots), answer, needs, identity, attachments)


def money(cents: int) -> str:
    """An amount as on a price list: 1250 gives "$12.50"."""
    return f"${cents // 100}.{cents % 100:02d}"


def amount(cents: int) -> str:
    """An amount as an answer: digits without a sign, 1250 gives "12.50"."""
    return money(cents)[1:]


def round_clearly(value: Fraction, digits: int) -> str | None:
    """`value` with `digits` decimals, or None where it lies too near the middle between two such numbers."""
    scaled = value * 10**digits
    if abs(scaled - (scaled.numerator // scaled.denominator) - Fraction(1, 2)) < Fraction(1, 50):
        return None
    whole = round(scaled)
    return f"{whole // 10**digits}.{whole % 10**digits:0{digits}d}"
