"""Calls of a model kept on disk and given again by content: a cache for paid endpoints, and replay without a model.

A folder holds one JSON-lines journal, `calls.jsonl`, with a line for every finished call. A call is found by what was
asked: messages, seed, JSON mode, model name and request options (temperature, limits, endpoint). Failures are not kept,
so a restart tries them again.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from lts_jax.errors import UserError
from lts_jax.llm.chat import ChatModel, Completion, ModelFailure
from lts_jax.llm.well_formed import well_formed
from lts_jax.records import Message
from lts_jax.redact import environment_secrets, redacted
from lts_jax.storage import append_json_line, write_bytes

JOURNAL = "calls.jsonl"


class RecordingModel:
    """ChatModel that asks another one and appends each finished call to the journal. One writer a folder."""

    def __init__(self, inner: ChatModel, folder: Path | str, *, options: str = "") -> None:
        """Nothing is written before the first call is finished.

        `options` says what else decides the inner model's replies, e.g. `OpenAIChatModel.options`; without credentials,
        as it is written to the journal.
        """
        self._inner = inner
        self.options = options
        self.journal = Path(folder) / JOURNAL
        self._is_whole = False  # whether the journal is known to end with a whole line

    @property
    def name(self) -> str:
        """Name of the inner model."""
        return self._inner.name

    async def complete(self, messages: Sequence[Message], *, seed: int, json_reply: bool = False) -> Completion:
        """Ask the inner model and record the call. Secrets are cut out, lone surrogates in the reply become U+FFFD.

        Raises:
            ModelFailure: the inner model's, which is not recorded.
        """
        completion = await self._inner.complete(messages, seed=seed, json_reply=json_reply)
        reply = redacted(well_formed(completion.reply), environment_secrets(os.environ))
        completion = replace(completion, reply=reply)
        if not self._is_whole:
            _cut_torn_line(self.journal)
            self._is_whole = True
        line = {
            "call": call_digest(messages, seed, json_reply, self.name, self.options),
            "asked_model": self.name,
            "options": self.options,
            "opening": redacted(opening(messages), environment_secrets(os.environ)),
            "seed": seed,
        }
        append_json_line(self.journal, line | asdict(completion))
        return completion


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
        self._journal = Path(folder) / JOURNAL
        self._completions, names = _read_journal(self._journal)
        if name is None and fallback is None and len(names) != 1:
            found = f"calls of {len(names)} models: say which" if names else "no recorded calls"
            raise UserError(f"{self._journal}: {found}")
        self._name = name or (fallback.name if fallback else names.pop())
        self._options = options
        self._fallback = fallback
        if isinstance(fallback, RecordingModel) and fallback.journal == self._journal:
            if fallback.options != options:
                raise UserError(
                    f"options: expected those of the recording fallback, {fallback.options!r}, got {options!r}"
                )
        elif fallback is not None:
            self._fallback = RecordingModel(fallback, folder, options=options)

    @property
    def name(self) -> str:
        """Name of the recorded model."""
        return self._name

    async def complete(self, messages: Sequence[Message], *, seed: int, json_reply: bool = False) -> Completion:
        """The recorded completion of this very call, with the tokens, attempts and seconds it took then.

        Raises:
            ModelFailure: the call is not recorded and there is no fallback, or the fallback failed.
        """
        digest = call_digest(messages, seed, json_reply, self._name, self._options)
        if digest not in self._completions:
            if self._fallback is None:
                under = f" and options {self._options}" if self._options else ""
                raise ModelFailure(f"not recorded in {self._journal}: {opening(messages)!r} with seed {seed}{under}")
            self._completions[digest] = await self._fallback.complete(messages, seed=seed, json_reply=json_reply)
        return self._completions[digest]


def call_digest(messages: Sequence[Message], seed: int, json_reply: bool, model: str, options: str = "") -> str:
    """Content hash of a call: BLAKE2b (128 bits, hexadecimal) of canonical JSON of all that the reply depends on."""
    asked = [[message.role, message.name, message.content] for message in messages]
    content = [model, seed, json_reply, asked, *([options] if options else [])]
    return blake2b(json.dumps(content, separators=(",", ":")).encode(), digest_size=16).hexdigest()


def opening(messages: Sequence[Message]) -> str:
    """First line of the request, which says what is asked; at most 80 characters."""
    lines = messages[-1].content.split("\n", 1) if messages else [""]
    return well_formed(lines[0][:80])


def _read_journal(path: Path) -> tuple[dict[str, Completion], set[str]]:
    """Completions by digest, and the names of the models asked."""
    if not path.exists():
        return {}, set()
    completions = {}
    names = set()
    *lines, _torn = path.read_bytes().split(b"\n")  # only a newline byte ends a line; text may hold other line ends
    for number, line in enumerate(lines, start=1):
        try:
            record: dict[str, Any] = json.loads(line)
            completions[record["call"]] = Completion(**{item.name: record[item.name] for item in fields(Completion)})
            names.add(record["asked_model"])
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path}: line {number} is not a recorded call; delete it to go on without it") from None
    return completions, names


def _cut_torn_line(path: Path) -> None:
    """Drop what a kill left of a line, so that the next line starts on its own."""
    if not path.exists():
        return
    content = path.read_bytes()
    if not content.endswith(b"\n"):
        write_bytes(path, content[: content.rfind(b"\n") + 1])
