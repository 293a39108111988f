"""What a team may do to its surroundings, and the clock that K teams share. Everything arrives from outside."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lts_jax.llm.chat import Ask
from lts_jax.records import Message, ModelCall, OwnTool, Step, Task, ToolResult


def no_origins(labels: Sequence[str]) -> None:
    """Nobody asks where the content came from."""


def no_entries(instruction: str) -> Sequence[tuple[int, str]]:
    """There is no memory."""
    return ()


def no_pull(entry: int, step: int) -> None:
    """There is no memory."""


@dataclass(frozen=True, slots=True)
class TeamPorts:
    """The openings of one team. A message list that is handed out is the live thread: copy it to keep it."""

    ask: Ask
    """(purpose, messages) -> the recorded call. Never raises on model failure; the call's `error` tells."""

    use_tool: Callable[[str, dict[str, Any]], Awaitable[ToolResult]]
    """(tool name, arguments) -> what the tool returned. Never raises."""

    finish_step: Callable[[Step, Sequence[Message]], Awaitable[None]]
    """Called once per worker step with the thread. Summary, admission and bank happen behind it."""

    select_values: Callable[[int, str, Sequence[Message]], Awaitable[Sequence[tuple[int, str, str]]]]
    """(step about to be taken, current instruction, thread) -> pulled (entry, key, value); empty without a bank."""

    list_keys: Callable[[int], Sequence[str]]
    """(step about to be taken) -> key lines shown in ledger and plan requests; usually empty."""

    now: Callable[[], float]
    """Seconds on the rollout's clock."""

    forget_values: Callable[[], None]
    """The thread was cleared: pulled values left the context."""

    note_origins: Callable[[Sequence[str]], None] = no_origins
    """Where the step under way got its content from, as labels, if not through `use_tool`."""

    own_tools: tuple[OwnTool, ...] = ()
    """Tools that the user brought, and those of a memory of the team's own; they are called through `use_tool` too."""

    change_thread: Callable[[str, dict[str, Any], list[Message]], Awaitable[ToolResult]] | None = None
    """(tool name, arguments, live thread) -> what came of a tool that works on the thread. Never raises."""

    route: Callable[[str, Sequence[Message]], Sequence[Message]] | None = None
    """(agent, thread that ends with its instruction) -> what of it the agent is shown. None: all of it."""

    keep_step: Callable[[Step], None] | None = None
    """Called in place of `finish_step` before the question is asked: nobody summarises such a step, or admits it."""

    list_entries: Callable[[str], Sequence[tuple[int, str]]] = no_entries
    """(current instruction) -> (entry, key) of what the team may read now; for teams that choose by themselves."""

    pull: Callable[[int, int], tuple[int, str, str] | None] = no_pull
    """(entry, step about to be taken) -> the entry, its key and its value; None where it may not be read."""

    one_at_a_time: bool = False
    """Whether the team's calls must not overlap: a virtual clock counts a team as one that runs or sleeps."""


UseTool = Callable[[str, Mapping[str, Any]], ToolResult | Awaitable[ToolResult]]
"""(tool name, arguments) -> what the tool returned, at once or to be awaited. Never raises but for cancellation."""


class ToolKit(Protocol):
    """Tools with a state for each team, such as the page it looks at."""

    def open(self, task: Task, team: int) -> UseTool:
        """The tools of one more team at work on a task. Where they have `aclose`, it is called as the rollout ends."""
        ...

    async def aclose(self) -> None:
        """End what the tools have started. Called in the event loop that used them; later calls start anew."""
        ...


def keeps_memory(ports: TeamPorts) -> bool:
    """Whether the team has a memory of its own."""
    return any(tool.works_on == "memory" for tool in ports.own_tools)


class Clock(Protocol):
    """Time as K teams see it, real or virtual."""

    def now(self) -> float:
        """Seconds since the start of the task."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let that much of this clock's time pass."""
        ...

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task that the clock counts as running: a virtual clock stands still while it computes."""
        ...

    async def join(self, futures: Sequence[asyncio.Future[Any]]) -> None:
        """Wait until all are done, not counting the waiter as running. Raises nothing of theirs."""
        ...


def is_cancelled() -> bool:
    """Whether somebody asked the current task to stop, whatever became of the exception."""
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0


def raise_if_cancelled() -> None:
    """A tool or an endpoint that swallows its cancellation does not keep a stopped team going."""
    if is_cancelled():
        raise asyncio.CancelledError


class BudgetStop(Exception):
    """A call was refused because the run's budget is used up. Ends the team; never leaves `run_team`."""


class EndpointStop(Exception):
    """The endpoint fails whatever is asked. Ends the team; never leaves `run_team`."""


async def ask_model(ports: TeamPorts, purpose: str, messages: Sequence[Message]) -> ModelCall:
    """Ask through the port.

    Raises:
        BudgetStop: the call's error starts with "budget".
        EndpointStop: it starts with "endpoint" or "refused": no other call would be answered.
        asyncio.CancelledError: the team was cancelled and something swallowed it.
    """
    raise_if_cancelled()
    call = await ports.ask(purpose, messages)
    if not call.error:
        return call
    if call.error.startswith("budget"):
        raise BudgetStop(call.error)
    if call.error.startswith(("endpoint", "refused")):
        raise EndpointStop(call.error)
    return call
