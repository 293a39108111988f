"""Teams of your own behind the openings of ours: `async def team(task, ports) -> answer`, in any framework.

K such teams race, share one bank, ask one policy and leave one `Rollout`, as our own do. What a team may do is
`OpenPorts`; whatever goes wrong in it is one failed team, never a failed rollout.
"""

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from lts_jax import prompts
from lts_jax.errors import UserError, show
from lts_jax.parts import Part, function_part, resolve
from lts_jax.records import Message, ModelCall, OwnTool, Step, StopReason, Task, ToolResult
from lts_jax.redact import environment_secrets, redact_text
from lts_jax.teams.aggregate import extract_answer
from lts_jax.teams.parallel import RunTeam
from lts_jax.teams.ports import BudgetStop, EndpointStop, TeamPorts, ask_model, is_cancelled
from lts_jax.teams.settings import TeamSettings
from lts_jax.teams.state import TeamResult, TeamState
from lts_jax.teams.team import crash_detail
from lts_jax.teams.tolerant_json import plain_text

PORTS_VERSION = 1
"""Of `OpenPorts`. What is added leaves it; what changes its meaning, or goes, raises it."""

DEADLINE_SECONDS = 3600.0  # of wall time that a team may spend outside of its openings
MAX_CALLS = 10_000  # of one team's openings: a team that asks for ever ends too
GRACE_SECONDS = 2.0  # of wall time that a stopped team has to end

Team = Callable[[Task, "OpenPorts"], Awaitable[str]]
"""(task without its reference, openings) -> the answer; an empty text is none."""

Said = Message | Mapping[str, str] | str
"""One message: ours, `{"role": ..., "content": ...}`, or a text, which the user says."""

T = TypeVar("T")


class CallFailed(RuntimeError):
    """A model call failed for good. A team that does not catch it ends with it."""


class StepLimit(RuntimeError):
    """The team has taken as many steps as it may (`rollout.team.max_rounds`). It may still catch this and answer."""


class OpenPorts:
    """What a team of your own may do, version 1. Calls are seeded, paid from the budget, timed and recorded.

    Attributes:
        version: `PORTS_VERSION`.
        team: its number, 0 to K - 1.
        tools: what `use_tool` takes, with signatures and descriptions.
    """

    version = PORTS_VERSION

    def __init__(self, task: Task, team: int, ports: TeamPorts, settings: TeamSettings, state: TeamState) -> None:
        self.task, self.team = task, team
        self.tools: tuple[OwnTool, ...] = (*WORLD_TOOLS, *ports.own_tools)
        self.failure: tuple[StopReason, str] | None = None  # the first that was not the team's own mistake
        self._ports, self._settings, self._state = ports, settings, state
        self._started = ports.now()
        self._secrets = environment_secrets(os.environ)
        self._turn = asyncio.Lock() if ports.one_at_a_time else None
        self._under_way: set[asyncio.Future[Any]] = set()
        self._closed = False
        self._num_calls = 0
        self._time = asyncio.get_running_loop().time
        self._outside_seconds, self._left = 0.0, self._time()

    @property
    def outside_seconds(self) -> float:
        """Wall time that the team has spent by itself so far, not waiting for one of its openings."""
        return self._outside_seconds + (0.0 if self._under_way else self._time() - self._left)

    async def ask(self, messages: Sequence[Said] | str, *, purpose: str = "work") -> str:
        """What the model replies. `purpose` is how the call is recorded. Raises `CallFailed`."""
        return (await self.call(messages, purpose=purpose)).reply

    async def call(self, messages: Sequence[Said] | str, *, purpose: str = "work") -> ModelCall:
        """The same with its tokens and seconds. Raises `CallFailed`."""
        thread = [_message(one) for one in ([messages] if isinstance(messages, str) else messages)]
        try:
            call = await self._wait(ask_model(self._ports, purpose, thread))
        except BudgetStop as stop:
            raise self._failed(StopReason.BUDGET, str(stop)) from None
        except EndpointStop as stop:
            raise self._failed(StopReason.MODEL_ERROR, str(stop)) from None
        if call.error:
            raise self._failed(StopReason.MODEL_ERROR, call.error)
        return call

    async def use_tool(self, name: str, arguments: Mapping[str, Any] | None = None, **named: Any) -> ToolResult:
        """What a tool of the world, or one that the user brought, returns. Never raises for what the tool does."""
        return await self._wait(_coroutine(self._ports.use_tool(name, {**(arguments or {}), **named})))

    async def finish_step(
        self,
        output: str,
        *,
        agent: str = "Agent",
        instruction: str = "",
        action: str = "",
        failed: bool = False,
        step: int | None = None,
        origins: Sequence[str] = (),
    ) -> None:
        """Report one step: what an agent was asked, did, and found. It is summarised, decided on and maybe stored.

        Args:
            output: what came of it.
            agent: who acted.
            instruction: what it was asked; the task's question if empty.
            action: the tool call or program, as text.
            failed: whether it failed.
            step: its number, if you count them: a step that was reported already is refused.
            origins: where the content is from, if not from `use_tool`, as "web:URL", "file:NAME" or "tool:NAME".

        Raises:
            StepLimit: the team had its last step already.
            ValueError: another number than the next.
        """
        state = self._state
        if step is not None and step != state.num_steps:
            what = "was reported twice" if step < state.num_steps else f"came where {state.num_steps} was expected"
            raise ValueError(f"step {step} {what}")
        self._check_steps()
        asked = instruction or self.task.question
        asked, action, output = (redact_text(one, self._secrets) for one in (asked, action, output))
        state.agent, state.instruction = agent, asked
        state.say(prompts.instruction(agent, asked))
        state.say(prompts.agent_reply(agent, output))
        if origins:
            self._ports.note_origins(origins)
        done = Step(
            self.team, state.num_steps, agent, asked, action, output,
            started_seconds=self._started, finished_seconds=self._ports.now(), failed=failed,
        )  # fmt: skip
        state.num_steps += 1
        state.num_rounds += 1
        await self._wait(_coroutine(self._ports.finish_step(done, list(state.thread))))
        self._started = self._ports.now()

    def list_keys(self) -> tuple[tuple[int, str], ...]:
        """(number, key) of the entries that other teams have shared and this one may read now, oldest first."""
        return tuple(self._ports.list_entries(self._state.instruction or self.task.question))

    async def pull(self, entry: int) -> str | None:
        """The value of an entry, logged as use of it; None where the team may not read one of this number."""
        found = self._ports.pull(entry, self._state.num_steps)
        if found is None:
            return None
        self._state.say(prompts.value_message(*found))
        return found[2]

    async def select_values(self, instruction: str = "") -> tuple[tuple[int, str, str], ...]:
        """(number, key, value) of what the run's reader, by default the model in a call of its own, chooses now."""
        state, asked = self._state, instruction or self._state.instruction or self.task.question
        thread = state.thread or [Message("user", self.task.question)]
        found = await self._wait(_coroutine(self._ports.select_values(state.num_steps, asked, thread)))
        for one in found:
            state.say(prompts.value_message(*one))
        return tuple(found)

    def now(self) -> float:
        """Seconds on the rollout's clock, zero at the start of the task."""
        return self._ports.now()

    async def close(self) -> None:
        """Drop what is under way; later calls are refused."""
        self._closed = True
        under_way = tuple(self._under_way)
        for one in under_way:
            one.cancel()
        if under_way:
            await asyncio.wait(under_way, timeout=GRACE_SECONDS)

    def _check_steps(self) -> None:
        if self._state.num_steps >= self._settings.max_rounds:
            detail = f"the team has taken its {self._settings.max_rounds} steps"
            self.failure = self.failure or (StopReason.ROUND_LIMIT, detail)
            raise StepLimit(detail)

    def _failed(self, reason: StopReason, detail: str) -> CallFailed:
        self.failure = self.failure or (reason, detail)
        return CallFailed(detail)

    async def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of some work; one at a time where a clock counts the team as one that runs or sleeps."""
        self._outside_seconds = self.outside_seconds
        self._num_calls += 1
        if self._closed or self._num_calls > MAX_CALLS:
            work.close()
            if self._closed:
                raise asyncio.CancelledError("the team has ended")
            raise self._failed(StopReason.ROUND_LIMIT, f"the team has used its openings {MAX_CALLS} times")
        under_way = asyncio.ensure_future(self._in_turn(work))
        self._under_way.add(under_way)
        try:
            return await under_way
        finally:
            self._under_way.discard(under_way)
            self._left = self._time()

    async def _in_turn(self, work: Coroutine[Any, Any, T]) -> T:
        if self._turn is None:
            return await work
        async with self._turn:
            return await work


async def _coroutine(work: Awaitable[T]) -> T:
    return await work


def _described(name: str, arguments: Mapping[str, str], says: str) -> OwnTool:
    inner = ", ".join(f"{key}: {kind}" for key, kind in arguments.items())
    return OwnTool(name, tuple(key.strip() for key in arguments), f"{name}({inner}) -> str", says)


WORLD_TOOLS = (
    _described("web_search", {"query": "str"}, "Search the web; gives titles, addresses and snippets."),
    _described("visit_url", {"url": "str", "page": "int = 1"}, "Read one page of an address."),
    _described("find_on_page", {"url": "str", "text": "str"}, "Where a text stands on the page of an address."),
    _described("list_files", {}, "The files at hand."),
    _described("open_file", {"name": "str", "page": "int = 1"}, "Read one page of a file."),
    _described("run_python", {"code": "str"}, "What a program prints."),
)
"""The tools of every world, as `OpenPorts.use_tool` takes them."""


def engine_part(text: str, *, where: str = "rollout.engine") -> Part:
    """The team function that `mine.py:team(key=value)` names.

    Raises:
        UserError: one line: no such function, or one that is no `async def team(task, ports)`.
    """
    if ":" not in text:
        raise UserError(f"{where}: expected FILE.py:FUNCTION or package.module:FUNCTION, got {show(text)}")
    part = resolve(text, {}, where=where)
    _check(part.function, f"{where}: {part.text}")
    return part


def own_team(function: Team | str, *, deadline_seconds: float | None = None) -> RunTeam:
    """What `RolloutParts.run_team` takes, from a team function or its text.

    Args:
        function: see `Team`, or a text such as `mine.py:team`.
        deadline_seconds: of wall time that a team may spend outside of its openings; then it has failed. None:
            `DEADLINE_SECONDS`.

    Raises:
        UserError: it is no `async def team(task, ports)`.
    """
    part = engine_part(function) if isinstance(function, str) else function_part(function, where="teams")
    _check(part.function, part.text)
    limit = DEADLINE_SECONDS if deadline_seconds is None else deadline_seconds

    async def run(task: Task, team: int, ports: TeamPorts, settings: TeamSettings, state: TeamState) -> TeamResult:
        openings = OpenPorts(task, team, ports, settings, state)
        try:
            text, reason, detail = await _answer(part, openings, limit)
        finally:
            await openings.close()
        return TeamResult(state.answer(team, text, ports.now(), reason, detail), tuple(state.transcript))

    run.name = part.text  # type: ignore[attr-defined]  # of the run's parts
    return run


def takes_task_and_ports(function: Any) -> bool:
    """Whether a function is called with a task and openings alone, as a `Team` is."""
    try:
        inspect.signature(function).bind(None, None)
    except (TypeError, ValueError):
        return False
    return True


def _check(function: Any, where: str) -> None:
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
    if not is_async or not takes_task_and_ports(function):
        raise UserError(f"{where}: expected `async def team(task, ports)` that returns its answer")


async def _answer(part: Part, openings: OpenPorts, deadline_seconds: float) -> tuple[str, StopReason, str]:
    """The text, why the team ended, and what went wrong in a line."""
    running = asyncio.ensure_future(part(openings.task, openings))
    try:
        while not running.done() and openings.outside_seconds < deadline_seconds:
            left = deadline_seconds - openings.outside_seconds
            await asyncio.wait([running], timeout=max(left, 0.05))
    except asyncio.CancelledError:
        await _stop(running, openings)
        raise
    if not running.done():
        await _stop(running, openings)
        return "", StopReason.TIME_LIMIT, f"no answer within {deadline_seconds:g} seconds of its own"
    try:
        said = running.result()
    except asyncio.CancelledError as error:
        if is_cancelled():
            raise
        return "", *(openings.failure or (StopReason.CRASHED, crash_detail(error)))
    except Exception as error:  # a mistake in one team must not end the others
        return "", *(openings.failure or (StopReason.CRASHED, crash_detail(error)))
    if not isinstance(said, str):
        return "", StopReason.CRASHED, f"{part.text}: expected the answer as text, got {show(said)}"
    return extract_answer(plain_text(said)), StopReason.SATISFIED, ""


async def _stop(running: asyncio.Future[Any], openings: OpenPorts) -> None:
    """Cancel a team and what it waits for; one that swallows this is left behind after a while."""
    running.cancel()
    await openings.close()
    await asyncio.wait([running], timeout=GRACE_SECONDS)


def _message(said: Said) -> Message:
    if isinstance(said, Message):
        return said
    if isinstance(said, str):
        return Message("user", said)
    return Message(str(said.get("role", "user")), str(said.get("content", "")), str(said.get("name", "")))
