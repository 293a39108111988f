"""Functions as tools: what teams are told, which are refused, and what becomes of every kind of call."""

import asyncio
import threading
from typing import Literal, Optional

import pytest

from lts_jax.errors import UserError
from lts_jax.live.functions import MAX_RESULT_CHARACTERS, add_functions, call_tool, load_tools, make_tool, make_tools
from lts_jax.records import OwnTool, ToolResult


def tide(port: str, day: int = 1, unit: Literal["m", "ft"] = "m") -> str:
    """Height of the tide at a port.

    Harbours of the north only.
    """
    return f"{port} {day!r} {unit}"


async def total(numbers: list[float], most: Optional[float] = None) -> dict[str, float]:  # noqa: UP045
    """Sum of numbers."""
    return {"sum": sum(numbers)}


def done(function, seconds=5.0, **arguments):
    return asyncio.run(call_tool(make_tool(function), arguments, seconds))


def test_teams_are_told_name_signature_and_docstring():
    assert make_tool(tide).told == OwnTool(
        "tide",
        ("port", "day", "unit"),
        "tide(port: str, day: int = 1, unit: Literal['m', 'ft'] = 'm') -> str",
        "Height of the tide at a port.\n\nHarbours of the north only.",
    )


@pytest.mark.parametrize(
    ("function", "arguments", "text"),
    [
        (tide, {"port": "Leith"}, "Leith 1 m"),
        (tide, {"port": 7, "day": "2", "unit": "ft"}, "7 2 ft"),
        (tide, {"port": "Leith", "day": 3.0}, "Leith 3 m"),
        (total, {"numbers": [1, "2.5"]}, '{"sum": 3.5}'),
        (total, {"numbers": [], "most": None}, '{"sum": 0}'),
    ],
)
def test_arguments_are_read_as_the_annotations_say(function, arguments, text):
    assert done(function, **arguments) == ToolResult(text, tool=function.__name__)


@pytest.mark.parametrize(
    ("function", "arguments", "told"),
    [
        (tide, {}, "tide: port is missing; it is called as tide(port: str"),
        (tide, {"port": "x", "when": 1}, "tide: there is no argument 'when'; it is called as"),
        (tide, {"port": "x", "day": "soon"}, "tide: day: expected a whole number, got 'soon'"),
        (tide, {"port": "x", "day": True}, "tide: day: expected a whole number, got True"),
        (tide, {"port": "x", "day": 2.5}, "tide: day: expected a whole number, got 2.5"),
        (tide, {"port": ["x"]}, "tide: port: expected a text, got ['x']"),
        (tide, {"port": "x", "unit": "km"}, "tide: unit: expected one of 'm', 'ft', got 'km'"),
        (total, {"numbers": [1, "two"]}, "total: numbers[1]: expected a number, got 'two'"),
        (total, {"numbers": float("nan")}, "total: numbers: expected a list, got nan"),
    ],
)
def test_wrong_arguments_are_a_failed_result_that_says_which(function, arguments, told):
    result = done(function, **arguments)
    assert result.failed and result.text.startswith(told)


def test_whatever_a_function_does_is_a_result():
    def breaks() -> str:
        """Breaks."""
        raise KeyError("no\nsuch")

    def leaves() -> str:
        """Leaves."""
        raise SystemExit(3)

    async def hangs() -> str:
        """Hangs."""
        await asyncio.Event().wait()
        return ""

    def long() -> str:
        """Long."""
        return "x" * (MAX_RESULT_CHARACTERS + 1) + "\ud800"

    def odd() -> object:
        """Odd."""
        return {(1, 2): {3}}

    release = threading.Event()

    def waits() -> str:
        """Waits, in a thread of its own."""
        release.wait(60)
        return ""

    assert done(breaks) == ToolResult("breaks: KeyError: 'no\\nsuch'", failed=True, tool="breaks")
    assert done(leaves) == ToolResult("leaves: SystemExit: 3", failed=True, tool="leaves")
    assert done(hangs, seconds=0.01).text == "hangs: it took more than 0.01 seconds"
    assert done(waits, seconds=0.01).text == "waits: it took more than 0.01 seconds"
    release.set()
    assert done(long).text == "x" * MAX_RESULT_CHARACTERS + "\n[cut]"
    assert done(odd).text == "{(1, 2): {3}}"


def test_other_tools_stay_what_they_are():
    use_tool = add_functions(make_tools([tide]), lambda tool, given: ToolResult(f"other {tool}"), 5.0)
    assert use_tool("visit_url", {}) == ToolResult("other visit_url")
    assert asyncio.run(use_tool("tide", {"port": "Leith"})).text == "Leith 1 m"


def untold(port: str) -> str:
    return port


def untyped(port) -> str:
    """Untyped."""
    return port


def starred(*ports: str) -> str:
    """Starred."""
    return ports[0]


def typed_by_a_class(port: threading.Event) -> str:
    """By a class."""
    return ""


def visit_url(url: str) -> str:
    """Taken."""
    return url


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (untold, "untold has no docstring"),
        (untyped, r"untyped\(port\): expected an annotation of str"),
        (starred, r"starred\(\*ports: str\): expected arguments that are given by name"),
        (typed_by_a_class, "expected an annotation of str"),
        (visit_url, "visit_url is the name of a tool"),
        (lambda port: port, "expected functions, got"),
        (3, "expected functions, got 3"),
    ],
)
def test_what_cannot_be_a_tool_is_refused(function, told):
    with pytest.raises(UserError, match=told):
        make_tools([function])
    with pytest.raises(UserError, match="tide twice"):
        make_tools([tide, tide])


def test_a_file_gives_its_own_public_functions(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from __future__ import annotations\nfrom os.path import join\n"
        'def one(a: int) -> int:\n    """One."""\n    return _two(a)\n'
        "def _two(a): return a + 1\n"
    )
    [tool] = load_tools((str(path),))
    assert tool.told.signature == "one(a: int) -> int" and load_tools((f"{path}:one",)) == (tool,)
    assert asyncio.run(call_tool(tool, {"a": "4"}, 5.0)).text == "5"
    (tmp_path / "empty.py").write_text("x = 1\n")
    for target in (tmp_path / "empty.py", tmp_path / "gone.py", f"{path}:_two", f"{path}:three"):
        with pytest.raises(UserError, match=r"^tools.functions: ") as refused:
            load_tools((str(target),))
        assert "\n" not in str(refused.value)
