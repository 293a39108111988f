"""What one team has to do with a running rollout: its calls are counted, it reads and writes the memory in its name."""

import inspect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lts_jax.memory.code_reading import numbers_read, printed_values, with_values
from lts_jax.memory.drawer import MEMORY_TOOL_NAMES, MemoryTools, Moment
from lts_jax.memory.key_schema import admissible_key
from lts_jax.memory.key_scores import cosines
from lts_jax.memory.reading import EntryView, TeamReader
from lts_jax.memory.summarize import summarize_step
from lts_jax.memory.trust import Provenance, labels_of_call, labels_of_step, provenance
from lts_jax.records import Coordinates, Message, ModelCall, Step, ToolResult, Trust
from lts_jax.rollouts.latency import tool_seconds
from lts_jax.seeds import uniform
from lts_jax.teams.routing import route

if TYPE_CHECKING:
    from lts_jax.rollouts.rollout import Execution


@dataclass(frozen=True, slots=True)
class Routed:
    """What of its thread one call of a worker is shown."""

    coordinates: Coordinates
    question: str
    team: int
    step: int
    agent: str
    thread: tuple[Message, ...]  # all of it, the instruction last
    shown: tuple[Message, ...]


class TeamSide:
    """One team's access to the rollout: counts its calls, reads and writes the bank in its name.

    Its methods are the openings of `TeamPorts`.
    """

    def __init__(self, execution: "Execution", team: int) -> None:
        self._execution, self._team, self._step = execution, team, 0
        self._attempts: Counter[str] = Counter()
        self._labels: list[str] = []  # origins of the step under way
        self._seen: list[str] = []  # origins of earlier steps
        kit = execution.parts.tool_kit
        self._use_tool = execution.parts.use_tool if kit is None else kit.open(execution.shown_task, team)
        if kit is not None:
            execution.opened.append(self._use_tool)
        self._drawer = MemoryTools(team, execution.parts.encoder) if execution.settings.drawer else None
        if self._drawer is not None:
            execution.drawers[team] = self._drawer
        guards, question, reading = execution.settings.guards, execution.task.question, execution.settings.reading
        view = EntryView(
            window=execution.parts.policy.listing_window,
            quoted=guards.quotes_keys(live=not execution.parts.virtual_time),
            clean_values=guards.clean_values,
        )
        self._reader = TeamReader(
            team,
            execution.bank,
            question,
            reading,
            nearest=execution.nearest,
            view=view,
            policy=execution.parts.reader,
            coordinates=execution.coordinates,
        )
        execution.readers.append(self._reader)

    async def ask(self, purpose: str, messages: Sequence[Message]) -> ModelCall:
        """One recorded call of the model."""
        self._attempts[purpose] += 1
        return await self._execution.call_model(
            messages, purpose=purpose, team=self._team, step=self._step, attempt=self._attempts[purpose]
        )

    def route(self, agent: str, thread: Sequence[Message]) -> Sequence[Message]:
        """What of the thread an agent is shown, as the settings say."""
        execution = self._execution
        shown = route(agent, thread, execution.settings.team.routing, self._cosine)
        if execution.parts.on_routed is not None:
            execution.parts.on_routed(
                Routed(
                    execution.coordinates, execution.task.question, self._team, self._step, agent, tuple(thread),
                    tuple(shown),
                )
            )  # fmt: skip
        return shown

    def _cosine(self, text: str, others: Sequence[str]) -> Sequence[float]:
        encoder = self._execution.parts.encoder
        return [0.0] * len(others) if encoder is None else cosines(encoder, text, others).tolist()

    async def use_tool(self, tool: str, arguments: Mapping[str, Any]) -> ToolResult:
        """What a tool returned, without secrets, in its time."""
        execution = self._execution
        started = execution.clock.now()
        if tool in execution.settings.guards.withheld_tools and self._has_untrusted_value():
            return ToolResult(f"{tool} is withheld after an untrusted value was taken from the memory", True, tool)
        if self._drawer is not None and tool in MEMORY_TOOL_NAMES:
            moment = Moment(self._step, started, tuple(dict.fromkeys((*self._seen, *self._labels))))
            return await self._told(self._drawer.use(tool, arguments, moment), tool, arguments, started)
        result = self._read_by_code(tool, arguments)
        if not isinstance(result, ToolResult):
            returned = self._use_tool(tool, result)
            result = await returned if inspect.isawaitable(returned) else returned
        return await self._told(result, tool, arguments, started)

    async def change_thread(self, tool: str, arguments: dict[str, Any], thread: list[Message]) -> ToolResult:
        """What a tool says that works on the thread itself. Pulled values that left it may be pulled again."""
        started = self._execution.clock.now()
        if self._drawer is None:
            return ToolResult(f"{tool}: this team keeps no memory", True, tool)
        result, forgets = self._drawer.change(tool, arguments, thread)
        if forgets:
            self.forget_values()
        return await self._told(result, tool, arguments, started)

    async def _told(self, result: ToolResult, tool: str, arguments: Mapping[str, Any], started: float) -> ToolResult:
        """A tool's result without secrets, after the time that the tool takes."""
        execution = self._execution
        text = execution.redact(result.text)
        self._labels += labels_of_call(tool, arguments, text, result.source)
        self._attempts["tool"] += 1
        if execution.parts.virtual_time:
            noise = uniform(*execution.seed, self._team, self._step, "tool", self._attempts["tool"])
            await execution.clock.sleep(tool_seconds(execution.settings.latency, tool, noise))
        return replace(result, text=text, tool=tool, seconds=execution.clock.now() - started)

    def _read_by_code(self, tool: str, arguments: Mapping[str, Any]) -> ToolResult | Mapping[str, Any]:
        """What a program that only reads the memory prints; else the arguments, with the values that it reads."""
        code = str(arguments.get("code", ""))
        if tool != "run_python" or self._execution.settings.reading.by != "code" or not numbers_read(code):
            return arguments
        values = self._reader.read_by_code(code, self._step, self._execution.clock.now())
        printed = printed_values(code, values)
        return {**arguments, "code": with_values(code, values)} if printed is None else ToolResult(printed, tool=tool)

    def list_keys(self, step: int) -> Sequence[str]:
        """Key lines for ledger and plan, where values are read by programs."""
        return self._reader.lines_for_ledger() if self._execution.has_memory else ()

    def list_entries(self, instruction: str) -> Sequence[tuple[int, str]]:
        """(entry, key) of what the team may read, where it chooses by itself."""
        return self._reader.keys(instruction) if self._execution.has_memory else ()

    def pull(self, entry: int, step: int) -> tuple[int, str, str] | None:
        """An entry that the team asks for by its number."""
        now = self._execution.clock.now()
        return self._reader.pull(entry, step, now) if self._execution.has_memory else None

    async def finish_step(self, step: Step, thread: Sequence[Message]) -> None:
        """Keep a step, with its summary and what was decided on it."""
        execution, origin = self._execution, self._origin_of(step)
        if execution.has_memory and execution.settings.sharing == "in_turn":
            await self._share(step, thread, origin)
        else:
            execution.steps[step.team, step.step] = step
        if execution.has_memory and execution.settings.sharing == "aside":
            execution.aside.start(self._team, self._share(step, list(thread), origin))
        self._end_step(step)

    def keep_step(self, step: Step) -> None:
        """Keep a step of before the question: without summary and decision, and in nobody's shared memory."""
        self._origin_of(step)
        self._execution.steps[step.team, step.step] = step
        self._end_step(step)

    def _origin_of(self, step: Step) -> Provenance:
        origin = provenance(self._labels or labels_of_step(step), self._seen)
        self._seen, self._labels = list(origin.seen), []
        return origin

    def _end_step(self, step: Step) -> None:
        self._step = step.step + 1
        self._attempts.clear()

    async def _share(self, step: Step, thread: Sequence[Message], origin: Provenance) -> None:
        """Summarise a step and decide on it. Calls are seeded by the step, so they are the same whenever they run."""
        execution, attempts = self._execution, Counter[str]()

        async def ask(purpose: str, messages: Sequence[Message]) -> ModelCall:
            attempts[purpose] += 1
            return await execution.call_model(
                messages, purpose=purpose, team=self._team, step=step.step, attempt=attempts[purpose]
            )

        summary = await summarize_step(execution.task.question, step, ask, execution.settings.summary)
        step = replace(step, summary=admissible_key(summary, execution.settings.guards) or summary)
        execution.steps[step.team, step.step] = step
        await execution.decide(step, thread, ask, origin)

    async def select_values(
        self, step: int, instruction: str, thread: Sequence[Message]
    ) -> Sequence[tuple[int, str, str]]:
        """What the team takes from the shared memory before a step."""
        if not self._execution.has_memory:
            return ()
        await self._execution.catch_up()
        return await self._reader.read(step, instruction, thread, self.ask, self._execution.clock.now)

    def forget_values(self) -> None:
        """The thread was cleared."""
        self._reader.forget()

    def note_origins(self, labels: Sequence[str]) -> None:
        """Where the step under way has its content from."""
        self._labels += labels

    def _has_untrusted_value(self) -> bool:
        bank = self._execution.bank
        return any(pull.reader == self._team and bank.entry(pull.entry).trust == Trust.UNTRUSTED for pull in bank.pulls)
