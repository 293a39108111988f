"""Replay: the recorded runs of one task as K parallel teams on a virtual clock, with a memory bank between them.

Every team takes its recorded steps in order. What a replay can change is time: before a read-only tool call a team
may pull an admitted entry of the very same call (tool and canonical arguments) and saves the call's time;
state-changing calls are always made. In return, every listed key lengthens every later prompt. A pulled value that
differs from what the team once read is counted (`replay_measures`), but the team still goes on as recorded.

Choosing keys is an exact match and asks no model. Decisions are taken on every step, as in the method: on tool calls
of either kind and on replies to the customer, in order of the clock.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lts_jax.admission.policy import ADMIT, AdmissionPolicy, AdmissionRequest
from lts_jax.llm.chat import Ask
from lts_jax.logs.importers.recorded import RecordedRun, RecordedStep, RecordedTask, mean_outcome
from lts_jax.logs.replay_bank import ChangedState, ReplayBank, step_key
from lts_jax.logs.replay_settings import ReplaySettings, ReplayTimes
from lts_jax.records import Answer, Coordinates, Decision, Message, ModelCall, Outcome, Pull, Rollout, Step, StopReason

_DECIDE, _ASK_MODEL, _CALL_TOOL = 0, 1, 2  # at one instant decisions come first, so what they admit is there to pull


async def replay_task(
    recorded: RecordedTask,
    policy: AdmissionPolicy,
    coordinates: Coordinates,
    settings: ReplaySettings | None = None,
    ask: Ask | None = None,
) -> Rollout:
    """Replay a task's recorded runs as parallel teams under an admission policy.

    All times are a function of coordinates, team and step: the same coordinates give the same noise under every
    policy, so two policies are compared on one world. `settings.reward` says what the rewards are; the outcomes stay
    the recorded ones (the final outcome is the teams' mean). `ask` serves policies that consult a language model;
    without it their calls come back with an error.

    Raises:
        ValueError: fewer recorded runs than `settings.num_teams`, or none.
    """
    settings = settings or ReplaySettings()
    runs = _chosen_runs(recorded, settings)
    replay = _Replay(recorded, runs, policy, ReplayTimes(settings, coordinates), ask or _no_model)
    await replay.run()
    return replay.rollout()


def unshared_seconds(recorded: RecordedTask, coordinates: Coordinates, settings: ReplaySettings) -> tuple[float, ...]:
    """Seconds at which each team ends without a memory bank, under the same noise as a replay."""
    times = ReplayTimes(settings, coordinates)
    finishes = []
    for team, run in enumerate(_chosen_runs(recorded, settings)):
        finish = start = 0.0
        for item in run.steps:
            finish = start + times.model(team, item, 0) + times.tool(team, item)
            start = finish + times.customer(team, item)
        finishes.append(finish)
    return tuple(finishes)


@dataclass(slots=True)
class _Replay:
    recorded: RecordedTask
    runs: Sequence[RecordedRun]
    policy: AdmissionPolicy
    times: ReplayTimes
    ask: Ask
    bank: ReplayBank = field(init=False)
    changed: list[ChangedState] = field(init=False)
    finish: list[float] = field(init=False)
    events: list[tuple[float, int, int, int]] = field(default_factory=list)  # seconds, kind, team, step
    started: dict[tuple[int, int], float] = field(default_factory=dict)
    changed_before: dict[tuple[int, int], ChangedState] = field(default_factory=dict)
    steps: dict[tuple[int, int], Step] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    pulls: list[Pull] = field(default_factory=list)
    calls: list[ModelCall] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bank = ReplayBank(self.times.settings)
        self.changed = [ChangedState() for _ in self.runs]
        self.finish = [0.0 for _ in self.runs]

    async def run(self) -> None:
        """Take events in order of their time until none is left."""
        for team, run in enumerate(self.runs):
            if run.steps:
                heapq.heappush(self.events, (0.0, _ASK_MODEL, team, 0))
        while self.events:
            seconds, kind, team, number = heapq.heappop(self.events)
            item = self.runs[team].steps[number]
            if kind == _DECIDE:
                await self._decide(seconds, team, item)
            elif kind == _ASK_MODEL:
                self._ask_model(seconds, team, item)
            else:
                self._call_tool(seconds, team, item)

    def _ask_model(self, seconds: float, team: int, item: RecordedStep) -> None:
        settings = self.times.settings
        number = item.step.step
        self.started[team, number] = seconds
        if settings.pull_skips_model_call and self._pull(seconds, team, item):
            self._end_step(seconds + settings.pull_seconds, team, item)
            return
        window = self.policy.listing_window
        key_tokens = self.bank.listed_tokens(window) if settings.keys_cost_tokens else 0
        taken = self.times.model(team, item, key_tokens)
        if item.asks_model:
            taken += settings.selection_seconds if self.bank.entries else 0.0
            tokens = settings.tokens(item.prompt_characters) + key_tokens, settings.tokens(item.reply_characters)
            self.calls.append(ModelCall("act", "", *tokens, "recorded", team, number, seconds, taken))
        heapq.heappush(self.events, (seconds + taken, _CALL_TOOL, team, number))

    def _call_tool(self, seconds: float, team: int, item: RecordedStep) -> None:
        settings = self.times.settings
        pulled = self._pull(seconds, team, item)
        self._end_step(seconds + (settings.pull_seconds if pulled else self.times.tool(team, item)), team, item)

    def _pull(self, seconds: float, team: int, item: RecordedStep) -> bool:
        entry = self.bank.find(item, team, self.changed[team], self.policy.listing_window)
        if entry is None:
            return False
        self.pulls.append(Pull(entry.entry, team, entry.team, item.step.step, seconds))
        return True

    def _end_step(self, seconds: float, team: int, item: RecordedStep) -> None:
        settings, number = self.times.settings, item.step.step
        self.changed_before[team, number] = self.changed[team].copy()
        if settings.changes_state(item):
            self.changed[team].add(item.step.action)
        self.finish[team] = seconds
        self.steps[team, number] = replace(
            item.step,
            team=team,
            summary=step_key(item),
            started_seconds=self.started[team, number],
            finished_seconds=seconds,
        )
        heapq.heappush(self.events, (seconds + settings.summary_seconds, _DECIDE, team, number))
        if number + 1 < len(self.runs[team].steps):
            ready = seconds + self.times.customer(team, item)
            heapq.heappush(self.events, (ready, _ASK_MODEL, team, number + 1))

    async def _decide(self, seconds: float, team: int, item: RecordedStep) -> None:
        step = self.steps[team, item.step.step]
        keys = tuple(self.bank.keys)
        request = AdmissionRequest(self.recorded.task.question, keys, step, self.times.coordinates, seconds)
        admission = await self.policy.decide(request, self.ask)
        entry = -1
        if admission.action == ADMIT:
            changed = self.changed_before[team, step.step]
            entry = self.bank.admit(item, team, step.summary, seconds, changed)
        self.decisions.append(
            Decision(
                team=team,
                step=step.step,
                action=admission.action,
                log_prob=admission.log_prob,
                admit_probability=admission.admit_probability,
                num_keys=len(keys),
                sequence=len(self.decisions),
                seconds=seconds,
                entry=entry,
                controller=self.policy.name,
            )
        )

    def rollout(self) -> Rollout:
        """The record of the replay."""
        answers = tuple(replace(run.answer, team=team, seconds=self.finish[team]) for team, run in enumerate(self.runs))
        seconds = max(self.finish)
        first = _first_team(self.runs, self.finish)
        outcome, first_outcome = mean_outcome([run.outcome for run in self.runs]), self.runs[first].outcome
        reward_agg, reward_first = self._rewards(outcome, first_outcome)
        return Rollout(
            task=self.recorded.task,
            coordinates=self.times.coordinates,
            num_teams=len(self.runs),
            steps=tuple(self.steps[place] for place in sorted(self.steps)),
            decisions=tuple(self.decisions),
            entries=tuple(self.bank.entries),
            pulls=tuple(self.pulls),
            answers=answers,
            final=Answer(-1, answers[first].text, seconds, answers[first].stop_reason),
            outcome=outcome,
            first_outcome=first_outcome,
            reward_agg=reward_agg,
            reward_first=reward_first,
            seconds=seconds,
            calls=tuple(self.calls),
            clock="virtual (latency model; no times were recorded)",
            policy=self.policy.name,
            listing_window=self.policy.listing_window,
            stop_reason=StopReason.SATISFIED,
        )

    def _rewards(self, outcome: Outcome, first_outcome: Outcome) -> tuple[float, float]:
        settings = self.times.settings
        if settings.reward == "recorded":
            return outcome.score, first_outcome.score
        unshared = unshared_seconds(self.recorded, self.times.coordinates, settings)
        total = sum if settings.reward == "team_seconds" else max
        first = self.finish[_first_team(self.runs, self.finish)]
        first_unshared = unshared[_first_team(self.runs, unshared)]
        return _saved_fraction(total(self.finish), total(unshared)), _saved_fraction(first, first_unshared)


def _chosen_runs(recorded: RecordedTask, settings: ReplaySettings) -> tuple[RecordedRun, ...]:
    runs = recorded.runs[: settings.num_teams]
    if not runs or (settings.num_teams is not None and len(runs) < settings.num_teams):
        wanted = settings.num_teams or "at least 1"
        raise ValueError(f"task {recorded.task.task_id} has {len(recorded.runs)} recorded runs, expected {wanted}")
    return runs


def _first_team(runs: Sequence[RecordedRun], finish: Sequence[float]) -> int:
    # A run without a step gave no answer; it is first only if no run took a step.
    return min(range(len(runs)), key=lambda team: (not runs[team].steps, finish[team], team))


def _saved_fraction(seconds: float, unshared: float) -> float:
    return 1.0 - seconds / unshared if unshared > 0.0 else math.nan


async def _no_model(purpose: str, messages: Sequence[Message]) -> ModelCall:
    return ModelCall(purpose, "", 0, 0, error="a replay of recorded runs has no language model to ask")
