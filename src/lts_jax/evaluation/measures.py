"""Measures of one rollout, each with its unit, its better direction and its chance level.

Ratios are kept as counts, so that a report can pool them over rollouts (sum over sum) instead of averaging ratios of
unlike size. A ratio without a denominator is NaN. The chance levels of reading are explained in `chance.py`.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from lts_jax.evaluation.chance import num_teams_shown, shown_pairs
from lts_jax.records import EARLIER, Answer, ModelCall, Rollout, StopReason
from lts_jax.rollouts.outcomes import first_finisher, ran_out_of_budget

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
    "precision": Measure("score, mean over the scored rollouts with an answer", "0..1", "up"),
    "exact_match": Measure("scored rollouts whose score is exactly 1 / scored rollouts", "fraction", "up"),
    "runtime_seconds": Measure("start of the task to the aggregated answer", "seconds", "down"),
    "first_seconds": Measure(
        "start of the task to the first answer of a team that worked to its own end", "seconds", "down"
    ),
    "first_score": Measure("official score of that first answer", "0..1", "up"),
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
        "mean of 1 - (1 - q)^n over entries whose key was shown to n teams; q = pulled / shown, of policy all if it is "
        "compared, else of all policies together",
    ),
    "cross_share": Measure(
        "pulls whose reader is another team / pulls",
        "fraction",
        "up",
        "(entry, team) pairs shown to another team than the writer / pairs shown; 1 if own keys are hidden",
    ),
    "reach": Measure(
        "other teams that pulled an entry, mean over entries",
        "0..K-1",
        "up",
        "mean of q * n over entries whose key was shown to n other teams; the same q",
    ),
    "overhead_seconds": Measure("seconds of summary, selection, judge and controller calls", "seconds", "down"),
    "overhead_tokens": Measure("tokens of summary, selection, judge and controller calls", "tokens", "down"),
    "failed_step_fraction": Measure("steps whose observation is a failure / steps", "fraction", "down"),
    "stalled_fraction": Measure("rounds that the ledger called stalled / rounds", "fraction", "down"),
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
    teams_shown: tuple[int, ...]  # for each entry, teams that its key was shown to
    num_shown_to_others: int  # (entry, team) pairs without the writer
    num_shown_pulled: int  # (entry, team) pairs that were pulled
    overhead_seconds_by_purpose: Mapping[str, float]
    overhead_tokens_by_purpose: Mapping[str, int]
    num_steps: int
    num_failed_steps: int
    num_rounds: int
    num_stalls: int
    ran_out_of_budget: bool  # any team was stopped by the budget
    steps_by_agent: Mapping[str, int]
    stop_reasons: Mapping[str, int]  # of the teams' answers

    @property
    def precision(self) -> float:
        """The score where there was an answer, else NaN: its mean is AssistantBench's precision (arXiv 2407.15711)."""
        return self.score if self.answered else math.nan

    @property
    def exact_match(self) -> float:
        """1.0 where the score is exactly 1, else 0.0; NaN where no score could be computed."""
        return float(self.score == 1.0) if math.isfinite(self.score) else math.nan

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
    def cross_share_chance(self) -> float:
        """Cross share of a reader who pulls whatever is shown, whoever wrote it: shown to others / shown."""
        return ratio(self.num_shown_to_others, self.num_shown)

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
        """Rounds that the ledger called stalled / rounds."""
        return ratio(self.num_stalls, self.num_rounds)

    @property
    def num_shown(self) -> int:
        """(entry, team) pairs in which the team was shown the entry's key."""
        return sum(self.teams_shown)

    def entries_pulled_at(self, rate: float) -> float:
        """Entries pulled at least once if every shown key is pulled with probability `rate`: sum of 1 - (1 - q)^n."""
        return math.fsum(1.0 - (1.0 - rate) ** num_teams for num_teams in self.teams_shown)

    def readers_at(self, rate: float) -> float:
        """Other readers, summed over entries, if every shown key is pulled with probability `rate`."""
        return rate * self.num_shown_to_others


def measure(rollout: Rollout, *, own_listed: bool = False) -> RolloutMeasures:
    """Measure one rollout.

    What teams were listed sets its chance levels: `own_listed` says whether a team's own keys were. Entries, pulls and
    readers are of what the rollout's own teams stored; what earlier tasks left was not admitted here.
    """
    first = first_finisher(rollout.answers)
    entries = [entry for entry in rollout.entries if entry.team != EARLIER]
    pulls = [pull for pull in rollout.pulls if pull.writer != EARLIER]
    pulled = {pull.entry for pull in pulls}
    readers = {(pull.entry, pull.reader) for pull in pulls if pull.reader != pull.writer}
    writers = {entry.entry: entry.team for entry in entries}
    shown = {pair for pair in shown_pairs(rollout, own_listed=own_listed) if pair[0] in writers}
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
        num_entries=len(entries),
        num_entries_pulled=len(pulled),
        num_pulls=len(pulls),
        num_cross_pulls=sum(pull.reader != pull.writer for pull in pulls),
        num_readers=len(readers),
        teams_shown=num_teams_shown(entries, shown),
        num_shown_to_others=sum(writers.get(entry_id) != team for entry_id, team in shown),
        num_shown_pulled=len({(pull.entry, pull.reader) for pull in pulls}),
        overhead_seconds_by_purpose=_by_purpose(rollout.calls, lambda call: call.seconds),
        overhead_tokens_by_purpose=_by_purpose(rollout.calls, lambda call: call.prompt_tokens + call.completion_tokens),
        num_steps=len(rollout.steps),
        num_failed_steps=sum(step.failed for step in rollout.steps),
        num_rounds=sum(num_rounds(answer) for answer in rollout.answers),
        num_stalls=sum(answer.num_stalls for answer in rollout.answers),
        ran_out_of_budget=ran_out_of_budget(rollout.answers),
        steps_by_agent=dict(sorted(Counter(step.agent for step in rollout.steps).items())),
        stop_reasons=dict(sorted(Counter(answer.stop_reason.value for answer in rollout.answers).items())),
    )


def num_rounds(answer: Answer) -> int:
    """Rounds that a team began, from its own counts.

    A round ends in a step, in a re-plan, or in the team's end; a team that used up its rounds ended after the last one.
    A round cut short counts. Ledger calls are no substitute: one round makes several where a reply was unreadable.
    """
    return answer.num_steps + answer.num_replans + (answer.stop_reason != StopReason.ROUND_LIMIT)


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
