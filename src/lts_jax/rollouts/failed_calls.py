"""Calls that failed: how many and why, when they mean that the endpoint refuses a whole rollout, and what helps.

A call's error says who failed, how, and in whose words: `model (rate_limit): tiny at host: HTTP 429: slow down`. It
begins with `endpoint` if any other call would have failed as well, with `refused` once a rollout has given up.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lts_jax.llm.chat import ENDPOINT_IS_DOWN, FailureKind, ModelFailure
from lts_jax.records import ModelCall, Rollout

ENDPOINT = "endpoint"
"""How the error of a call begins if any other call would have failed as well: a refused key, a dead endpoint."""

REFUSED = "refused"
"""How the error of a call begins once all calls of a rollout so far have failed for one reason."""

NUM_FIRST = 8  # calls that all fail for one reason, after which a rollout gives up
MOST = 0.5  # share of a rollout's calls above which one reason makes the rollout a failure of the endpoint
_SHAPE = re.compile(r"(?P<who>\w+)(?: \((?P<kind>\w+)\))?: (?P<text>.*)", re.DOTALL)
_PASSING = re.compile(r" \(attempts: [^()]*\)")
_VARYING = re.compile(r"\b(?=\w*\d)[\w-]{6,}\b|\d+")  # ids, counts and times differ from call to call
_ADVICE = {
    FailureKind.QUOTA: "add credit to the account at the endpoint",
    FailureKind.KEY_REFUSED: "put a valid key of this endpoint into that variable, or correct --model.base-url",
    FailureKind.CONNECTION: "check --model.base-url, and that the server runs",
    FailureKind.REDIRECT: "give the address that it redirects to as --model.base-url",
    FailureKind.NOT_FOUND: "check --model.name and --model.base-url, which mostly ends in /v1",
    FailureKind.RATE_LIMIT: "lower --model.max-in-flight, or wait",
    FailureKind.SERVER_ERROR: "look at the server, or try again later",
    FailureKind.DEADLINE: "raise --model.attempt-deadline-seconds and --model.call-deadline-seconds",
    FailureKind.REQUEST_REFUSED: "`lts model check` tells what the endpoint takes",
    FailureKind.HELD_BACK: "take another model or endpoint, or leave such tasks out",
    FailureKind.NO_TEXT: "raise --model.max-completion-tokens, or take a model that answers",
    FailureKind.UNREADABLE: "check that --model.base-url is an OpenAI-compatible endpoint",
    FailureKind.TOO_LARGE: "set --model.max-completion-tokens",
}
"""What to do about a failure, by its kind."""


def error_of(failure: ModelFailure) -> str:
    """The error of a call that failed so."""
    return f"{ENDPOINT if failure.kind in ENDPOINT_IS_DOWN else 'model'} ({failure.kind}): {failure}"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why calls failed: its kind as in `FailureKind`, in the words of the first of them, and how many did."""

    kind: str
    text: str
    num_calls: int

    @property
    def advice(self) -> str:
        """What to do about it; empty where nothing general helps."""
        known = self.kind in FailureKind.__members__.values()
        return _ADVICE.get(FailureKind(self.kind), "") if known else ""

    def told(self) -> str:
        """The reason with what to do, as part of a line."""
        return f"{self.text.rstrip('. ')}: {self.advice}" if self.advice else self.text


def reasons(calls: Iterable[ModelCall]) -> list[Reason]:
    """Why these calls failed, the most frequent reason first. Calls that a used-up budget kept back are left out."""
    counts: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], str] = {}
    for call in calls:
        found = _read(call.error) if call.error else None
        if found is None:
            continue
        kind, text = found
        reason = kind, _VARYING.sub("#", text)
        counts[reason] += 1
        first.setdefault(reason, text)
    return [Reason(reason[0], first[reason], count) for reason, count in counts.most_common()]


def endpoint_failure(calls: Sequence[ModelCall]) -> str:
    """What the endpoint said when it failed as a whole, so that the rollout says nothing of its policy; else ""."""
    down = [call for call in calls if call.error.startswith(ENDPOINT)]
    return reasons(down)[0].told() if down else ""


def common_failure(calls: Sequence[ModelCall]) -> Reason | None:
    """The one reason for which most calls failed: the endpoint's failure, and not the policy's. None without one."""
    if not any(call.error for call in calls):
        return None
    found = reasons(calls)
    return found[0] if found and found[0].num_calls > MOST * len(calls) else None


def split_failed(rollouts: Sequence[Rollout]) -> tuple[list[Rollout], list[Rollout]]:
    """The rollouts that say something of their policy, and those that the endpoint failed."""
    halves: tuple[list[Rollout], list[Rollout]] = ([], [])
    for rollout in rollouts:
        halves[common_failure(rollout.calls) is not None].append(rollout)
    return halves


class NotAsked(Exception):
    """All calls of a rollout so far failed for one reason: no more are made."""


@dataclass(slots=True)
class FirstCalls:
    """Watches the first calls of one rollout. Once all of `NUM_FIRST` failed for one reason, the rest is not made."""

    verdict: str = ""  # the error of every further call
    _errors: list[str] = field(default_factory=list)
    _is_over: bool = False

    def check(self) -> None:
        """Raise `NotAsked`, in the words of the calls that failed, where no further call is to be made."""
        if self.verdict:
            raise NotAsked(self.verdict)

    def note(self, error: str) -> None:
        """Count a call with this error, "" for one that was answered."""
        if self._is_over or error.startswith("budget"):
            return
        if error.startswith(ENDPOINT):
            self.verdict, self._is_over = error, True
            return
        self._errors.append(error)
        alike = {_VARYING.sub("#", _PASSING.sub("", one)) for one in self._errors}
        if not error or len(alike) > 1:
            self._is_over = True
        elif len(self._errors) >= NUM_FIRST:
            self.verdict, self._is_over = f"{REFUSED} {error.partition(' ')[2]}", True


def _read(error: str) -> tuple[str, str] | None:
    """Kind and words of an error; None for a budget's."""
    match = _SHAPE.match(error)
    if match is None or match["who"] == "budget":
        return None if error.startswith("budget") else ("", error)
    return match["kind"] or "", _PASSING.sub("", match["text"])
