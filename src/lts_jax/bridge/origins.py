"""What credit pays to which origin: the learning signal can be attacked, so it is watched by origin.

A usage bonus pays for being pulled, so an attractive key without any use earns it whenever the rollout succeeds anyway.
A source that is paid often and whose `difference_rewards` are about zero is bait.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from lts_jax.bridge.collate import rollout_counts
from lts_jax.errors import UserError
from lts_jax.memory.usage import used_by_any, used_by_others
from lts_jax.records import EARLIER, MemoryEntry, Rollout, RolloutGroup

By = Literal["origin", "host", "source", "trust"]


@dataclass(frozen=True, slots=True)
class OriginCredit:
    """Credit of the entries of one origin, summed over rollouts that count."""

    num_entries: int = 0
    num_used: int = 0  # pulled by a team that counts as a user
    credit: float = 0.0

    @property
    def per_entry(self) -> float:
        """Mean credit of an entry; 0 without entries."""
        return self.credit / self.num_entries if self.num_entries else 0.0


def bonus_by_origin(
    rollouts: Iterable[Rollout],
    *,
    by: By = "origin",
    usage_weight: float = 0.5,
    first_weight: float = 1.0,
    own_pulls_count: bool = False,
) -> dict[str, OriginCredit]:
    """The usage bonus paid to the entries of each origin: usage_weight * 1[used and R > 0], as `credit.usage_bonus`.

    R = R_agg + first_weight * R_first. From the records alone, without arrays. See `credit_by_origin` for `by`.
    """
    found: dict[str, OriginCredit] = {}
    for rollout in filter(rollout_counts, rollouts):
        pays = rollout.reward_agg + first_weight * rollout.reward_first > 0.0
        used = _used_entries(rollout, own_pulls_count)
        paid = [
            usage_weight * (pays and entry.entry in used and entry.team != EARLIER)  # pays nobody here
            for entry in rollout.entries
        ]
        _add(found, rollout.entries, used, paid, by)
    return dict(sorted(found.items()))


def credit_by_origin(
    groups: Sequence[RolloutGroup], credit_bgkt: Any, *, by: By = "origin", own_pulls_count: bool = False
) -> dict[str, OriginCredit]:
    """Any credit of the admitted steps, summed by the origin of their entries.

    Args:
        groups: B groups.
        credit_bgkt: f32[B, G, K, T], credit of every decision of these groups.
        by: "origin" (web, file, ...), "host" of web pages (the source otherwise), "source", or "trust".
        own_pulls_count: whether a team's pull of its own entry makes it used.

    Raises:
        UserError: an unknown `by`, or credit of another number of groups.
    """
    if len(credit_bgkt) != len(groups):
        raise UserError(f"credit_bgkt: expected one row for each of {len(groups)} groups, got {len(credit_bgkt)}")
    found: dict[str, OriginCredit] = {}
    for group, credit_gkt in zip(groups, credit_bgkt, strict=True):
        for rollout, credit_kt in zip(group.rollouts, credit_gkt, strict=True):
            if rollout_counts(rollout):
                paid = [
                    0.0 if entry.team == EARLIER else float(credit_kt[entry.team][entry.step])
                    for entry in rollout.entries
                ]
                _add(found, rollout.entries, _used_entries(rollout, own_pulls_count), paid, by)
    return dict(sorted(found.items()))


def _used_entries(rollout: Rollout, own_pulls_count: bool) -> frozenset[int]:
    return used_by_any(rollout.pulls) if own_pulls_count else used_by_others(rollout.pulls)


def _add(
    found: dict[str, OriginCredit], entries: Sequence[MemoryEntry], used: frozenset[int], paid: Sequence[float], by: By
) -> None:
    for entry, credit in zip(entries, paid, strict=True):
        name = _name(entry, by)
        old = found.get(name, OriginCredit())
        found[name] = OriginCredit(old.num_entries + 1, old.num_used + (entry.entry in used), old.credit + credit)


def _name(entry: MemoryEntry, by: By) -> str:
    if by not in get_args(By):
        raise UserError(f"by: expected one of {', '.join(get_args(By))}, got {by!r}")
    if by == "host":
        return (urlsplit(entry.source).hostname or entry.source) if "://" in entry.source else entry.source
    return str({"origin": entry.origin, "source": entry.source, "trust": entry.trust}[by])
