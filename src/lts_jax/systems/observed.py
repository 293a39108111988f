"""What recorded rollouts show of a simulator's parameters at once: seconds of every kind, without any search."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import fmean

import numpy as np

from lts_jax.records import Rollout, Step

_SHORTEST_SECONDS = 0.1  # steps of no time have no logarithm


def observed_seconds(apart: Sequence[Rollout], sharing: Sequence[Rollout]) -> dict[str, float]:
    """Fields of `SimulatorParams` that are seconds, from rollouts without a bank and with one.

    Means of what was recorded; a selection's seconds are a line over the keys that it listed; a pulled value's are what
    the rounds with a bank last longer than their own calls explain, per value.
    """
    every = [*apart, *sharing]
    log_spread = float(np.std([math.log(max(_seconds(step), _SHORTEST_SECONDS)) for step in _steps(every)]))
    apart_gaps = [gap for rollout in apart for gap in _gaps(rollout)]
    found = {
        "start_seconds": fmean(steps[0].started_seconds for each in every for steps in _by_team(each).values()),
        "step_log_seconds": math.log(fmean(map(_seconds, _steps(every)))) - log_spread**2 / 2,
        "step_log_spread": log_spread,
        "check_seconds": fmean(apart_gaps),
        "finish_seconds": fmean(
            rollout.answers[team].seconds - steps[-1].finished_seconds
            for rollout in apart
            for team, steps in _by_team(rollout).items()
        ),
        "aggregate_seconds": fmean(each.seconds - max(answer.seconds for answer in each.answers) for each in every),
        "summary_seconds": _call_seconds(sharing, "summarize"),
        "decision_seconds": _decision_seconds(sharing),
    }
    found |= _selection(sharing)
    return found | {"pull_seconds": _pull_seconds(sharing, found)}


def _selection(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """Least squares of a selection call's seconds over the keys that it listed, no slope below zero."""
    seconds, listed = [], []
    for rollout in rollouts:
        for call in rollout.calls:
            if call.purpose == "select" and not call.error:
                seconds.append(call.seconds)
                listed.append(_num_listed(rollout, call.team, call.started_seconds))
    if not seconds:
        return {"selection_seconds": 0.0, "key_seconds": 0.0}
    varies = float(np.var(listed)) > 0
    slope = max(0.0, float(np.cov(listed, seconds, bias=True)[0, 1] / np.var(listed))) if varies else 0.0
    return {"selection_seconds": max(0.0, fmean(seconds) - slope * fmean(listed)), "key_seconds": slope}


def _num_listed(rollout: Rollout, team: int, now: float) -> int:
    """Keys of other teams that the team had not pulled by then."""
    pulled = {pull.entry for pull in rollout.pulls if pull.reader == team and pull.seconds <= now}
    return sum(entry.team != team and entry.seconds <= now and entry.entry not in pulled for entry in rollout.entries)


def _pull_seconds(rollouts: Sequence[Rollout], found: dict[str, float]) -> float:
    """What rounds with a bank last longer than without, less their own calls, per value pulled before a step."""
    gaps = [gap for rollout in rollouts for gap in _gaps(rollout)]
    per_round = found["check_seconds"] + found["summary_seconds"] + found["decision_seconds"]
    num_pulls, selecting = 0, 0.0
    for rollout in rollouts:
        last = {team: steps[-1].step for team, steps in _by_team(rollout).items()}
        num_pulls += sum(0 < pull.step <= last.get(pull.reader, -1) for pull in rollout.pulls)
        selecting += sum(
            call.seconds
            for call in rollout.calls
            if call.purpose == "select" and 0 < call.step <= last.get(call.team, -1)
        )
    return max(0.0, sum(gaps) - len(gaps) * per_round - selecting) / max(1, num_pulls)


def _decision_seconds(rollouts: Sequence[Rollout]) -> float:
    waits = [
        rollout.entries[decision.entry].seconds - decision.seconds
        for rollout in rollouts
        for decision in rollout.decisions
        if decision.entry >= 0
    ]
    return fmean(waits) if waits else 0.0


def _call_seconds(rollouts: Sequence[Rollout], purpose: str) -> float:
    seconds = [call.seconds for rollout in rollouts for call in rollout.calls if call.purpose == purpose]
    return fmean(seconds) if seconds else 0.0


def _seconds(step: Step) -> float:
    return step.finished_seconds - step.started_seconds


def _steps(rollouts: Sequence[Rollout]) -> Iterable[Step]:
    return (step for rollout in rollouts for step in rollout.steps)


def _by_team(rollout: Rollout) -> dict[int, list[Step]]:
    found: dict[int, list[Step]] = defaultdict(list)
    for step in sorted(rollout.steps, key=lambda step: step.step):
        found[step.team].append(step)
    return found


def _gaps(rollout: Rollout) -> list[float]:
    """Seconds between the end of a step and the beginning of the team's next."""
    return [
        later.started_seconds - earlier.finished_seconds
        for steps in _by_team(rollout).values()
        for earlier, later in pairwise(steps)
    ]
