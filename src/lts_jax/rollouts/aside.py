"""What runs beside the teams of a rollout: the summary of a step and its decision, where no team waits for them."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from lts_jax.teams.ports import Clock


class Aside:
    """Tasks on the rollout's clock that end with the rollout, finished or not."""

    __slots__ = ("_clock", "_tasks")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: list[tuple[int, asyncio.Task[None]]] = []

    def start(self, team: int, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` of a team beside it.

        Raises:
            Exception: what earlier work of this team raised, so that it ends the team as if it had waited.
        """
        try:
            self._settle(team)
        except BaseException:
            work.close()
            raise
        self._tasks.append((team, self._clock.spawn(work)))

    async def leave(self) -> None:
        """Stop what is under way. Raises what finished work raised and nobody has heard of."""
        running = [task for _, task in self._tasks if not task.done()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        for team in {team for team, _ in self._tasks}:
            self._settle(team)

    def _settle(self, team: int) -> None:
        """Forget what is done."""
        done = [task for owner, task in self._tasks if owner == team and task.done()]
        self._tasks = [(owner, task) for owner, task in self._tasks if task not in done]
        for task in done:
            if not task.cancelled():
                task.result()
