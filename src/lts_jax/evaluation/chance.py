"""Chance levels of reading: what a policy's entries would get if they were as readable as another policy's.

An entry is *shown* to a team once its key stood in one of the team's listings, however often. The pull rate is

    q = pulled (entry, team) pairs / shown (entry, team) pairs,

measured over a yardstick policy. The indifferent reader pulls every key that is newly shown to it with probability q,
whatever it says. An entry shown to n teams is then pulled by q * n of them, and by at least one with probability
1 - (1 - q)^n, and of all pulls the part by other teams than the writer is that of all shown pairs. Where own keys are
listed that is less than (K - 1) / K: a writer is shown its entry at once, a team that has ended never. So these levels
keep when entries came and to how many teams they were shown, and drop what they say.
"""

import math
from collections.abc import Iterable
from typing import Protocol

from lts_jax.records import MemoryEntry, ModelCall, Pull, Rollout

YARDSTICK = "all"  # admits every step: the readability of steps that nobody chose


class Shown(Protocol):
    """What a pull rate is made of."""

    @property
    def num_shown(self) -> int:
        """(entry, team) pairs in which the team was shown the entry's key."""

    @property
    def num_shown_pulled(self) -> int:
        """Those of them that were pulled."""


def shown_pairs(rollout: Rollout, *, own_listed: bool) -> frozenset[tuple[int, int]]:
    """The (entry, team) pairs whose key was listed to the team at least once.

    Each selection call that did not fail lists the newest entries (`listing_window` of them, or all) committed when it
    began, without what has ended, and without the team's own unless `own_listed`. A pull without a recorded call stands
    for a listing at its own time. Not modelled: the limit on the length of a listing. Whether pulled keys are listed
    again makes no difference.
    """
    window = rollout.listing_window
    shown = {(pull.entry, pull.reader) for pull in rollout.pulls}
    ended = {edit.entry: edit.seconds for edit in rollout.edits}
    for team, seconds in _listings(rollout.calls, rollout.pulls):
        committed = [entry for entry in rollout.entries if entry.seconds <= seconds]
        for entry in committed if window is None else committed[max(0, len(committed) - window) :]:
            if (own_listed or entry.team != team) and ended.get(entry.entry, math.inf) > seconds:
                shown.add((entry.entry, team))
    return frozenset(shown)


def num_teams_shown(entries: Iterable[MemoryEntry], shown: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    """For each entry the number of teams that its key was shown to."""
    counts = {entry.entry: 0 for entry in entries}
    for entry_id, _ in shown:
        if entry_id in counts:
            counts[entry_id] += 1
    return tuple(counts.values())


def pull_rate(rollouts: Iterable[Shown]) -> float:
    """q: pulled pairs / shown pairs, pooled over rollouts; NaN where nothing was shown."""
    counts = [(one.num_shown_pulled, one.num_shown) for one in rollouts]
    shown = sum(count for _, count in counts)
    return sum(pulled for pulled, _ in counts) / shown if shown else float("nan")


def _listings(calls: Iterable[ModelCall], pulls: Iterable[Pull]) -> list[tuple[int, float]]:
    selections = [call for call in calls if call.purpose == "select" and not call.error]
    recorded = {(call.team, call.step) for call in selections}
    listings = [(call.team, call.started_seconds) for call in selections]
    return listings + [(pull.reader, pull.seconds) for pull in pulls if (pull.reader, pull.step) not in recorded]
