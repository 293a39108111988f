"""Tools of one's own: a Python function with typed arguments and a docstring is one, as it stands.

    def tide(port: str, day: int = 1) -> str:
        '''Height of the tide at a port, in metres.'''

Teams are told its name, signature and docstring. Their arguments are checked against the annotations; whatever goes
wrong is a failed result. Functions that are not `async` run in threads of their own, several at a time.
"""

import asyncio
import contextlib
import inspect
import json
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lts_jax import prompts
from lts_jax.errors import UserError, show
from lts_jax.live.arguments import convert, is_understood
from lts_jax.loading import load_function, load_module
from lts_jax.memory.trust import MCP_PREFIX
from lts_jax.records import OwnTool, ToolResult
from lts_jax.teams.ports import UseTool, is_cancelled

MAX_RESULT_CHARACTERS = 20_000
MAX_DESCRIPTION_CHARACTERS = 2_000
_TAKEN = frozenset(("run_python", *(name for tools in prompts.TOOLS.values() for name in tools)))


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A function as a tool: what teams are told of it, and the types of its arguments by name."""

    told: OwnTool
    function: Callable[..., Any]
    types: Mapping[str, Any]
    required: frozenset[str]


def make_tools(functions: Sequence[Callable[..., Any] | FunctionTool]) -> tuple[FunctionTool, ...]:
    """Functions as tools.

    Raises:
        UserError: one that cannot be a tool (see `make_tool`), or two of one name.
    """
    tools = tuple(each if isinstance(each, FunctionTool) else make_tool(each) for each in functions)
    names = [tool.told.name for tool in tools]
    twice = next((name for name in names if names.count(name) > 1), "")
    if twice:
        raise UserError(f"tools: expected functions of different names, got {twice} twice")
    return tools


@lru_cache(maxsize=8)
def load_tools(targets: tuple[str, ...], *, where: str = "tools.functions") -> tuple[FunctionTool, ...]:
    """The tools that texts name: `mine.py:function`, or `mine.py` for all public functions that the file defines.

    Looked up once a process, so that a file that is edited meanwhile changes nothing of a run.

    Raises:
        UserError: one line that begins with `where`: no such file or function, or one that cannot be a tool.
    """
    functions: list[Callable[..., Any]] = []
    for target in targets:
        if ":" in target:
            functions.append(load_function(target, where=where))
            continue
        module = load_module(target, where=where)
        own = [
            each
            for name, each in vars(module).items()
            if inspect.isfunction(each) and each.__module__ == module.__name__ and not name.startswith("_")
        ]
        if not own:
            raise UserError(f"{where}: expected a public function in {target}, found none")
        functions += own
    try:
        return make_tools(functions)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def make_tool(function: Callable[..., Any]) -> FunctionTool:
    """A function as a tool.

    Raises:
        UserError: it has no name of its own, no docstring, the name of another tool, or an argument without an
            annotation that is understood (`arguments.is_understood`), or that cannot be given by name.
    """
    name, document = getattr(function, "__name__", ""), inspect.getdoc(function) or ""
    if not callable(function) or not name.isidentifier():
        raise UserError(f"tools: expected functions, got {show(function)}")
    if name in _TAKEN or name.startswith(MCP_PREFIX):
        raise UserError(f"tools: {name} is the name of a tool that teams have; choose another")
    if not document.strip():
        raise UserError(f"tools: {name} has no docstring, so no team would know what it does")
    try:
        signature = inspect.signature(function, eval_str=True)
    except Exception as error:  # annotations are the user's code
        raise UserError(f"tools: the signature of {name} cannot be read ({type(error).__name__}: {error})") from None
    for parameter in signature.parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise UserError(f"tools: {name}({parameter}): expected arguments that are given by name")
        if not is_understood(parameter.annotation):
            raise UserError(
                f"tools: {name}({parameter}): expected an annotation of str, int, float, bool, list, dict, Literal or "
                "a union of these"
            )
    types = {each.name: each.annotation for each in signature.parameters.values()}
    required = frozenset(each.name for each in signature.parameters.values() if each.default is each.empty)
    told = OwnTool(name, tuple(types), f"{name}{signature}", document[:MAX_DESCRIPTION_CHARACTERS])
    return FunctionTool(told, function, types, required)


def add_functions(tools: Sequence[FunctionTool], others: UseTool, seconds: float) -> UseTool:
    """`use_tool` that calls these functions by name, each for at most `seconds`, and leaves the rest to others."""
    by_name = {tool.told.name: tool for tool in tools}

    def use_tool(name: str, arguments: Mapping[str, Any]) -> ToolResult | Awaitable[ToolResult]:
        return call_tool(by_name[name], arguments, seconds) if name in by_name else others(name, arguments)

    return use_tool


async def call_tool(tool: FunctionTool, arguments: Mapping[str, Any], seconds: float) -> ToolResult:
    """What a function returned, as text. Never raises but for cancellation."""
    name = tool.told.name
    try:
        given = _check(tool, arguments)
        async with asyncio.timeout(seconds):
            if inspect.iscoroutinefunction(tool.function):
                returned = await tool.function(**given)
            else:
                returned = await _in_thread(lambda: tool.function(**given))
                returned = await returned if inspect.isawaitable(returned) else returned
        return ToolResult(_text(returned), tool=name)
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        problem = "it was cancelled from inside"
    except TimeoutError as error:
        problem = str(error) or f"it took more than {seconds:g} seconds"
    except (Exception, SystemExit) as error:
        told = " ".join(str(error).split())
        problem = told if isinstance(error, _WrongArguments) else f"{type(error).__name__}: {told}"
    return ToolResult(_clean(f"{name}: {problem}"[:500]), failed=True, tool=name)


class _WrongArguments(ValueError):
    """Arguments that do not fit; the message is for the model."""


def _check(tool: FunctionTool, arguments: Mapping[str, Any]) -> dict[str, Any]:
    missing = sorted(tool.required - set(arguments))
    unknown = [name for name in arguments if name not in tool.types]
    if missing or unknown:
        told = f"{missing[0]} is missing" if missing else f"there is no argument {str(unknown[0])[:60]!r}"
        raise _WrongArguments(f"{told}; it is called as {tool.told.signature}")
    try:
        return {name: convert(value, tool.types[name], name) for name, value in arguments.items()}
    except ValueError as error:
        raise _WrongArguments(str(error)) from None


async def _in_thread(call: Callable[[], Any]) -> Any:
    """What a call returns, from a thread that nobody waits for at the end: a call that hangs keeps no process alive."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(value)
        else:
            done.set_exception(error)

    def work() -> None:
        value: Any = None
        error: BaseException | None = None
        try:
            value = call()
        except StopIteration as stop:  # no future takes it
            error = RuntimeError(f"StopIteration: {stop}")
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=work, daemon=True).start()
    return await done


def _text(returned: Any) -> str:
    if isinstance(returned, str):
        text = returned
    else:
        try:
            text = json.dumps(returned, ensure_ascii=False, default=str)
        except (TypeError, ValueError):  # keys that are no text, circles
            text = str(returned)
    return _clean(text if len(text) <= MAX_RESULT_CHARACTERS else text[:MAX_RESULT_CHARACTERS] + "\n[cut]")


def _clean(text: str) -> str:
    """A text that every file and endpoint takes: no halves of surrogate pairs."""
    return text.encode(errors="replace").decode()
