"""Calls of a model kept on disk and given again by content: a cache for paid endpoints, and replay without a model.

A folder holds one JSON-lines journal, `calls.jsonl`, with a line for every finished call. A call is found by what was
asked: messages, seed, JSON mode, model name and request options (temperature, limits, endpoint). A reply is given only
after its line is durable, so whatever was acted upon is found again after a kill. Failures are not kept: a restart
tries them again. `calls.lock` keeps other processes from writing there; reading needs no lock.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from lts_jax.errors import UserError
from lts_jax.llm.call_digest import call_digest
from lts_jax.llm.chat import ChatModel, Completion, ModelFailure
from lts_jax.llm.journal import Journal, open_journal, wait_for_writes
from lts_jax.llm.well_formed import replace_surrogates
from lts_jax.records import Message
from lts_jax.redact import environment_secrets, redact_text
from lts_jax.storage import read_line, whole_lines

__all__ = ["JOURNAL", "RecordingModel", "ReplayModel", "call_digest", "opening"]

JOURNAL = "calls.jsonl"
_FIELDS = tuple(item.name for item in fields(Completion))
_SELDOM = ("thought", "is_cut")  # written where there is one
_ALWAYS = tuple(name for name in _FIELDS if name not in _SELDOM)


class RecordingModel:
    """ChatModel that asks another one and appends each finished call to the journal. One writing process a folder."""

    def __init__(self, inner: ChatModel, folder: Path | str, *, options: str = "") -> None:
        """No line is written before the first call is finished.

        `options` says what else decides the inner model's replies, e.g. `OpenAIChatModel.options`; without credentials,
        as it is written to the journal.
        """
        self._inner = inner
        self.options = options
        self.journal = Path(folder) / JOURNAL
        self._open: Journal | None = None
        self._secrets: tuple[tuple[str, str], ...] = ()

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

    def open(self) -> Journal:
        """The journal, locked for this process from now on.

        Raises:
            UserError: another process records in this folder.
        """
        if self._open is None:
            self._open = open_journal(self.journal)
            self._secrets = environment_secrets(os.environ)
        return self._open


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
    ) -> None:
        """Read the journal; a torn last line is left out.

        `name` is the recorded model's; by default the fallback's, or else the only one in the journal. `options` are
        those that the calls were recorded with; a call with others is another call.

        Raises:
            UserError: a journal that cannot be read, no way to know the model's name, or a fallback that records in
                this folder with other options.
        """
        self._path = Path(folder) / JOURNAL
        self._found = _read_journal(self._path)
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
            self._recording = RecordingModel(fallback, folder, options=options)
        self._is_alone = False  # whether no other process can have written since the journal was read

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
        if self._path.exists() and self._path.stat().st_size != self._found.num_bytes:
            self._found = _read_journal(self._path)


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


@dataclass(frozen=True, slots=True)
class _Found:
    """What a journal held when it was read."""

    completions: dict[str, Completion]  # by digest
    models: set[str]  # names of the models asked
    paid: dict[str, dict[str, Completion]]  # by what they were asked for, then by digest
    num_bytes: int = 0


def _read_journal(path: Path) -> _Found:
    wait_for_writes(path)
    if not path.exists():
        return _Found({}, set(), {})
    content = path.read_bytes()
    found = _Found({}, set(), {}, len(content))
    for number, line in enumerate(whole_lines(content, str(path)), start=1):
        try:
            record: dict[str, Any] = read_line(line, f"line {number}")
            completion = Completion(**{name: record[name] for name in _FIELDS if name in _ALWAYS or name in record})
            found.completions[record["call"]] = completion
            found.models.add(record["asked_model"])
            if "asked_for" in record:
                found.paid.setdefault(record["asked_for"], {})[record["call"]] = completion
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path}: line {number} is not a recorded call; delete it to go on without it") from None
    return found
