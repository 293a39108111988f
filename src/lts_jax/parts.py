"""A part is named by a call: `name`, `name(key=value, ...)`, `mine.py:function(key=value)`, `package.module:function`.

One small grammar for everything that can be replaced: credit schemes, admission rules, networks, encoders, scorers.
Values are numbers, words, quoted texts, true and false; the text is parsed, never evaluated. Which settings a part
takes, their types and defaults are read from its function's signature, and their meaning from its docstring. The
canonical text of the call is the part's name in tables, run folders and digests.
"""

import ast
import difflib
import inspect
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lts_jax.bounds import check_bound
from lts_jax.errors import UserError, show
from lts_jax.loading import load_function

Value = float | int | bool | str

_CALL = re.compile(r"\s*+(?:(?P<place>[^\"'=]+?):)?(?P<name>[A-Za-z_]\w*)\s*+(?:\((?P<arguments>.*)\))?\s*", re.DOTALL)
_LONGEST_CALL = 10_000  # characters
_BARE = re.compile(r"[A-Za-z_./~][\w./~:+-]*")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting that a part takes."""

    name: str
    type: Any  # its annotation; `Any` where there is none
    default: Any  # `inspect.Parameter.empty` where it must be given
    meaning: str  # from the docstring, or empty


@dataclass(frozen=True, slots=True)
class Part:
    """A function with the settings that a text gave. Calling it adds the rest: `part(encoder=...)`."""

    text: str  # canonical
    function: Callable[..., Any]
    given: tuple[tuple[str, Any], ...] = ()  # in the order of the signature

    @property
    def name(self) -> str:
        """The text without its settings."""
        return self.text.partition("(")[0] if ":" not in self.text else _split(self.text, "part")[0]

    @property
    def settings(self) -> dict[str, Any]:
        """What the text gave."""
        return dict(self.given)

    def __call__(self, *arguments: Any, **supplied: Any) -> Any:
        """The function's result with its settings."""
        return self.function(*arguments, **supplied, **self.settings)


def resolve(text: str, known: Mapping[str, Callable[..., Any]], *, where: str, supplied: Collection[str] = ()) -> Part:
    """The part that a text names.

    Args:
        text: a call of the grammar above.
        known: our own parts of this kind, by name.
        where: the setting that holds the text, for messages.
        supplied: parameters that the caller gives, so the text may not.

    Raises:
        UserError: one line that begins with `where`: no such part (the nearest names are given), a file without that
            function, a file that raises, a setting that the part does not take, a value of another type.
    """
    head, arguments = _split(text, where)
    if ":" in head:
        function = load_function(head, where=where)
    elif head in known:
        function = known[head]
    else:
        near = difflib.get_close_matches(head, known, n=3, cutoff=0.5)
        hint = f" (did you mean {' or '.join(near)}?)" if near else f"; there are {', '.join(known)}"
        raise UserError(f"{where}: expected a name, or FILE.py:FUNCTION; got {show(head)}{hint}")
    return make_part(head, function, arguments, where=where, supplied=supplied)


def make_part(
    head: str,
    function: Callable[..., Any],
    settings: Mapping[str, Any],
    *,
    where: str,
    supplied: Collection[str] = (),
) -> Part:
    """A function under a name with settings that are checked against its signature; see `resolve`."""
    takes = {one.name: one for one in settings_of(function, supplied)}
    for name in settings:
        if name not in takes:
            known = f"it takes {', '.join(takes)}" if takes else "it takes none"
            raise UserError(f"{where}: {head} has no setting {show(name)}; {known}")
    missing = [
        one.name for one in takes.values() if one.default is inspect.Parameter.empty and one.name not in settings
    ]
    if missing:
        raise UserError(f"{where}: {head} needs the setting {missing[0]}, as {head}({missing[0]}=...)")
    given = tuple(
        (name, _convert(settings[name], one, f"{where}: {head}({name})"))
        for name, one in takes.items()
        if name in settings
    )
    inner = ", ".join(f"{name}={_value_text(value)}" for name, value in given)
    return Part(f"{head}({inner})" if inner else head, function, given)


def parameters_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters of a function, or of what makes an object of a class; none where Python does not know them."""
    try:
        # Of a class its __init__, since a metaclass may hide it behind (*args, **kwargs).
        is_class = inspect.isclass(function)
        found = dict(inspect.signature(function.__init__ if is_class else function).parameters)
    except (TypeError, ValueError):
        return {}
    return dict(list(found.items())[1:]) if is_class else found


def function_part(function: Callable[..., Any], *, where: str = "part") -> Part:
    """A function that came as an object, under its module and name, with what a `functools.partial` of it binds.

    Raises:
        UserError: one line that begins with `where`: it cannot be called.
    """
    if not callable(function):
        raise UserError(f"{where}: expected a text or a function, got {show(function)}")
    bound: dict[str, Any] = {}
    while isinstance(function, partial):
        bound, function = function.keywords | bound, function.func
    head = f"{function.__module__}:{getattr(function, '__qualname__', type(function).__qualname__)}"
    given = tuple(bound.items())
    inner = ", ".join(f"{name}={_value_text(value)}" for name, value in given)
    return Part(f"{head}({inner})" if inner else head, function, given)


def change(part: Part, *, where: str, supplied: Collection[str] = (), **settings: Any) -> Part:
    """The same part with other settings."""
    return make_part(part.name, part.function, part.settings | settings, where=where, supplied=supplied)


def settings_of(function: Callable[..., Any], supplied: Collection[str] = ()) -> tuple[Setting, ...]:
    """Every setting that a function takes: what is keyword-only or has a default, but for what is `supplied`."""
    parameters = parameters_of(function).values()
    try:
        hints = typing.get_type_hints(function.__init__ if inspect.isclass(function) else function)
    except Exception:  # annotations of a user's file may name what is not there
        hints = {}
    meanings = _meanings(function)
    return tuple(
        Setting(one.name, hints.get(one.name, Any), one.default, meanings.get(one.name, ""))
        for one in parameters
        if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)
        and (one.kind is one.KEYWORD_ONLY or one.default is not one.empty)
        and one.name not in supplied
    )


def split_calls(text: str) -> list[str]:
    """The calls of a list with commas between them; commas inside parentheses or quotes belong to a call."""
    pieces, depth, quote, start = [], 0, "", 0
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "()":
            depth += 1 if letter == "(" else -1
        elif letter == "," and depth == 0:
            pieces.append(text[start:place].strip())
            start = place + 1
    return [*pieces, text[start:].strip()]


def _split(text: str, where: str) -> tuple[str, dict[str, Value]]:
    """The name of a call and its settings, as written."""
    found = _CALL.fullmatch(text) if len(text) <= _LONGEST_CALL else None
    if found is None:
        raise UserError(f"{where}: expected name, name(key=value, ...) or FILE.py:FUNCTION(...), got {show(text)}")
    head = f"{found['place'].strip()}:{found['name']}" if found["place"] else found["name"]
    wrong = f"{where}: expected {head}(key=value, ...) with numbers, words, true or false as values, got {show(text)}"
    settings: dict[str, Value] = {}
    for piece in split_calls(found["arguments"] or "") if (found["arguments"] or "").strip() else ():
        name, is_pair, written = (side.strip() for side in piece.partition("="))
        value = _literal(written)
        if not is_pair or not name.isidentifier() or value is _NOTHING or name in settings:
            raise UserError(wrong)
        settings[name] = value
    return head, settings


class _Word(str):
    """A text that stood without quotes, so that true, false and none keep their meaning."""

    __slots__ = ()


_NOTHING: Any = object()
_MOST = 1e300  # a number beyond it is a slip, and infinity is not a number


def _literal(written: str) -> Any:
    """A number, a quoted text, true, false, or a word; paths need no quotes."""
    try:
        value = ast.literal_eval(written)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        value = {"true": True, "false": False}.get(written, _Word(written)) if _BARE.fullmatch(written) else _NOTHING
    if isinstance(value, (int, float)) and not abs(value) < _MOST:
        return _NOTHING
    return value if isinstance(value, (bool, int, float, str)) else _Word("none") if value is None else _NOTHING


def _convert(value: Any, setting: Setting, where: str) -> Any:
    """The value as the setting's annotation, or else its default, asks for."""
    kinds = kinds_of(setting)
    if not kinds:
        return str(value) if isinstance(value, str) else value
    choices = [
        choice for kind in kinds if typing.get_origin(kind) is typing.Literal for choice in typing.get_args(kind)
    ]
    if value in choices and not (isinstance(value, bool) and bool not in map(type, choices)):
        return str(value) if isinstance(value, str) else value
    if types.NoneType in kinds and isinstance(value, _Word) and value.lower() == "none":
        return None
    if isinstance(value, (int, float)):
        check_bound(setting.name, value, where, listed_only=True)
    if isinstance(value, bool) and bool in kinds:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and (int in kinds or float in kinds):
        return value if int in kinds else float(value)
    if isinstance(value, float) and float in kinds:
        return value
    if isinstance(value, str) and (str in kinds or Path in kinds):
        return Path(value) if Path in kinds else str(value)
    words = {float: "a number", int: "a whole number", bool: "true or false", str: "a text", Path: "a path"}
    expected = [words[kind] for kind in words if kind in kinds] + [str(choice) for choice in choices]
    raise UserError(f"{where}: expected {' or '.join(expected)}, got {show(value)}")


def kinds_of(setting: Setting) -> list[Any]:
    """The types that a setting accepts; empty where anything goes."""
    if setting.type is Any:
        default = setting.default
        return [] if default is inspect.Parameter.empty or default is None else [type(default)]
    union = typing.get_origin(setting.type) in {types.UnionType, typing.Union}
    kinds = list(typing.get_args(setting.type)) if union else [setting.type]
    plain = (float, int, bool, str, Path, types.NoneType)
    return [kind for kind in kinds if kind in plain or typing.get_origin(kind) is typing.Literal]


def _value_text(value: Any) -> str:
    """A value as the grammar writes it, the same for equal values."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    if value is None:
        return "none"
    text = str(value)
    is_word = isinstance(value, (str, Path)) and _BARE.fullmatch(text) and text.lower() not in {"true", "false", "none"}
    return text if is_word or isinstance(value, int) else repr(text)


def _meanings(function: Callable[..., Any]) -> dict[str, str]:
    """What a docstring's section of arguments says of each of them."""
    document = inspect.getdoc(function) or ""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)+)", document, re.MULTILINE)
    found: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc(section[1]).splitlines() if section else ():
        start = re.match(r"(\w+): *(.*)", line)
        if start:
            name = start[1]
            found[name] = start[2]
        elif name and line.strip():
            found[name] += " " + line.strip()
    return found
