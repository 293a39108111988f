"""A page as a team reads it: text with numbered links and forms, in windows, with find. Pure; no HTML here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FEW_CHARACTERS = 200
"""A page with less text than this says hardly a word: what stands there for readers without scripts then counts."""

_MAX_MATCHES = 20
_MAX_MATCH_CHARACTERS = 600


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form. `options` are what a choice offers."""

    name: str
    kind: str  # as in HTML: "text", "hidden", "checkbox", "select", ...
    value: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """A form of a page. `action` is absolute."""

    method: str  # "get" or "post"
    action: str
    fields: tuple[Field, ...]

    def fill(self, values: Mapping[str, Any]) -> dict[str, str]:
        """What is sent: the form's own values with these in their place.

        Raises:
            ValueError: a field that the form has not, or a choice that it does not offer.
        """
        fields = {field.name: field for field in self.fields}
        for name, value in values.items():
            if name not in fields:
                raise ValueError(f"the form has no field {name!r}, only {', '.join(fields) or 'none'}")
            options = fields[name].options
            if options and str(value) not in options:
                raise ValueError(f"{name} must be one of {', '.join(options)}, got {str(value)!r}")
        kept = {
            name: field.value
            for name, field in fields.items()
            if field.kind not in {"checkbox", "radio"} or field.value
        }
        return kept | {name: str(value) for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class PageText:
    """A page that was read. `links[0]` is link 1; links are absolute. `sha256` is of the bytes that arrived."""

    url: str
    title: str
    text: str
    links: tuple[str, ...] = ()
    forms: tuple[Form, ...] = ()
    content_type: str = ""
    sha256: str = ""
    num_bytes: int = 0


def windows(text: str, max_characters: int) -> list[str]:
    """The text in portions of whole lines, each of at most `max_characters`; longer lines are broken."""
    portions: list[list[str]] = [[]]
    length = 0
    for line in _short_lines(text, max_characters):
        if length + len(line) + 1 > max_characters and portions[-1]:
            portions.append([])
            length = 0
        portions[-1].append(line)
        length += len(line) + 1
    return ["\n".join(portion).strip("\n") for portion in portions]


def find_lines(text: str, wanted: str, max_characters: int) -> list[str]:
    """The lines that hold `wanted` in any case, each with its window's number and a table row with its header row.

    Where no line holds it as it stands, the lines that hold all of its words.
    """
    words = wanted.lower().split()
    if not words:
        return []
    numbered = [
        (number, line)
        for number, window in enumerate(windows(text, max_characters), 1)
        for line in window.split("\n")
        if line.strip()
    ]
    found = _matching(numbered, lambda line: " ".join(words) in " ".join(line.lower().split()))
    return found or _matching(numbered, lambda line: all(word in line.lower() for word in words))


def _matching(numbered: Sequence[tuple[int, str]], holds: Any) -> list[str]:
    matches: list[str] = []
    header, previous = "", ""
    for number, line in numbered:
        if line.startswith("|") and not previous.startswith("|"):
            header = line
        previous = line
        if not holds(line):
            continue
        if line.startswith("|") and header not in {line, *matches}:
            matches.append(header)
        shown = line if line.startswith("|") else f"(viewport {number}) {line}"
        matches.append(shown[:_MAX_MATCH_CHARACTERS])
        if len(matches) >= _MAX_MATCHES:
            break
    return matches


def _short_lines(text: str, max_characters: int) -> list[str]:
    lines: list[str] = []
    for line in text.split("\n"):
        rest = line
        while len(rest) >= max_characters:
            cut = rest.rfind(" ", max_characters // 2, max_characters - 1)
            cut = cut if cut > 0 else max_characters - 1
            lines.append(rest[:cut])
            rest = rest[cut:].lstrip(" ")
        lines.append(rest)
    return lines
