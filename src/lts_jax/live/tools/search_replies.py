"""What a search endpoint answered: results, answers, an outage of the engines behind it, or why it refused. Pure."""

import html
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_EMPHASIS = re.compile(r"</?(?:strong|b|em|i|mark|u|span|wbr|br)(?:\s[^<>]*)?/?>", re.IGNORECASE)
_MAX_ASIDE_CHARACTERS = 500  # of an answer, or of a box beside the results
_MAX_ASIDES = 3
_MAX_ENGINES = 12


def find_results(answer: Any, path: str) -> Sequence[Any]:
    """The list of results at a path such as "web.results"; empty where the part that holds it is left out or null.

    Raises:
        ValueError: no object, or something else where the list should be.
    """
    if not isinstance(answer, Mapping):
        raise ValueError("no JSON object")
    *parts, last = path.split(".")
    for name in parts:  # a reply without its part "web" found nothing
        answer = answer.get(name)
        if answer is None:
            return ()
        if not isinstance(answer, Mapping):
            raise ValueError(f"no object at {name}")
    found = answer.get(last)
    if found is None and (parts or last in answer):
        return ()
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise ValueError(f"no list at {path}")
    return found


def show_asides(answer: Mapping[str, Any]) -> list[str]:
    """What SearXNG shows above and beside the results: direct answers, and boxes of an encyclopedia."""
    answers = [_words(each, "answer", "title", "text") for each in _list(answer, "answers")]
    lines = [f"Answer: {text}" for text in filter(None, answers)]
    for each in _list(answer, "infoboxes"):
        title, content = _words(each, "infobox", "title"), _words(each, "content")
        pairs = [(_words(pair, "label"), _words(pair, "value")) for pair in _list(each, "attributes")]
        facts = "; ".join(f"{label}: {value}" for label, value in pairs if label and value)
        told = " ".join(filter(None, (content, facts)))
        if title or told:
            lines.append(f"Box: {': '.join(filter(None, (title, told)))}")
    return [plain(line, _MAX_ASIDE_CHARACTERS) for line in lines[:_MAX_ASIDES]]


def show_outage(answer: Mapping[str, Any]) -> str:
    """The engines that did not answer, with their reasons: "google (CAPTCHA), bing (timeout)"; "" where all did."""
    shown = []
    for each in _list(answer, "unresponsive_engines"):
        parts = each if isinstance(each, list | tuple) else [each]
        name, *reasons = (plain(str(part), 80) for part in parts if part)
        shown.append(f"{name} ({', '.join(reasons)})" if reasons else name)
    more = f" and {len(shown) - _MAX_ENGINES} more" if len(shown) > _MAX_ENGINES else ""
    return ", ".join(shown[:_MAX_ENGINES]) + more


def show_error(body: bytes) -> str:
    """Code and words of an error in JSON, as in `{"error": {"code": "X", "detail": "Y"}}`: "X: Y"; "" for no such."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    value = value.get("error", value) if isinstance(value, dict) else value
    if isinstance(value, str):
        return plain(value, 200)
    if not isinstance(value, dict):
        return ""
    words = (value.get(name) for name in ("code", "detail", "message"))
    return plain(": ".join(each for each in words if isinstance(each, str) and each), 200)


def plain(text: str, max_characters: int) -> str:
    """A text on one line, without the marks that engines put around what was asked for."""
    line = " ".join(html.unescape(_EMPHASIS.sub("", text)).split())
    return line if len(line) <= max_characters else line[: max(0, max_characters - 3)] + "..."


def _list(answer: Any, name: str) -> list[Any]:
    found = answer.get(name) if isinstance(answer, Mapping) else None
    return found if isinstance(found, list) else []


def _words(each: Any, *names: str) -> str:
    """A text, or the first of these fields of an object that is one, with the address beside it."""
    if isinstance(each, str):
        return each
    if not isinstance(each, Mapping):
        return ""
    text = next((each[name] for name in names if isinstance(each.get(name), str) and each[name].strip()), "")
    url = each.get("url")
    return f"{text} <{url}>" if text and isinstance(url, str) and url.startswith(("http://", "https://")) else text
