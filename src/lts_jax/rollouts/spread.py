"""One rollout whose teams work in several processes, on the real clock: one log of their bank, a reader of it in each.

The process that was given the task is its home: it begins the bank, runs those teams that are to run there, waits for
the others, aggregates and writes the record. Every other team is a `FarTeam`, somewhere: it asks its model, uses its
tools, decides on its steps there, and hands its share in when it ends or is stopped. Each random number is that of the
same team in an ordinary rollout. Moments are seconds since the rollout began by the clocks of the machines, so between
two machines they are as good as these agree.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from lts_jax.errors import UserError
from lts_jax.llm.session import calls_of
from lts_jax.memory.earlier import begin_with
from lts_jax.memory.remote_bank import Bank, BankLost, BankOwner, RemoteBank
from lts_jax.records import Choice, Coordinates, Decision, Drawer, ModelCall, Rollout, Step, Task
from lts_jax.rollouts.rollout import Execution, RolloutParts, check_tools, session_of
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.teams.parallel import RaceParts, crashed, run_teams
from lts_jax.teams.ports import TeamPorts
from lts_jax.teams.settings import TeamSettings
from lts_jax.teams.state import TeamResult, TeamState

STOP_SECONDS = 10.0  # that a team elsewhere has to stop and to say what it did


class PlaceLost(Exception):
    """Where a team worked is gone: nothing is told of the rollout, which is to be run again."""


@dataclass(frozen=True, slots=True)
class TeamShare:
    """What one team did elsewhere, until it ended or was stopped."""

    result: TeamResult
    steps: tuple[Step, ...]
    decisions: tuple[Decision, ...]
    calls: tuple[ModelCall, ...]
    choices: tuple[Choice, ...]
    drawers: tuple[Drawer, ...]


class TeamPlace(Protocol):
    """Where one team of one rollout works."""

    async def run(self, began: float) -> TeamShare:
        """Let it work on the rollout's bank; the rollout began at `began`, in seconds of `time.time`.

        Raises:
            PlaceLost: the place is gone.
        """
        ...

    async def stop(self) -> TeamShare | None:
        """Stop it; what it did until then, None where nobody knows."""
        ...


def check_spread(parts: RolloutParts, settings: RolloutSettings) -> None:
    """Raise `UserError` where the teams of a rollout cannot work in several processes."""
    if parts.virtual_time:
        raise UserError("rollout.spread-teams: expected a model that takes real time, got a made-up one")
    if settings.sharing != "in_turn":
        raise UserError(f"rollout.spread-teams: expected rollout.sharing in_turn, got {settings.sharing}")
    if getattr(parts.policy, "may_edit", False):
        raise UserError(f"rollout.spread-teams: expected a policy that edits nothing, got {parts.policy.name}")
    if parts.facts is not None:
        raise UserError("rollout.spread-teams: expected raw values, got facts")


class FarTeam:
    """One team of a rollout whose home is elsewhere."""

    def __init__(self, execution: Execution, team: int) -> None:
        """`execution` is of this team alone; see `far_team`."""
        self._execution, self._team, self._state = execution, team, TeamState()

    async def run(self) -> TeamShare:
        """Work to the end. Raises `PlaceLost` if the bank was lost on the way: the team did not crash by itself."""
        execution, settings = self._execution, self._execution.settings.team
        try:
            with calls_of(session_of(execution.task, execution.coordinates)):
                result = await execution.parts.run_team(
                    execution.shown_task, self._team, execution.ports(self._team), settings, self._state
                )
        except Exception as error:
            result = crashed(self._team, self._state, execution.clock.now(), error)
        finally:
            await execution.end_tools()
        check_bank(execution.bank)
        return self._share(result)

    def stopped(self) -> TeamShare:
        """What it did, where it has not come to its end. When and why it was stopped, the home knows."""
        return self._share(crashed(self._team, self._state, self._execution.clock.now(), asyncio.CancelledError()))

    def _share(self, result: TeamResult) -> TeamShare:
        execution = self._execution
        return TeamShare(
            result,
            tuple(execution.steps.values()),
            tuple(execution.decisions),
            tuple(execution.calls),
            tuple(one for reader in execution.readers for one in reader.choices),
            tuple(drawer.record() for drawer in execution.drawers.values()),
        )


def far_team(
    task: Task,
    coordinates: Coordinates,
    parts: RolloutParts,
    settings: RolloutSettings,
    team: int,
    bank: RemoteBank,
    began: float,
) -> FarTeam:
    """Team number `team` of a rollout that began at `began` (`time.time`) and has this bank.

    Raises:
        UserError: the teams of such a rollout cannot be spread.
    """
    check_spread(parts, settings)
    passed = max(0.0, time.time() - began)
    return FarTeam(Execution(task, coordinates, parts, settings, bank, passed), team)


def check_bank(bank: Bank) -> None:
    """Raise `PlaceLost` where the owner of a bank is gone."""
    if isinstance(bank, RemoteBank) and bank.lost is not None:
        raise PlaceLost(str(bank.lost))


async def run_spread(
    task: Task,
    coordinates: Coordinates,
    parts: RolloutParts,
    settings: RolloutSettings,
    places: Sequence[TeamPlace | None],
    owner: BankOwner,
) -> Rollout:
    """`run_rollout` with teams at these places, one each; None is here. Expected failures are values in the record.

    Decisions are numbered by their seconds.

    Raises:
        PlaceLost: a place is gone, or the owner of the bank; teams elsewhere have been stopped.
        UserError: the teams cannot be spread, or what `run_rollout` raises.
    """
    check_spread(parts, settings)
    check_tools(task, parts, settings)
    try:
        bank = await asyncio.to_thread(RemoteBank, owner)
        execution = Execution(task, coordinates, parts, settings, bank)
        home = _Home(execution, places)
        if parts.earlier is not None and execution.has_memory:
            await asyncio.to_thread(begin_with, bank, parts.earlier(execution.shown_task), execution.redact)
    except BankLost as loss:
        raise PlaceLost(str(loss)) from None
    with calls_of(session_of(task, coordinates)):
        try:
            race = RaceParts(execution.ports, execution.clock, home.check, home.run_one)
            try:
                results = await run_teams(
                    execution.shown_task, settings.num_teams, race, settings.team, settings.parallel
                )
            finally:
                await home.hear_of_stopped()
            home.check()
            results = home.taken_in(results)
            final = await execution.final_answer(results)
        finally:
            await execution.end_tools()
    check_bank(bank)
    try:
        await execution.catch_up()
    except BankLost as loss:
        raise PlaceLost(str(loss)) from None
    return home.completed(execution.record([result.answer for result in results], final))


class _Home:
    """The home of one rollout: what it hears of teams elsewhere."""

    def __init__(self, execution: Execution, places: Sequence[TeamPlace | None]) -> None:
        self._execution, self._places = execution, places
        self._began = time.time()
        self._shares: dict[int, TeamShare] = {}
        self._stopping: dict[int, asyncio.Task[TeamShare | None]] = {}
        self._failure: Exception | None = None

    async def run_one(
        self, task: Task, team: int, ports: TeamPorts, settings: TeamSettings, state: TeamState
    ) -> TeamResult:
        """Run a team here, or let it run at its place. What goes wrong with a place ends the rollout."""
        place = self._places[team]
        try:
            if place is None:
                result = await self._execution.parts.run_team(task, team, ports, settings, state)
                check_bank(self._execution.bank)
                return result
            self._shares[team] = await place.run(self._began)
        except BaseException as error:
            if place is not None:  # also one that is said to be lost may be at work
                self._stopping[team] = asyncio.create_task(place.stop())
            if isinstance(error, Exception):
                self._failure = error
            raise
        return self._shares[team].result

    async def hear_of_stopped(self) -> None:
        """Wait until teams elsewhere have stopped, for what they did; for no longer than `STOP_SECONDS`.

        A team of which that cannot be known ends the rollout: what it paid and stored would be nobody's.
        """
        if self._stopping:
            await asyncio.wait(self._stopping.values(), timeout=STOP_SECONDS)
        for team, task in self._stopping.items():
            share = task.result() if task.done() and not task.cancelled() and task.exception() is None else None
            if share is not None:
                self._shares[team] = share
            elif self._failure is None:
                self._failure = PlaceLost(f"nobody knows what team {team} did until it was stopped")

    def check(self, result: TeamResult | None = None) -> None:
        """Raise what went wrong with a place."""
        if self._failure is not None:
            raise self._failure

    def taken_in(self, results: Sequence[TeamResult]) -> list[TeamResult]:
        """Take in what was done elsewhere; the results, with counts and threads of teams that were stopped there."""
        execution = self._execution
        for share in self._shares.values():
            execution.steps.update({(step.team, step.step): step for step in share.steps})
            execution.decisions += share.decisions
            execution.calls += share.calls
        execution.calls.sort(key=lambda call: call.started_seconds + call.seconds)
        execution.decisions.sort(key=lambda one: (one.seconds, one.team, one.step))
        execution.decisions[:] = [replace(one, sequence=place) for place, one in enumerate(execution.decisions)]
        return [self._of_stopped(result) for result in results]

    def _of_stopped(self, result: TeamResult) -> TeamResult:
        share = self._shares.get(result.answer.team)
        if share is None or share.result is result:
            return result
        there = share.result.answer
        counts = {name: getattr(there, name) for name in ("num_steps", "num_replans", "num_stalls")}
        return TeamResult(replace(result.answer, **counts), share.result.thread)

    def completed(self, rollout: Rollout) -> Rollout:
        """The record, with what readers chose elsewhere and what teams kept there for themselves."""
        choices = [*rollout.choices, *(one for share in self._shares.values() for one in share.choices)]
        drawers = {drawer.team: drawer for drawer in rollout.drawers}
        drawers |= {drawer.team: drawer for share in self._shares.values() for drawer in share.drawers}
        return replace(
            rollout,
            choices=tuple(sorted(choices, key=lambda one: (one.seconds, one.team, one.step))),
            drawers=tuple(drawers[team] for team in sorted(drawers)),
        )
