"""The memory bank of a replay: entries by the call they answer, and the rule that tells when one may be stale."""

import re
from dataclasses import dataclass, field
from typing import Any

from lts_jax.logs.importers.recorded import RecordedStep
from lts_jax.logs.replay_settings import ReplaySettings
from lts_jax.prompts import key_line
from lts_jax.records import MemoryEntry
from lts_jax.storage import parse_json

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_KEY_WORDS = 15
_KEY_CHARACTERS = 100  # of the call, and of what it gave


@dataclass(slots=True)
class ChangedState:
    """What one team has changed so far: the identifiers that its state-changing calls named, and how many calls."""

    identifiers: frozenset[str] = frozenset()
    num_calls: int = 0

    def copy(self) -> "ChangedState":
        """The state as it is now, for an entry to remember."""
        return ChangedState(self.identifiers, self.num_calls)

    def add(self, action: str) -> None:
        """Count one state-changing call."""
        self.identifiers |= call_identifiers(action)
        self.num_calls += 1


@dataclass(slots=True)
class ReplayBank:
    """Admitted entries in order of admission, with what a pull must know of each."""

    settings: ReplaySettings
    entries: list[MemoryEntry] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    _cumulative_tokens: list[int] = field(default_factory=lambda: [0])
    _of_call: dict[str, list[int]] = field(default_factory=dict)
    _writer_changed: list[ChangedState] = field(default_factory=list)

    def admit(self, item: RecordedStep, team: int, key: str, seconds: float, changed: ChangedState) -> int:
        """Store a step under its key; `changed` is what its team had changed when it took the step."""
        entry = len(self.entries)
        self.entries.append(MemoryEntry(entry, key, item.step.output, team, item.step.step, seconds))
        self.keys.append(key)
        tokens = self.settings.tokens(len(key_line(entry, key)) + 1)
        self._cumulative_tokens.append(self._cumulative_tokens[-1] + tokens)
        self._writer_changed.append(changed)
        if self.settings.is_read_only(item.tool):
            self._of_call.setdefault(item.step.action, []).append(entry)
        return entry

    def listed_tokens(self, window: int | None) -> int:
        """Tokens that the listed keys add to a prompt: of all keys, or of the newest `window`."""
        return self._cumulative_tokens[-1] - self._cumulative_tokens[self._first_listed(window)]

    def find(self, item: RecordedStep, reader: int, changed: ChangedState, window: int | None) -> MemoryEntry | None:
        """The oldest listed entry that answers this very call and is not stale for the reader, or None.

        The oldest, so that a duplicate admitted later earns no use.
        """
        if not self.settings.is_read_only(item.tool):
            return None
        for number in self._of_call.get(item.step.action, []):
            entry = self.entries[number]
            own = entry.team == reader
            if number < self._first_listed(window) or (own and not self.settings.own_entries):
                continue
            if not self._is_stale(number, item.step.action, changed):
                return entry
        return None

    def _is_stale(self, number: int, action: str, changed: ChangedState) -> bool:
        writer = self._writer_changed[number]
        if self.settings.staleness == "team":
            return bool(changed.num_calls or writer.num_calls)
        if self.settings.staleness == "none":
            return False
        text = f"{action}\n{self.entries[number].value}"
        return any(identifier in text for identifier in changed.identifiers | writer.identifiers)

    def _first_listed(self, window: int | None) -> int:
        return 0 if window is None else max(0, len(self.entries) - window)


def step_key(item: RecordedStep) -> str:
    """The key of a step, about 15 to 20 words and made without a model: what was called or said, and how it begins.

    Every recorded step gets its key by this one rule, so that policies differ in what they admit and in nothing else.
    """
    opening = " ".join(item.step.output.split()[:_KEY_WORDS])[:_KEY_CHARACTERS]
    return f"{item.step.action[:_KEY_CHARACTERS]} gave: {opening}" if item.tool else f"told the customer: {opening}"


def call_identifiers(action: str) -> frozenset[str]:
    """The texts among a call's arguments that look like identifiers of objects: "mia_li_3668", "4WQ150", "HAT136".

    That is: five characters or more, no space, not a date, and with a digit, an underscore or capitals throughout.
    """
    start, end = action.find("("), action.rfind(")")
    try:
        arguments = parse_json(action[start + 1 : end], "")
    except ValueError:
        return frozenset(filter(_is_identifier, re.findall(r"\w+", action[start + 1 : end])))
    return frozenset(filter(_is_identifier, _texts(arguments)))


def _is_identifier(text: str) -> bool:
    if len(text) < 5 or any(character.isspace() for character in text) or _DATE.fullmatch(text):
        return False
    return "_" in text or text.isupper() or any(character.isdigit() for character in text)


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in _texts(part)]
