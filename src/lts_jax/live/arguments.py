"""Arguments of a user's function: which annotations are understood, and how JSON values become what they ask for."""

import math
import types
import typing
from typing import Any

_PLAIN = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", list: "a list"}
_PLAIN |= {dict: "an object", types.NoneType: "null"}
_UNIONS = (types.UnionType, typing.Union)


def is_understood(annotation: Any) -> bool:
    """Whether JSON values can be checked against an annotation.

    str, int, float, bool, None, Any, Literal, list, dict, list[X], tuple[X, ...], dict[str, X], and unions of these.
    """
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return all(isinstance(choice, (str, int, bool, types.NoneType)) for choice in inner)
    if origin in _UNIONS or origin is list:
        return all(map(is_understood, inner))
    if origin is dict:
        return not inner or (inner[0] is str and is_understood(inner[1]))
    if origin is tuple:
        return len(inner) == 2 and inner[1] is Ellipsis and is_understood(inner[0])
    return annotation is Any or annotation in _PLAIN


def convert(value: Any, annotation: Any, where: str) -> Any:
    """A JSON value as an annotation asks for it.

    Numbers and truth values may come as text, as language models write them, and whole numbers as 3.0.

    Raises:
        ValueError: it does not fit; one line that begins with `where`.
    """
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in _UNIONS:
        return _convert_union(value, inner, where)
    if origin is typing.Literal:
        found = [choice for choice in inner if choice == value and isinstance(choice, bool) == isinstance(value, bool)]
        found += [choice for choice in inner if str(choice) == value]
        if not found:
            raise ValueError(f"{where}: expected one of {', '.join(map(repr, inner))}, got {_excerpt(value)}")
        return found[0]
    if origin in (list, dict) and not inner:
        return _plain(value, origin, where)
    if origin in (list, tuple):
        given = enumerate(_plain(value, list, where))
        items = [convert(item, inner[0], f"{where}[{place}]") for place, item in given]
        return items if origin is list else tuple(items)
    if origin is dict:
        return {key: convert(item, inner[1], f"{where}.{key}") for key, item in _plain(value, dict, where).items()}
    return value if annotation is Any else _plain(value, annotation, where)


def _convert_union(value: Any, kinds: tuple[Any, ...], where: str) -> Any:
    """The first kind that the value is of as it stands, or else the first that it can be read as."""
    exact = [kind for kind in kinds if type(value) is (typing.get_origin(kind) or kind)]
    problems = []
    for kind in (*exact, *kinds):
        try:
            return convert(value, kind, where)
        except ValueError as error:
            problems.append(str(error))
    raise ValueError(problems[0])


def _plain(value: Any, kind: Any, where: str) -> Any:
    if kind is types.NoneType and value is None:
        return None
    if isinstance(value, kind) and isinstance(value, bool) == (kind is bool):
        if not (kind is float and not math.isfinite(value)):
            return value
    elif kind is str and isinstance(value, (int, float)):
        return str(value).lower() if isinstance(value, bool) else str(value)
    elif kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    elif kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    elif isinstance(value, str) and kind in (int, float, bool):
        read = _read(value.strip(), kind)
        if read is not None:
            return read
    raise ValueError(f"{where}: expected {_PLAIN[kind]}, got {_excerpt(value)}")


def _read(text: str, kind: type) -> Any:
    """A number or truth value that came as text, or None."""
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower())
    try:
        number = kind(text) if len(text) <= 100 else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _excerpt(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
