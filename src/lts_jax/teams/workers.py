"""The workers. Each takes the thread, whose last message is its instruction, and gives one reply.

A worker never raises on what a model or a tool did: an unreadable tool call, a failed tool and an empty reply are
replies too, marked as failed.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lts_jax import prompts
from lts_jax.records import Message
from lts_jax.teams.ports import TeamPorts, ask_model
from lts_jax.teams.settings import TeamSettings
from lts_jax.teams.tolerant_json import find_objects, is_whole_json, plain_text

_CODE_BLOCK = re.compile(r"```[ \t]*(?:python3?|py)[ \t]*\r?\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
_to_json = json.JSONEncoder(ensure_ascii=False).encode
_TOOL_NAMES = ("tool", "name", "action", "function", "recipient_name", "tool_name")
NO_CODE = "No code blocks found"


@dataclass(frozen=True, slots=True)
class WorkerReply:
    """What a worker did (`action`: tool call or code, as text) and said."""

    action: str
    output: str
    failed: bool = False


async def run_worker(agent: str, thread: list[Message], ports: TeamPorts, settings: TeamSettings) -> WorkerReply:
    """One reply of an agent of the team. Raises BudgetStop and EndpointStop only."""
    if agent == "ComputerTerminal":
        return await _run_code(thread, ports)
    if agent == "Coder":
        return await _write_code(thread, ports)
    return await _surf(agent, thread, ports, settings)


async def _surf(agent: str, thread: list[Message], ports: TeamPorts, settings: TeamSettings) -> WorkerReply:
    """All who use tools: choose a tool call, make it, report. A failed call is not reported on, only shown."""
    system = prompts.agent_system(agent)
    asked = [system, *_shown(agent, thread, ports), prompts.act_request(agent, ports.own_tools)]
    call = await ask_model(ports, "act", asked)
    if call.error:
        return WorkerReply("", f"{agent} could not act: {call.error}", failed=True)
    if call.is_cut and not is_whole_json(call.reply):
        return WorkerReply("", f"{agent} could not act: its reply was cut at its limit of tokens.", failed=True)
    chosen = parse_tool_call(call.reply, prompts.tools_of(agent, ports.own_tools))
    if isinstance(chosen, str):
        return WorkerReply("", f"{agent} could not act: {chosen}.", failed=True)
    tool, arguments = chosen
    action = plain_text(f"{tool} {_to_json(arguments)}")
    if ports.change_thread is not None and _works_on_thread(tool, ports):
        result = await ports.change_thread(tool, arguments, thread)
    else:
        result = await ports.use_tool(tool, arguments)
    shown = _cut(result.text, settings.viewport_characters)
    if result.failed:
        return WorkerReply(action, f"{tool} failed.\n\n{shown}", failed=True)
    read = _cut(result.text, settings.report_characters)
    report = await ask_model(ports, "report", [system, thread[0], thread[-1], prompts.report_request(action, read)])
    said = "" if report.error else plain_text(report.reply) + " [cut]" * report.is_cut
    return WorkerReply(action, f"{said}\n\n{shown}" if said else shown, failed=not (said or shown).strip())


def _shown(agent: str, thread: Sequence[Message], ports: TeamPorts) -> Sequence[Message]:
    """What of the thread the agent's model is shown. Programs are taken from all of it: see `last_code`."""
    return thread if ports.route is None else ports.route(agent, thread)


def _works_on_thread(tool: str, ports: TeamPorts) -> bool:
    return any(own.name == tool and own.works_on == "thread" for own in ports.own_tools)


async def _write_code(thread: Sequence[Message], ports: TeamPorts) -> WorkerReply:
    shown = _shown("Coder", thread, ports)
    call = await ask_model(ports, "code", [prompts.agent_system("Coder"), *shown, prompts.code_request()])
    if call.error:
        return WorkerReply("", f"Coder could not answer: {call.error}", failed=True)
    if call.is_cut:  # half a program must not be run
        return WorkerReply("", "Coder could not answer: its reply was cut at its limit of tokens.", failed=True)
    output = plain_text(call.reply)
    return WorkerReply("", output, failed=not output.strip())


async def _run_code(thread: Sequence[Message], ports: TeamPorts) -> WorkerReply:
    code = last_code(thread)
    if not code:
        return WorkerReply("", NO_CODE, failed=True)
    result = await ports.use_tool("run_python", {"code": code})
    return WorkerReply(code, result.text, result.failed)


def last_code(thread: Sequence[Message]) -> str:
    """The last Python block that the Coder wrote, or "". Pages and pulled values are never run."""
    for message in reversed(thread):
        blocks = _CODE_BLOCK.findall(message.content) if message.name == "Coder" else ()
        if blocks:
            return str(blocks[-1]).strip()
    return ""


def parse_tool_call(text: str, tools: Mapping[str, Sequence[str]]) -> tuple[str, dict[str, Any]] | str:
    """Tool name and arguments out of a reply, or one line that says what is wrong. Never raises.

    `tools` are the agent's, with the names of their arguments.

    Read: {"tool", "arguments"} and its common spellings, arguments as JSON text, arguments beside the tool's name, a
    call as the API itself writes it, the first of a list of calls.
    """
    search = find_objects(text)
    if search.repeated:
        return f"the reply gives {plain_text(min(search.repeated))[:60]!r} more than once, with values that differ"
    for found in search.objects:
        call = _unwrapped(found)
        tool = next((call[name] for name in _TOOL_NAMES if name in call), None)
        tool = tool.removeprefix("functions.") if isinstance(tool, str) and tool not in tools else tool
        if isinstance(tool, str) and tool in tools:
            arguments = _arguments(call, tools[tool])
            return (tool, arguments) if arguments is not None else f"the arguments of {tool} are not an object"
        if isinstance(tool, str):
            return f"it has no tool {plain_text(tool)[:60]!r}, only {', '.join(tools)}"
    return "the reply holds no tool call" if text.strip() else "the reply was empty"


def _unwrapped(found: dict[str, Any]) -> dict[str, Any]:
    """The call in the API's own wrapper, or in a list of calls; else the object itself."""
    for name in ("tool_calls", "tool_uses", "tool_call", "function_call", "function"):
        inner = found.get(name)
        inner = inner[0] if isinstance(inner, list) and inner else inner
        if isinstance(inner, dict):
            return _unwrapped(inner)
    return found


def _arguments(call: dict[str, Any], names: Sequence[str]) -> dict[str, Any] | None:
    given = next((call[name] for name in ("arguments", "args", "parameters", "input") if name in call), None)
    if isinstance(given, str):
        given = next(iter(find_objects(given).objects), given)
    if given is None:
        given = {name: call[name] for name in names if name in call}
    if not isinstance(given, dict):
        return None
    return {name: plain_text(value) if isinstance(value, str) else value for name, value in given.items()}


def _cut(text: str, max_characters: int) -> str:
    return text if len(text) <= max_characters else text[:max_characters] + "\n[cut]"
