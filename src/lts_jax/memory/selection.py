"""Which entries a reply to the selection call names, however it is written."""

import re

_MARKER = re.compile(r"selected[_ ]keys[\"'`*\s]*[=:]+[\"'`*\s]*", re.IGNORECASE)
_BARE_LIST = re.compile(r"[\s`]*+(?:json|text)?[\s`]*+(\[[\d\s,\[\]\"'#]*\])[\s`.]*")
_INNERMOST = re.compile(r"\[([^\[\]]*)\]?")
_NUMBER = re.compile(r"(?<![\d.-])\d{1,9}(?!\d|\.\d)")


def parse_selection(text: str) -> list[int]:
    """Read the entry ids in a reply to `prompts.select_request`, in order, without repeats. Never raises.

    The last `SELECTED_KEYS = [...]` counts (a model may quote the request before it answers), also as a JSON field, in
    bold, without brackets, or cut off. Where keys are quoted beside their numbers, as in `[[3] museum hours 9-17]`,
    only bracketed numbers count. Without the marker a reply counts only if it is nothing but a list. Else: no entry.
    """
    markers = list(_MARKER.finditer(text))
    if markers:
        chosen = _bracket_text(text[markers[-1].end() :])
    else:
        bare = _BARE_LIST.fullmatch(text)
        chosen = bare.group(1) if bare else ""
    groups = _INNERMOST.findall(chosen) if "[" in chosen else [chosen]
    return list(dict.fromkeys(int(number) for group in groups for number in _NUMBER.findall(group)))


def _bracket_text(text: str) -> str:
    """From the first bracket to its partner (or the end, if cut off); without brackets the rest of the line."""
    line = text.split("\n", 1)[0]
    if not text.startswith("["):
        return line if "[" not in line else text[text.index("[") : len(line)]
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "[") - (character == "]")
        if depth == 0:
            return text[: place + 1]
    return text
