"""A memory bank for agents that we do not run: each proposes and reads in a process of its own, one file holds it all.

The file is a JSON-lines log: what it is of, who joined, every decision with its step, every pull, every revocation.
It is the bank, too: whoever opens it makes the same bank from it, and before each act reads what others have added,
under a lock beside it. Nothing that an agent says of itself can be checked, so entries are of unknown origin and never
trusted; the sources that it names, and the entries that it has read, are what a revocation reaches it by.
"""

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from lts_jax import prompts
from lts_jax.actions import ADMIT, DELETE, UPDATE
from lts_jax.admission.policy import Admission, AdmissionPolicy, AdmissionRequest
from lts_jax.errors import UserError, show
from lts_jax.llm.chat import Ask
from lts_jax.memory.encoders import Encoder
from lts_jax.memory.guards import GuardSettings
from lts_jax.memory.key_schema import admissible_key, shown_key
from lts_jax.memory.reading import EntryView, NearestKeys, ReadingSettings, TeamReader
from lts_jax.memory.trust import label
from lts_jax.plain import to_plain
from lts_jax.records import Coordinates, Origin, Step
from lts_jax.redact import environment_secrets, redact_text
from lts_jax.rollouts.served_log import LOG_VERSION, ServedLog

_ASK_SECONDS = 0.005  # between two looks at the lock
_NAMED = ("web", "file", "tool", "mcp", "unknown")  # kinds that an agent may say of a source


@dataclass(frozen=True, slots=True)
class ServedSettings:
    """What a served bank is of and how it is read. All of it but `revoked` of the guards stands in the log's head."""

    question: str = ""
    """That the agents work on, which rules and controllers look at; may be empty."""
    max_agents: int = 64
    """Names that may join."""
    max_output_characters: int = 100_000
    """Of a proposed output; a longer one is refused."""
    reading: ReadingSettings = field(default_factory=ReadingSettings)
    guards: GuardSettings = field(default_factory=lambda: GuardSettings(quote_keys="always"))

    def __post_init__(self) -> None:
        for name in ("max_agents", "max_output_characters"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}: expected at least 1, got {getattr(self, name)}")


class Refused(ValueError):
    """What an agent asked for cannot be done; one line for it."""


class ServedBank:
    """One agent's side of a served bank. `join` makes it ready."""

    def __init__(
        self,
        path: Path | str,
        settings: ServedSettings,
        policy: AdmissionPolicy,
        ask: Ask,
        *,
        agent: str = "",
        encoder: Encoder | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is read or written yet.

        Args:
            path: of the log.
            settings: of the bank.
            policy: decides on each proposal.
            ask: a model, for policies that ask one.
            agent: name under which this side joins, the same one again after a restart; a new one if empty.
            encoder: for listings that must be short; without one the newest keys are listed.
            now: seconds since 1970.
        """
        self._path, self._settings, self._policy, self._ask = Path(path), settings, policy, ask
        self._agent, self._encoder, self._now = agent, encoder, now
        self._log = ServedLog(self._path)
        self._secrets = environment_secrets(os.environ) if settings.guards.redact else ()
        self._identity = object()
        self._readers: list[TeamReader] = []
        self.team = -1

    @property
    def agent(self) -> str:
        """Name under which this side has joined."""
        return self._log.agents[self.team]

    async def join(self) -> None:
        """Begin the log or hold to it, and take a place in it.

        Raises:
            UserError: the log is of another question, policy or guards, or none at all; or it is full.
        """
        guards = replace(self._settings.guards, revoked=())
        head = {"question": self._settings.question, "policy": self._policy.name, "guards": to_plain(guards)}
        async with self._turn():
            log = self._log
            if not log.head:
                log.append({"event": "begun", "version": LOG_VERSION, "at": self._now(), **head})
            differs = next((name for name in head if log.head[name] != head[name]), None)
            if differs is not None:
                raise UserError(
                    f"{self._path}: was begun with another {differs} ({show(log.head[differs])}); take another file"
                )
            name = self._agent or f"agent-{len(log.agents)}"
            if name not in log.agents:
                if len(log.agents) >= self._settings.max_agents:
                    raise UserError(f"{self._path}: expected at most {self._settings.max_agents} agents; it is full")
                joined = {"event": "joined", "team": len(log.agents), "agent": name}
                log.append({**joined, "seconds": self._seconds()})
            self.team = log.agents.index(name)
            for origin in self._settings.guards.revoked:
                if origin not in log.bank.revoked:
                    log.append({"event": "revoked", "origin": origin, "by": name, "seconds": self._seconds()})
        nearest = None if self._encoder is None else NearestKeys(self._log.bank.keys, self._encoder)
        view = EntryView(
            window=self._policy.listing_window,
            quoted=guards.quotes_keys(live=True),
            clean_values=guards.clean_values,
        )
        question, reading = self._settings.question, self._settings.reading
        self._readers = [TeamReader(self.team, self._log.bank, question, reading, nearest=nearest, view=view)]

    async def list_keys(self, about: str = "") -> list[tuple[int, str]]:
        """(entry, key) of what this agent may read: all, or the nearest to `about`."""
        async with self._turn():
            return self._readers[0].keys(about or self._settings.question)

    async def read(self, key: str) -> str:
        """A value, fenced as data. `key` is an entry's number, or its key as it was listed; the pull is logged.

        Raises:
            Refused: no such entry, or none that this agent may read.
        """
        async with self._turn():
            log, entry = self._log, self._entry_of(key)
            step = log.num_steps(self.team)
            num_pulls = len(log.bank.pulls)
            given = None if entry is None else self._readers[0].pull(entry, step, self._seconds())
            if given is None:
                raise Refused(f"no entry that you may read is {show(key)}; list_keys says which there are")
            for pull in log.bank.pulls[num_pulls:]:
                event = {"event": "pulled", "team": self.team, "agent": self.agent, "entry": pull.entry}
                log.note({**event, "writer": pull.writer, "step": pull.step, "seconds": pull.seconds})
        return prompts.value_message(*given).content

    async def propose(self, summary: str, output: str, sources: Sequence[str] = ()) -> int:
        """Offer a finding; the number of the entry that it became, or -1 where it was not admitted.

        Args:
            summary: one line, the key; mended where it breaks the schema of keys.
            output: the value.
            sources: where it is from, as web:URL, file:NAME, tool:NAME or a bare address.

        Raises:
            Refused: nothing is said, too much, or sources of no kind that there is.
        """
        if not summary.strip() or not output.strip():
            raise Refused("expected a summary in one line, and an output")
        if len(output) > self._settings.max_output_characters:
            raise Refused(f"expected an output of at most {self._settings.max_output_characters:,} characters")
        named = [_label(source) for source in sources[:100]]
        summary, output = (_clean(redact_text(text, self._secrets)) for text in (summary, output))
        key = admissible_key(summary, self._settings.guards)
        if not key:
            raise Refused("the summary breaks the schema of keys: expected one plain sentence")
        async with self._turn():
            bank, seconds, number = self._log.bank, self._seconds(), self._log.num_steps(self.team)
            num_keys, num_edits, ended = len(bank), len(bank.edits), bank.ended
        step = Step(self.team, number, self.agent, "", "", output, key, seconds, seconds)
        place = Coordinates(0, 0, self._path.stem, 0)
        request = AdmissionRequest(
            self._settings.question, bank.keys[:num_keys], step, place, seconds, (), self._identity, ended
        )
        admission = await self._policy.decide(request, self._ask)
        async with self._turn():  # others may have written meanwhile: the decision is of what it has seen
            said = {
                "event": "decided", "team": self.team, "agent": self.agent, "step": self._log.num_steps(self.team),
                "summary": key, "output": output, "seen": named, "action": admission.action,
                "log_prob": admission.log_prob, "admit_probability": admission.admit_probability,
                "target": admission.target, "num_keys": num_keys, "num_edits": num_edits,
                "policy": self._policy.name, "seconds": self._seconds(), "done": self._can(admission),
            }  # fmt: skip
            self._log.append(said)
            return self._log.decisions[-1].entry

    def _can(self, admission: Admission) -> bool:
        """Whether what was decided can still be done: an entry may have ended meanwhile."""
        bank = self._log.bank
        if admission.action in (UPDATE, DELETE):
            return 0 <= admission.target < len(bank) and not bank.is_hidden(admission.target)
        return admission.action == ADMIT

    def _entry_of(self, key: str) -> int | None:
        text = key.strip()
        number = text.strip("[]")
        if number.isdecimal() and len(number) < 10:
            return int(number)
        quoted = self._settings.guards.quotes_keys(live=True)
        readable = self._log.bank.list_entries(self.team, include_own=self._settings.reading.include_own)
        found = (one.entry for one in readable if text in (one.key, shown_key(one, quoted=quoted)))
        return next(found, None)

    def _seconds(self) -> float:
        """On the log's clock, never before what it tells already."""
        return max(self._log.seconds, self._now() - float(self._log.head["at"]))

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """The only one at the log; what others have added is taken first."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            while not _is_locked(lock):
                await asyncio.sleep(_ASK_SECONDS)
            self._log.read()
            yield
        finally:
            os.close(lock)


def _label(source: str) -> str:
    """A source as an origin's label. Raises Refused."""
    text = _clean(" ".join(source.split()))[:500]
    kind, colon, rest = text.partition(":")
    if "://" in text and kind not in _NAMED:
        return label(Origin.WEB, text)
    if not text or (colon and (kind not in _NAMED or not rest)):
        raise Refused(f"sources: expected web:URL, file:NAME, tool:NAME, mcp:NAME or a URL, got {show(source)}")
    return text if colon else label(Origin.UNKNOWN, text)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _clean(text: str) -> str:
    return text.encode(errors="replace").decode()
