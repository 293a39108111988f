"""One execution of a task: K teams, a bank, an admission policy, a clock; out comes one `Rollout`.

Here the parts meet. A team's request to its model is seeded by coordinates, timed, paid from the budget and recorded;
after each worker step the step is summarised, the policy decides, and an admitted step enters the bank; before each
ledger call the team may pull values. A policy whose `listing_window` is 0 never shows a key, so nothing is summarised
or decided: that is M1-Parallel.
"""

import asyncio
import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lts_jax import prompts
from lts_jax.actions import ADMIT, DELETE, UPDATE
from lts_jax.admission.policy import Admission, AdmissionPolicy, AdmissionRequest
from lts_jax.errors import UserError
from lts_jax.llm.budget import Budget, Price
from lts_jax.llm.chat import Ask, BudgetExhausted, ChatModel, Completion, ModelFailure
from lts_jax.llm.session import calls_of
from lts_jax.memory.bank import EditRefused, KeyRefused, MemoryBank
from lts_jax.memory.drawer import MEMORY_TOOL_NAMES, MEMORY_TOOLS, MemoryTools
from lts_jax.memory.earlier import EarlierEntries, begin_with
from lts_jax.memory.encoders import Encoder, HashingEncoder
from lts_jax.memory.fact_bank import FactKeeper, facts_of
from lts_jax.memory.fact_memory import FactSettings
from lts_jax.memory.reading import NearestKeys, TeamReader
from lts_jax.memory.reading_policy import ReadingPolicy
from lts_jax.memory.remote_bank import Bank, RemoteBank, on_bank
from lts_jax.memory.trust import Provenance, mark_revoked
from lts_jax.records import (
    Answer,
    Choice,
    Coordinates,
    Decision,
    Message,
    ModelCall,
    Outcome,
    OwnTool,
    Rollout,
    Step,
    StopReason,
    Task,
)  # fmt: skip
from lts_jax.redact import environment_secrets, redact_text
from lts_jax.rollouts.aside import Aside
from lts_jax.rollouts.clock import RealClock, VirtualClock
from lts_jax.rollouts.failed_calls import FirstCalls, NotAsked, common_failure, error_of
from lts_jax.rollouts.heard import heard
from lts_jax.rollouts.latency import model_seconds
from lts_jax.rollouts.outcomes import first_finisher
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.rollouts.team_side import Routed, TeamSide
from lts_jax.seeds import coordinate_seed, rollout_coordinates, seed_and_uniform
from lts_jax.tasks.scoring import score_answer
from lts_jax.teams.aggregate import aggregate_answers, thread_excerpts
from lts_jax.teams.parallel import RaceParts, RunTeam, run_teams
from lts_jax.teams.ports import TeamPorts, ToolKit, UseTool
from lts_jax.teams.state import TeamResult
from lts_jax.teams.team import run_team

_IN_JSON = frozenset({"ledger", "act", "extract", "reflect"})  # requests that are answered by an object


@dataclass(frozen=True, slots=True)
class RolloutParts:
    """What a rollout works with. Shared by all rollouts of a collection; holds no state of one rollout."""

    model: ChatModel
    use_tool: UseTool
    policy: AdmissionPolicy
    encoder: Encoder | None = None  # for listings that must be short; without one the newest keys are listed
    virtual_time: bool = True  # False: real models on the real clock
    budget: Budget = field(default_factory=Budget)
    price: Price = field(default_factory=Price)
    run_team: RunTeam = run_team  # what works as one team; see `lts_jax.adapters.autogen` for another
    tool_kit: ToolKit | None = None  # instead of `use_tool`, where each team needs tools of its own
    own_tools: tuple[OwnTool, ...] = ()  # those of the tools that the user brought: teams are told of them
    is_offline: bool = False  # a made-up world in this process: no text holds a secret, nothing is waited for
    on_call: Callable[[ModelCall], None] | None = None  # told of each call as it ends
    on_routed: Callable[[Routed], None] | None = None  # told what of its thread each worker's call is shown
    reader: ReadingPolicy | None = None  # chooses among shared values; None: the team's model, in a call of its own
    facts: FactSettings | None = None  # how values become facts, whatever the settings say; None: as they say
    earlier: EarlierEntries | None = None  # what earlier tasks left for a task, with which its bank begins
    order: Any = None  # what another process makes the same parts from; None: they hold what cannot travel


async def run_rollout(task: Task, coordinates: Coordinates, parts: RolloutParts, settings: RolloutSettings) -> Rollout:
    """Run K teams on one task. Expected failures are values in the record; only programming errors raise.

    Raises:
        UserError: a task that tells something before its question, for teams that do not listen; tools of one name; or
            teams that are to be spread, which nobody here can do.
    """
    if settings.spread_teams:
        raise UserError("rollout.spread-teams: expected workers to spread them over (--workers), got none")
    check_tools(task, parts, settings)
    execution = Execution(task, coordinates, parts, settings)
    with calls_of(session_of(task, coordinates)):
        return await _run(execution)


def session_of(task: Task, coordinates: Coordinates) -> str:
    """What the calls of a task's rollouts have in common, for a router in front of the model."""
    return f"{coordinates.seed}/{coordinates.iteration}/{task.task_id}"


async def _run(execution: "Execution") -> Rollout:
    settings, parts = execution.settings, execution.parts
    try:
        results = await run_teams(
            execution.shown_task,
            settings.num_teams,
            RaceParts(execution.ports, execution.clock, run_one=parts.run_team),
            settings.team,
            settings.parallel,
        )
        final = await execution.final_answer(results)
    finally:
        await execution.aside.leave()
        await execution.end_tools()
    return execution.record([result.answer for result in results], final)


def _when(choice: Choice) -> tuple[float, int, int]:
    return choice.seconds, choice.team, choice.step


def check_tools(task: Task, parts: RolloutParts, settings: RolloutSettings) -> None:
    """Raise `UserError` where the engine of the teams cannot do what is asked for, or two tools have one name."""
    if task.told and parts.run_team is not run_team:
        raise UserError(f"task {task.task_id}: told: expected teams of our own engine, who listen before a question")
    twice = next((tool.name for tool in parts.own_tools if settings.drawer and tool.name in MEMORY_TOOL_NAMES), "")
    if parts.run_team is not run_team and settings.team.routing.mode != "full":
        raise UserError("team.routing: expected mode full for teams of another engine than ours, who are not routed")
    if parts.run_team is not run_team and settings.team.stored != "steps":
        raise UserError("team.stored: expected steps for teams of another engine than ours, who hand in what they do")
    if parts.run_team is not run_team and settings.team.ledger_form != "full":
        raise UserError("team.ledger_form: expected full for teams of another engine than ours, who ask in their words")
    if twice:
        raise UserError(f"rollout.drawer: {twice} is the name of one of its tools; choose another for yours")


class Execution:
    """The state of one running rollout. `TeamSide` is what one of its teams has to do with it."""

    def __init__(
        self,
        task: Task,
        coordinates: Coordinates,
        parts: RolloutParts,
        settings: RolloutSettings,
        bank: Bank | None = None,
        passed: float = 0.0,
    ) -> None:
        """`bank`: one that was begun before, see `rollouts/spread.py`; `passed`: seconds since, on the real clock."""
        self.task = task
        self.shown_task = replace(task, answer=None)  # what teams and aggregator get: no prompt can hold the reference
        self.coordinates = coordinates
        self.parts = parts
        self.settings = settings
        self.clock = VirtualClock() if parts.virtual_time else RealClock(passed)
        self.bank: Bank = MemoryBank(settings.guards) if bank is None else bank
        facts = facts_of(settings.values) if parts.facts is None else parts.facts
        self.facts = None if facts is None else self._fact_keeper(facts)
        self.drawers: dict[int, MemoryTools] = {}  # by team, where teams keep any
        self.readers: list[TeamReader] = []  # of all teams
        self.opened: list[UseTool] = []  # tools of single teams
        self.aside = Aside(self.clock)
        self.first_calls = FirstCalls()
        self.steps: dict[tuple[int, int], Step] = {}
        self.decisions: list[Decision] = []
        self.calls: list[ModelCall] = []
        self.seed = rollout_coordinates(coordinates)
        self._identity = object()  # replays of one rollout, with equal coordinates, may run side by side
        self._redacts = settings.guards.redact and not parts.is_offline
        self._secrets = environment_secrets(os.environ) if self._redacts else ()
        self.has_memory = parts.policy.listing_window != 0
        self.nearest = None if parts.encoder is None else NearestKeys(self.bank.keys, parts.encoder)
        if parts.earlier is not None and self.has_memory and bank is None:
            begin_with(self.bank, parts.earlier(self.shown_task), self.redact)

    def _fact_keeper(self, facts: FactSettings) -> FactKeeper:
        encoder = HashingEncoder() if self.parts.encoder is None else self.parts.encoder
        return FactKeeper(self.bank, encoder, facts, self.settings.guards)

    def ports(self, team: int) -> TeamPorts:
        """What team number `team` may do to the world."""
        side = TeamSide(self, team)
        return TeamPorts(
            ask=side.ask,
            use_tool=side.use_tool,
            finish_step=side.finish_step,
            select_values=side.select_values,
            list_keys=side.list_keys,
            now=self.clock.now,
            forget_values=side.forget_values,
            note_origins=side.note_origins,
            own_tools=(*self.parts.own_tools, *(MEMORY_TOOLS if self.settings.drawer else ())),
            change_thread=side.change_thread,
            keep_step=side.keep_step,
            list_entries=side.list_entries,
            pull=side.pull,
            one_at_a_time=self.parts.virtual_time,
            route=side.route if self.settings.team.routing.mode != "full" or self.parts.on_routed else None,
        )

    async def call_model(
        self, messages: Sequence[Message], *, purpose: str, team: int, step: int, attempt: int
    ) -> ModelCall:
        """One recorded model call: seeded by where it stands, timed by the clock, paid from the budget."""
        place = (*self.seed, team, step, purpose, attempt)
        is_virtual = self.parts.virtual_time
        seed, noise = seed_and_uniform(*place, label="seconds") if is_virtual else (coordinate_seed(*place), 0.0)
        started = self.clock.now()
        error = ""
        try:
            self.first_calls.check()
            self.parts.budget.check()
            completion = await self.parts.model.complete(messages, seed=seed, json_reply=purpose in _IN_JSON)
        except BudgetExhausted as exhausted:
            error = self.redact(f"budget: {exhausted}")
            completion = Completion("", 0, 0, self.parts.model.name)
        except NotAsked as verdict:
            error, completion = str(verdict), Completion("", 0, 0, self.parts.model.name, 0)
        except ModelFailure as failure:
            error = self.redact(error_of(failure))
            tokens = (failure.prompt_tokens, failure.completion_tokens)
            completion = Completion("", *tokens, self.parts.model.name, failure.attempts)
        if not self.parts.is_offline and not error:
            completion, error = heard(completion)
        self.first_calls.note(error)
        reply = self.redact(completion.reply)
        if is_virtual and not error:
            latency = self.settings.latency
            alone = model_seconds(latency, completion.prompt_tokens, completion.completion_tokens, noise)
            await self.clock.work(alone, latency.contention)
        elif not error:  # a replayed call takes the time that it took when it was made
            await self.clock.sleep(completion.seconds - (self.clock.now() - started))
        seconds = self.clock.now() - started
        usd = self.parts.price.usd(completion)
        self.parts.budget.spend(completion.prompt_tokens, completion.completion_tokens, usd, seconds)
        call = ModelCall(
            purpose, reply, completion.prompt_tokens, completion.completion_tokens, completion.model,
            team, step, started, seconds, usd, completion.attempts, error,
            self.redact(completion.thought), completion.is_cut,
        )  # fmt: skip
        self.calls.append(call)
        if self.parts.on_call is not None:
            self.parts.on_call(call)
        return call

    async def catch_up(self) -> None:
        """Learn what teams elsewhere have done to the bank, if any are."""
        if isinstance(self.bank, RemoteBank):
            await asyncio.to_thread(self.bank.catch_up)

    def redact(self, text: str) -> str:
        """A text without secrets, if the guards say so."""
        return redact_text(text, self._secrets) if self._redacts else text

    async def decide(self, step: Step, thread: Sequence[Message], ask: Ask, origin: Provenance) -> None:
        """Ask the policy about one summarised step, and do what it says, unless key or target are refused."""
        await self.catch_up()
        num_keys, num_edits = len(self.bank), len(self.bank.edits)
        seconds = self.clock.now()
        request = AdmissionRequest(
            self.task.question, self.bank.keys[:num_keys], step, self.coordinates, seconds, thread, self._identity,
            self.bank.ended,
        )  # fmt: skip
        admission = await self.parts.policy.decide(request, ask)
        if self.parts.virtual_time:
            await self.clock.sleep(self.settings.latency.decision_seconds)
        if self.facts is not None and admission.action in (ADMIT, UPDATE):
            step = await self.facts.compressed(step, self.task.question, self.clock.now(), ask)
        entry = await on_bank(self.bank, self._carry_out, admission, step, origin)
        decision = Decision(
            step.team, step.step, admission.action, admission.log_prob, admission.admit_probability, num_keys,
            len(self.decisions), seconds, entry, self.parts.policy.name, admission.target, num_edits,
        )  # fmt: skip
        self.decisions.append(decision)

    def _carry_out(self, admission: Admission, step: Step, origin: Provenance) -> int:
        """Do what was decided; the new entry's id, or -1 where there is none, or what is asked for is refused."""
        now, sequence = self.clock.now(), len(self.decisions)
        try:
            if admission.action == ADMIT and self.facts is not None:
                return self.facts.store(step, now, origin, sequence).entry
            if admission.action == ADMIT:
                return self.bank.add(step, now, origin).entry
            if admission.action == UPDATE:
                return self.bank.update(admission.target, step, now, origin, sequence=sequence).entry
            if admission.action == DELETE:
                self.bank.delete(admission.target, step.team, step.step, now, sequence=sequence)
        except (KeyRefused, EditRefused):
            pass
        return -1

    async def final_answer(self, results: Sequence[TeamResult]) -> Answer:
        """M1-Parallel's answer: the aggregated one, or the first finisher's where the first stops the others."""
        attempts: Counter[str] = Counter()

        async def ask(purpose: str, messages: Sequence[Message]) -> ModelCall:
            attempts[purpose] += 1
            return await self.call_model(messages, purpose=purpose, team=-1, step=0, attempt=attempts[purpose])

        answers = [result.answer for result in results]
        if self.settings.parallel.mode == "first":
            first = first_finisher(answers)
            text = first.text if first else ""
        else:
            excerpts = thread_excerpts([result.thread for result in results], self.settings.excerpt_characters)
            if self.settings.guards.fences_transcripts(live=not self.parts.virtual_time):
                excerpts = [prompts.fence(excerpt) for excerpt in excerpts]
            text = await aggregate_answers(self.shown_task, answers, excerpts, ask)
        stop_reason = StopReason.SATISFIED if text else StopReason.MODEL_ERROR
        return Answer(-1, text, self.clock.now(), stop_reason)

    async def end_tools(self) -> None:
        """End what the tools of single teams have started; see `ToolKit.open`."""
        for use_tool in self.opened:
            if (end := getattr(use_tool, "aclose", None)) is not None:
                await end()

    def record(self, answers: Sequence[Answer], final: Answer) -> Rollout:
        """The rollout as a frozen record, scored where the reference answer is known and the endpoint answered."""
        first = first_finisher(answers)
        failure = common_failure(self.calls)
        if failure is None:
            outcome, first_outcome = self._score(final.text), Outcome(0.0, False, "no team answered")
        else:  # nothing is told of the policy by what the endpoint refused
            outcome = first_outcome = Outcome(math.nan, False, f"the endpoint failed: {failure.text}")
        if first and failure is None:
            first_outcome = outcome if first.text == final.text else self._score(first.text)
        rollout = Rollout(
            task=self.task,
            coordinates=self.coordinates,
            num_teams=self.settings.num_teams,
            steps=tuple(sorted(self.steps.values(), key=lambda step: (step.finished_seconds, step.team, step.step))),
            decisions=tuple(sorted(self.decisions, key=lambda decision: decision.sequence)),
            entries=self.bank.entries,
            pulls=self.bank.pulls,
            answers=tuple(answers),
            final=final,
            outcome=outcome,
            first_outcome=first_outcome,
            reward_agg=self._reward(outcome),
            reward_first=self._reward(first_outcome),
            seconds=self.clock.now(),
            calls=tuple(self.calls),
            clock=self.clock.kind,
            policy=self.parts.policy.name,
            listing_window=self.parts.policy.listing_window,
            stop_reason=final.stop_reason,
            edits=self.bank.edits,
            may_edit=getattr(self.parts.policy, "may_edit", False),
            drawers=tuple(self.drawers[team].record() for team in sorted(self.drawers)),
            reader="" if self.parts.reader is None else self.parts.reader.name,
            choices=tuple(sorted((one for reader in self.readers for one in reader.choices), key=_when)),
        )
        return mark_revoked(rollout, self.bank.revoked)

    def _reward(self, outcome: Outcome) -> float:
        if self.settings.reward == "partial" or math.isnan(outcome.score):
            return outcome.score
        return float(outcome.score == 1.0)

    def _score(self, text: str) -> Outcome:
        if self.task.answer is None:
            return Outcome(math.nan, bool(text), "the split withholds its answers")
        return score_answer(self.task, text)
