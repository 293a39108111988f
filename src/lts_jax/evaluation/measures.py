"""Measures of one rollout, each with its unit, its better direction and its chance level.

Ratios are kept as counts, so that a report can pool them over rollouts (sum over sum) instead of averaging ratios of
unlike size. A ratio without a denominator is NaN. The indifferent reader, against which reading is judged, makes the
selections that were made, at the times they were made and as many keys each, but names keys uniformly at random
among those listed.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from lts_jax.records import Answer, MemoryEntry, ModelCall, Pull, Rollout

Number = TypeVar("Number", int, float)

OVERHEAD_PURPOSES = ("summarize", "select", "judge", "controller")  # calls that exist only because teams share


@dataclass(frozen=True, slots=True)
class Measure:
    """What a number means: meaning, unit, which direction is better ("up", "down" or ""), and its chance level."""

    meaning: str
    unit: str
    better: str
    chance: str = ""


MEASURES: dict[str, Measure] = {
    "score": Measure("official score of the aggregated answer", "0..1", "up"),
    "answered": Measure("whether there was an aggregated answer", "fraction", "up"),
    "runtime_seconds": Measure("start of the task to the aggregated answer", "seconds", "down"),
    "first_seconds": Measure("start of the task to the first team's answer", "seconds", "down"),
    "first_score": Measure("official score of the first team's answer", "0..1", "up"),
    "steps_per_team": Measure("agent steps a team took", "steps", "down"),
    "team_seconds": Measure("seconds until its answer, summed over teams", "seconds", "down"),
    "model_seconds": Measure("seconds of every model call, summed", "seconds", "down"),
    "tokens": Measure("prompt and completion tokens of every call", "tokens", "down"),
    "usd": Measure("price of every call", "US dollars", "down"),
    "admission_fraction": Measure("decisions that admitted / decisions", "fraction", "", "0.5: a coin decides"),
    "read_rate": Measure(
        "admitted entries pulled at least once / admitted entries",
        "fraction",
        "up",
        "what an indifferent reader, naming as many of the listed keys at random, would reach",
    ),
    "cross_share": Measure(
        "pulls whose reader is another team / pulls",
        "fraction",
        "up",
        "(K-1)/K if a team's own keys are listed, 1 if they are hidden",
    ),
    "reach": Measure(
        "other teams that pulled an entry, mean over entries",
        "0..K-1",
        "up",
        "what an indifferent reader, naming as many of the listed keys at random, would reach",
    ),
    "overhead_seconds": Measure("seconds of summary, selection, judge and controller calls", "seconds", "down"),
    "overhead_tokens": Measure("tokens of summary, selection, judge and controller calls", "tokens", "down"),
    "failed_step_fraction": Measure("steps whose observation is a failure / steps", "fraction", "down"),
    "stalled_fraction": Measure("rounds that the ledger called stalled / steps", "fraction", "down"),
}


@dataclass(frozen=True, slots=True)
class RolloutMeasures:
    """All measures of one rollout. Names are those of `MEASURES`; counts are what its ratios are made of."""

    score: float  # NaN where no score could be computed
    answered: float  # 1.0 or 0.0
    runtime_seconds: float
    first_seconds: float  # NaN when no team answered
    first_team: int  # -1 when no team answered
    first_score: float
    num_teams: int
    steps_per_team: float
    team_seconds: float
    model_seconds: float
    tokens: int
    usd: float
    num_decisions: int
    num_admitted: int
    num_entries: int
    num_entries_pulled: int
    num_pulls: int
    num_cross_pulls: int
    num_readers: int  # distinct other teams of every entry, summed over entries
    expected_entries_pulled: float  # the same two counts for the indifferent reader
    expected_readers: float
    cross_share_chance: float
    overhead_seconds_by_purpose: Mapping[str, float]
    overhead_tokens_by_purpose: Mapping[str, int]
    num_steps: int
    num_failed_steps: int
    num_stalls: int
    steps_by_agent: Mapping[str, int]
    stop_reasons: Mapping[str, int]  # of the teams' answers

    @property
    def admission_fraction(self) -> float:
        """Decisions that admitted / decisions."""
        return ratio(self.num_admitted, self.num_decisions)

    @property
    def read_rate(self) -> float:
        """Entries pulled at least once / entries (the paper's "recall")."""
        return ratio(self.num_entries_pulled, self.num_entries)

    @property
    def cross_share(self) -> float:
        """Pulls by another team than the writer / pulls (the paper's "cross-team recall", by elimination)."""
        return ratio(self.num_cross_pulls, self.num_pulls)

    @property
    def reach(self) -> float:
        """Mean number of distinct other teams that pulled an entry, 0..K-1."""
        return ratio(self.num_readers, self.num_entries)

    @property
    def overhead_seconds(self) -> float:
        """Seconds of the calls that exist only because teams share."""
        return math.fsum(self.overhead_seconds_by_purpose.values())

    @property
    def overhead_tokens(self) -> int:
        """Tokens of the calls that exist only because teams share."""
        return sum(self.overhead_tokens_by_purpose.values())

    @property
    def failed_step_fraction(self) -> float:
        """Steps whose observation is a traceback, a refusal or empty / steps."""
        return ratio(self.num_failed_steps, self.num_steps)

    @property
    def stalled_fraction(self) -> float:
        """Rounds that the ledger called stalled / steps."""
        return ratio(self.num_stalls, self.num_steps)


def measure(rollout: Rollout, *, own_listed: bool = False, pulled_listed: bool = False) -> RolloutMeasures:
    """Measure one rollout.

    Two things set its chance levels: `own_listed` says whether a team's own keys were listed to it, `pulled_listed`
    whether keys were listed again while their value stood in the team's context.
    """
    first = first_finisher(rollout.answers)
    pulled = {pull.entry for pull in rollout.pulls}
    readers = {(pull.entry, pull.reader) for pull in rollout.pulls if pull.reader != pull.writer}
    expected_pulled, expected_readers = indifferent_reader(
        rollout.entries,
        rollout.pulls,
        own_listed=own_listed,
        pulled_listed=pulled_listed,
        listing_seconds={
            (call.team, call.step): call.started_seconds for call in rollout.calls if call.purpose == "select"
        },
    )
    return RolloutMeasures(
        score=rollout.reward_agg,
        answered=float(rollout.outcome.answered),
        runtime_seconds=rollout.seconds,
        first_seconds=first.seconds if first else math.nan,
        first_team=first.team if first else -1,
        first_score=rollout.reward_first,
        num_teams=rollout.num_teams,
        steps_per_team=len(rollout.steps) / rollout.num_teams,
        team_seconds=math.fsum(answer.seconds for answer in rollout.answers),
        model_seconds=math.fsum(call.seconds for call in rollout.calls),
        tokens=rollout.tokens,
        usd=math.fsum(call.usd for call in rollout.calls),
        num_decisions=len(rollout.decisions),
        num_admitted=sum(decision.action == 1 for decision in rollout.decisions),
        num_entries=len(rollout.entries),
        num_entries_pulled=len(pulled),
        num_pulls=len(rollout.pulls),
        num_cross_pulls=sum(pull.reader != pull.writer for pull in rollout.pulls),
        num_readers=len(readers),
        expected_entries_pulled=expected_pulled,
        expected_readers=expected_readers,
        cross_share_chance=cross_share_chance(rollout.num_teams, own_listed=own_listed),
        overhead_seconds_by_purpose=_by_purpose(rollout.calls, lambda call: call.seconds),
        overhead_tokens_by_purpose=_by_purpose(rollout.calls, lambda call: call.prompt_tokens + call.completion_tokens),
        num_steps=len(rollout.steps),
        num_failed_steps=sum(step.failed for step in rollout.steps),
        num_stalls=sum(answer.num_stalls for answer in rollout.answers),
        steps_by_agent=dict(sorted(Counter(step.agent for step in rollout.steps).items())),
        stop_reasons=dict(sorted(Counter(answer.stop_reason.value for answer in rollout.answers).items())),
    )


def first_finisher(answers: Sequence[Answer]) -> Answer | None:
    """The earliest answer that has a text; ties go to the lower team; None when no team answered."""
    given = [answer for answer in answers if answer.text.strip()]
    return min(given, key=lambda answer: (answer.seconds, answer.team), default=None)


def cross_share_chance(num_teams: int, *, own_listed: bool) -> float:
    """Cross share of a reader who does not care who wrote: (K-1)/K if own keys are listed, else 1 (NaN for K = 1)."""
    if own_listed:
        return (num_teams - 1) / num_teams
    return 1.0 if num_teams > 1 else math.nan


def indifferent_reader(
    entries: Sequence[MemoryEntry],
    pulls: Sequence[Pull],
    *,
    own_listed: bool,
    pulled_listed: bool = False,
    listing_seconds: Mapping[tuple[int, int], float] | None = None,
) -> tuple[float, float]:
    """Expected (entries pulled at least once, distinct other readers summed over entries) of the indifferent reader.

    A selection is all pulls of one reader before one step: m distinct keys out of the n listed. It names a listed key
    with probability m/n, so a key stays unread by a reader with probability prod (1 - m/n) over the reader's
    selections at which it was listed. Keys whose value the reader holds are listed again only with `pulled_listed`;
    without it they leave n, until the reader pulls one of them again, which shows that it forgot them all.
    `listing_seconds` says when the keys of a selection (reader, step) were listed; without it, when they were pulled.
    Limits on the length of a listing are not modelled.
    """
    selections: dict[tuple[int, int], list[Pull]] = defaultdict(list)
    for pull in sorted(pulls, key=lambda pull: (pull.seconds, pull.step)):
        selections[pull.reader, pull.step].append(pull)
    writers = {entry.entry: entry.team for entry in entries}
    committed = {entry.entry: entry.seconds for entry in entries}
    held: dict[int, set[int]] = defaultdict(set)
    unread: dict[tuple[int, int], float] = {}  # (entry, reader) -> probability that this reader never names it
    for (reader, step), selected in selections.items():
        named = {pull.entry for pull in selected}
        listed_at = (listing_seconds or {}).get((reader, step), max(pull.seconds for pull in selected))
        seconds = max([listed_at, *(committed[entry] for entry in named if entry in committed)])
        listed = [entry.entry for entry in entries if entry.seconds <= seconds and (own_listed or entry.team != reader)]
        if pulled_listed or named & held[reader]:
            held[reader].clear()
        stays = 1.0 - min(1.0, ratio(len(named), len(listed) - len(held[reader].intersection(listed))))
        for entry_id in listed:
            unread[entry_id, reader] = unread.get((entry_id, reader), 1.0) * stays
        held[reader] |= named
    unread_by_all = dict.fromkeys(writers, 1.0)
    for (entry_id, _), probability in unread.items():
        unread_by_all[entry_id] *= probability
    expected_pulled = math.fsum(1.0 - probability for probability in unread_by_all.values())
    expected_readers = math.fsum(1.0 - p for (entry_id, reader), p in unread.items() if writers[entry_id] != reader)
    return expected_pulled, expected_readers


def ratio(numerator: float, denominator: float) -> float:
    """numerator / denominator, NaN where the denominator is zero."""
    return numerator / denominator if denominator else math.nan


def _by_purpose(calls: Sequence[ModelCall], amount: Callable[[ModelCall], Number]) -> dict[str, Number]:
    totals = {}
    for purpose in OVERHEAD_PURPOSES:
        amounts = [amount(call) for call in calls if call.purpose == purpose]
        if amounts:
            totals[purpose] = sum(amounts)
    return totals
