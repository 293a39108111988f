"""Calls of a model kept on disk and given again by content: a cache for paid endpoints, and replay without a model.

A folder holds one JSON-lines journal, `calls.jsonl`, with a line for every finished call. A call is found by what was
asked: messages, seed, JSON mode, model name and request options (temperature, limits, endpoint). A reply is given only
after its line is durable, so whatever was acted upon is found again after a kill. Failures are not kept: a restart
tries them again. `calls.lock` keeps other processes from writing there; reading needs no lock.

Where many machines share a folder each process writes a journal of its own beside it, `<host>-<pid>-<start>.jsonl`;
who reads the folder reads them all.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Protocol

from lts_jax.errors import UserError
from lts_jax.llm.call_digest import call_digest
from lts_jax.llm.chat import ChatModel, Completion, ModelFailure
from lts_jax.llm.journal import open_journal, wait_for_writes
from lts_jax.llm.well_formed import replace_surrogates
from lts_jax.records import Message
from lts_jax.redact import environment_secrets, redact_text
from lts_jax.storage import read_line, whole_lines

__all__ = ["JOURNAL", "RecordingModel", "ReplayModel", "call_digest", "opening"]

JOURNAL = "calls.jsonl"
_FIELDS = tuple(item.name for item in fields(Completion))
_SELDOM = ("thought", "is_cut")  # written where there is one
_ALWAYS = tuple(name for name in _FIELDS if name not in _SELDOM)


class LineWriter(Protocol):
    """Where finished calls go: a `Journal`, or what sends them to one."""

    async def append(self, record: Mapping[str, Any]) -> None:
        """Append one record; returns once it is durable.

        Raises:
            UserError: it cannot be made durable.
        """
        ...

    async def flush(self) -> None:
        """Return once nothing waits to be made durable, whoever has asked for it."""
        ...


class RecordingModel:
    """ChatModel that asks another one and appends each finished call to the journal. One writing process a folder."""

    def __init__(
        self,
        inner: ChatModel,
        folder: Path | str,
        *,
        options: str = "",
        journal: str = JOURNAL,
        writer: LineWriter | None = None,
    ) -> None:
        """No line is written before the first call is finished.

        `options` says what else decides the inner model's replies, e.g. `OpenAIChatModel.options`; without credentials,
        as it is written to the journal. `journal` is the name of the file, one that no other process writes to;
        with a `writer` it is this that takes the lines, wherever the file is.
        """
        self._inner = inner
        self.options = options
        self.journal = Path(folder) / journal
        self._writer = writer
        self._secrets: tuple[tuple[str, str], ...] = ()
        self._is_open = False

    @property
    def name(self) -> str:
        """Name of the inner model."""
        return self._inner.name

    async def complete(self, messages: Sequence[Message], *, seed: int, json_reply: bool = False) -> Completion:
        """Ask the inner model and record the call. Secrets are cut out, lone surrogates in the reply become U+FFFD.

        Raises:
            ModelFailure: the inner model's, which is not recorded.
            UserError: another process records in this folder (nothing is asked then), or the disk takes no more.
        """
        digest = call_digest(messages, seed, json_reply, self.name, self.options)
        return await self.complete_call(digest, messages, seed=seed, json_reply=json_reply)

    async def complete_call(
        self, digest: str, messages: Sequence[Message], *, seed: int, json_reply: bool, asked_for: str = ""
    ) -> Completion:
        """`complete` for a caller that knows the call's digest. `asked_for` is written down, see `ReplayModel`."""
        journal = self.open()
        completion = await self._inner.complete(messages, seed=seed, json_reply=json_reply)
        reply = redact_text(replace_surrogates(completion.reply), self._secrets)
        thought = redact_text(replace_surrogates(completion.thought), self._secrets)
        if reply is not completion.reply or thought is not completion.thought:
            completion = replace(completion, reply=reply, thought=thought)
        line: dict[str, Any] = {
            "call": digest,
            "asked_model": self.name,
            "options": self.options,
            "opening": redact_text(opening(messages), self._secrets),
            "seed": seed,
        }
        if asked_for:
            line["asked_for"] = asked_for
        for name in _ALWAYS:
            line[name] = getattr(completion, name)
        if thought:
            line["thought"] = thought
        if completion.is_cut:
            line["is_cut"] = True
        await journal.append(line)
        return completion

    def open(self) -> LineWriter:
        """What takes the lines; a journal is locked for this process from now on.

        Raises:
            UserError: another process records in this folder.
        """
        if self._writer is None:
            self._writer = open_journal(self.journal)
        if not self._is_open:
            self._is_open, self._secrets = True, environment_secrets(os.environ)
        return self._writer


class ReplayModel:
    """ChatModel that answers from a journal, and asks `fallback` only what the journal does not hold.

    With a fallback it is a cache: what the fallback answers is recorded in the same folder, so that no finished call
    is repeated after a restart. Without one it needs no endpoint and no key. Where the same call was recorded more than
    once, the last one counts.
    """

    def __init__(
        self,
        folder: Path | str,
        fallback: ChatModel | None = None,
        *,
        name: str | None = None,
        options: str = "",
        journal: str = JOURNAL,
        lines: Sequence[bytes] | None = None,
        writer: LineWriter | None = None,
    ) -> None:
        """Read the journals of the folder; a torn last line is left out.

        `journal` is the one that is written to, by `writer` if there is one. With `lines`, of journals that somebody
        else has read, none is read: then this process alone may write to `journal`, and holds no more than it is given.

        `name` is the recorded model's; by default the fallback's, or else the only one in the journal. `options` are
        those that the calls were recorded with; a call with others is another call.

        Raises:
            UserError: a journal that cannot be read, no way to know the model's name, or a fallback that records in
                this folder with other options.
        """
        self._path = Path(folder) / journal
        self._found = self._read() if lines is None else calls_of(lines)
        self._is_alone = lines is not None  # whether no other process can have written since the journal was read
        names = self._found.models
        if name is None and fallback is None and len(names) != 1:
            found = f"calls of {len(names)} models: say which" if names else "no recorded calls"
            raise UserError(f"{self._path}: {found}")
        self._name = name or (fallback.name if fallback else next(iter(names)))
        self._options = options
        self._recording: RecordingModel | None = None
        if isinstance(fallback, RecordingModel) and fallback.journal == self._path:
            if fallback.options != options:
                raise UserError(
                    f"options: expected those of the recording fallback, {fallback.options!r}, got {options!r}"
                )
            self._recording = fallback
        elif fallback is not None:
            self._recording = RecordingModel(fallback, folder, options=options, journal=journal, writer=writer)

    @property
    def name(self) -> str:
        """Name of the recorded model."""
        return self._name

    async def complete(self, messages: Sequence[Message], *, seed: int, json_reply: bool = False) -> Completion:
        """The recorded completion of this very call, with the tokens, attempts and seconds it took then.

        Raises:
            ModelFailure: the call is not recorded and there is no fallback, or the fallback failed.
            UserError: the call is not recorded and another process records in this folder.
        """
        return await self._complete(messages, seed, json_reply, "")

    def with_purpose(self, purpose: str) -> ChatModel:
        """The same model; what it newly records is marked with what it was asked for, e.g. the name of a rollout."""
        return _AskedFor(self, purpose)

    def recordings_of(self, purpose: str) -> tuple[Completion, ...]:
        """What earlier processes recorded under `with_purpose(purpose)`; each was paid for."""
        return tuple(self._found.paid.get(purpose, {}).values())

    async def _complete(self, messages: Sequence[Message], seed: int, json_reply: bool, purpose: str) -> Completion:
        digest = call_digest(messages, seed, json_reply, self._name, self._options)
        if digest not in self._found.completions and self._recording is not None:
            self._read_on(self._recording)
        known = self._found.completions
        if digest not in known:
            if self._recording is None:
                under = f" and options {self._options}" if self._options else ""
                raise ModelFailure(f"not recorded in {self._path}: {opening(messages)!r} with seed {seed}{under}")
            known[digest] = await self._recording.complete_call(
                digest, messages, seed=seed, json_reply=json_reply, asked_for=purpose
            )
        return known[digest]

    def _read_on(self, recording: RecordingModel) -> None:
        """Before the first new call: from now on no other process writes, so what is read now is all there is."""
        if self._is_alone:
            return
        recording.open()
        self._is_alone = True
        if sum(path.stat().st_size for path in self._paths()) != self._found.num_bytes:
            self._found = self._read()

    def _paths(self) -> list[Path]:
        """The journals that are read, the one that is written to last; those that are not there are left out."""
        wait_for_writes(self._path)
        others = [path for path in sorted(self._path.parent.glob("*.jsonl")) if path != self._path]
        return [*others, self._path] if self._path.exists() else others

    def _read(self) -> "FoundCalls":
        return read_calls(self._paths())


@dataclass(frozen=True, slots=True)
class _AskedFor:
    model: ReplayModel
    purpose: str

    @property
    def name(self) -> str:
        return self.model.name

    async def complete(self, messages: Sequence[Message], *, seed: int, json_reply: bool = False) -> Completion:
        return await self.model._complete(messages, seed, json_reply, self.purpose)


def opening(messages: Sequence[Message]) -> str:
    """First line of the request, which says what is asked; at most 80 characters."""
    lines = messages[-1].content.split("\n", 1) if messages else [""]
    return replace_surrogates(lines[0][:80])


@dataclass(slots=True)
class FoundCalls:
    """What journals held when they were read."""

    completions: dict[str, Completion]  # by digest
    models: set[str]  # names of the models asked
    paid: dict[str, dict[str, Completion]]  # by what they were asked for, then by digest
    num_bytes: int = 0


def read_calls(paths: Sequence[Path]) -> FoundCalls:
    """The finished calls of journals; where one is in several, the last counts.

    Raises:
        UserError: a line that is no recorded call, or not what was written.
    """
    found = FoundCalls({}, set(), {})
    for path in paths:
        wait_for_writes(path)
        content = path.read_bytes()
        found.num_bytes += len(content)
        for number, line in enumerate(whole_lines(content, str(path)), start=1):
            _take_line(found, line, f"{path}: line {number}")
    return found


def calls_of(lines: Iterable[bytes]) -> FoundCalls:
    """The finished calls of lines that were taken from journals."""
    found = FoundCalls({}, set(), {})
    for number, line in enumerate(lines, start=1):
        _take_line(found, line, f"recorded calls: line {number}")
    return found


def _take_line(found: FoundCalls, line: bytes, where: str) -> None:
    try:
        record: dict[str, Any] = read_line(line, where)
        completion = Completion(**{name: record[name] for name in _FIELDS if name in _ALWAYS or name in record})
        found.completions[record["call"]] = completion
        found.models.add(record["asked_model"])
        if "asked_for" in record:
            found.paid.setdefault(record["asked_for"], {})[record["call"]] = completion
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{where} is not a recorded call; delete it to go on without it") from None
