"""K teams side by side on one task: wait for all, stop at the first answer or at a quorum, stop at a deadline."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from lts_jax.records import StopReason, Task
from lts_jax.teams.ports import Clock, TeamPorts
from lts_jax.teams.settings import ParallelSettings, TeamSettings
from lts_jax.teams.state import TeamResult, TeamState
from lts_jax.teams.team import crash_detail, run_team

RunTeam = Callable[[Task, int, TeamPorts, TeamSettings, TeamState], Awaitable[TeamResult]]
"""What works as one team: `run_team`, or another engine behind the same openings."""


@dataclass(frozen=True, slots=True)
class RaceParts:
    """What the teams of one task run with.

    Attributes:
        make_ports: the openings of team 0, 1, ...; called once each, when the team starts.
        clock: shared by the teams.
        on_finish: called for each team that ends by itself, in order of ending.
        run_one: what works as one team.
    """

    make_ports: Callable[[int], TeamPorts]
    clock: Clock
    on_finish: Callable[[TeamResult], None] | None = None
    run_one: RunTeam = run_team


async def run_teams(
    task: Task, num_teams: int, parts: RaceParts, settings: TeamSettings, parallel: ParallelSettings
) -> list[TeamResult]:
    """Run K teams and return their results in team order, one each.

    An answer is a non-empty text: a team that crashed, or that had no budget left, stops nobody. Unfinished teams are
    cancelled in the very moment of the stop, before the clock moves on, and are recorded with that time, an empty
    text and CANCELLED or TIME_LIMIT; what they did until then stays.

    Args:
        task: the question.
        num_teams: K.
        parts: their openings, their clock, and what works as one of them.
        settings: of every team.
        parallel: when to stop.

    Raises:
        ValueError: fewer than one team, or a quorum of more teams than there are.
    """
    if num_teams < 1:
        raise ValueError(f"num_teams: expected at least 1, got {num_teams}")
    race = _Race(task, num_teams, parts, settings, parallel)
    race.start()
    try:
        await parts.clock.join([race.closed])
    finally:
        await race.leave(parallel.grace_seconds)
    if race.error is not None:
        raise race.error
    return [result for result in race.results if result is not None]


def crashed(team: int, state: TeamState, seconds: float, error: BaseException) -> TeamResult:
    """What is left of a team whose openings raised: `run_team` itself raises nothing."""
    answer = state.answer(team, "", seconds, StopReason.CRASHED, crash_detail(error))
    return TeamResult(answer, tuple(state.transcript))


class _Race:
    """The running teams of one task. `stop` does not await: nothing can happen between the stop and the cancels."""

    def __init__(
        self, task: Task, num_teams: int, parts: RaceParts, settings: TeamSettings, parallel: ParallelSettings
    ) -> None:
        self.task, self.parts, self.settings, self.clock = task, parts, settings, parts.clock
        self.deadline_seconds = parallel.deadline_seconds
        self.num_wanted = parallel.num_answers_to_stop(num_teams)
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.error: Exception | None = None
        self.states = [TeamState() for _ in range(num_teams)]
        self.results: list[TeamResult | None] = [None] * num_teams
        self.tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self.tasks = [self.clock.spawn(self.run(team)) for team in range(len(self.states))]
        if self.deadline_seconds is not None:
            due = self.clock.now() + self.deadline_seconds  # from now: many teams may start before the waiting does
            self.tasks.append(self.clock.spawn(self.wait_for_deadline(due)))

    async def run(self, team: int) -> None:
        state = self.states[team]
        try:
            result = await self.parts.run_one(self.task, team, self.parts.make_ports(team), self.settings, state)
        except Exception as error:
            result = crashed(team, state, self.clock.now(), error)
        self.finish(team, result)

    async def wait_for_deadline(self, due: float) -> None:
        await self.clock.sleep(due - self.clock.now())
        self.stop(StopReason.TIME_LIMIT)

    def finish(self, team: int, result: TeamResult) -> None:
        if self.closed.done():  # stopped, but something swallowed the cancellation
            return
        self.results[team] = result
        try:
            if self.parts.on_finish is not None:
                self.parts.on_finish(result)
        except Exception as error:
            self.error = error
            self.stop(StopReason.CANCELLED)
            return
        num_answers = sum(1 for each in self.results if each is not None and each.answer.text)
        if num_answers >= self.num_wanted or all(each is not None for each in self.results):
            self.stop(StopReason.CANCELLED)

    def stop(self, reason: StopReason) -> None:
        if self.closed.done():
            return
        seconds = self.clock.now()
        for team, state in enumerate(self.states):
            if self.results[team] is None:
                self.results[team] = TeamResult(state.answer(team, "", seconds, reason), tuple(state.transcript))
        self.cancel_others()
        self.closed.set_result(None)

    def cancel_others(self) -> None:
        current = asyncio.current_task()
        for task in self.tasks:
            if task is not current and not task.done():
                task.cancel()

    async def leave(self, grace_seconds: float) -> None:
        """Leave no task behind, unless it ignores its cancellation for `grace_seconds` of real time."""
        self.cancel_others()
        pending = [task for task in self.tasks if not task.done()]
        if pending:
            await asyncio.wait(pending, timeout=grace_seconds)
