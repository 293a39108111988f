"""What a team is shown of the memory, what it asks for, and what enters its context.

Orchestrators see keys only. All keys that a team may read are listed up to a limit, beyond it the nearest to its
current instruction; the orchestrator names the keys it wants in one extra model call; the values enter its thread.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from lts_jax import prompts
from lts_jax.llm.chat import Ask
from lts_jax.llm.packing import estimated_tokens, in_order
from lts_jax.memory.code_reading import numbers_read
from lts_jax.memory.encoders import Encoder
from lts_jax.memory.index import MAX_GPU_NEIGHBORS, KeyIndex
from lts_jax.memory.key_schema import folded_text, shown_key, visible
from lts_jax.memory.reading_policy import ReadableEntry, ReadingPolicy, ReadingRequest, entries_of
from lts_jax.memory.remote_bank import Bank, on_bank
from lts_jax.memory.selection import parse_selection
from lts_jax.memory.text import cut
from lts_jax.records import EARLIER, Choice, Coordinates, MemoryEntry, Message


@dataclass(frozen=True, slots=True)
class ReadingSettings:
    """What a team is shown and may take. The paper leaves all of these open; the defaults are ours.

    `max_listed`: keys in one listing, beyond which only the nearest to the instruction are shown. `include_own`: list
    the keys that the team wrote itself. `list_pulled_again`: list keys whose value is already in the team's context.
    `max_pulled_per_step`: values taken before one step. `max_value_characters`: a longer value is cut in the middle.
    `ask_only_when_new`: skip the selection call when every key in the listing was offered to this team before. That
    saves a call on most steps, at the price that a key once passed over is offered again only together with a new one.
    `by`: "selection" asks in a call of its own which values a team wants, and they enter its thread; "code" shows the
    keys in every ledger request, and values are read by programs (see `code_reading`). With `include_own` and
    `list_pulled_again` the latter is how the authors' early public code reads; ours allows no more than
    `max_pulled_per_step` values a program. `ask_only_when_new` has no meaning there, rates of pulls per listed key are
    not counted, and teams of another engine than ours are shown no keys.
    `count_teams`: tell of each key how many teams have stored one of the same words, the reader among them.
    `budget_tokens`: values taken before one step have at most so many tokens together, estimated by their length; a
    value that does not fit is left out and a later one may still fit. None: no such limit.
    """

    max_listed: int = 60
    include_own: bool = False
    list_pulled_again: bool = False
    max_pulled_per_step: int = 3
    max_value_characters: int = 2500
    ask_only_when_new: bool = True
    count_teams: bool = False
    by: Literal["selection", "code"] = "selection"
    budget_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.by not in ("selection", "code"):
            raise ValueError(f"ReadingSettings.by: expected selection or code, got {self.by!r}")
        for name in ("max_listed", "max_pulled_per_step", "max_value_characters"):
            if getattr(self, name) < 1:
                raise ValueError(f"ReadingSettings.{name}: expected at least 1, got {getattr(self, name)}")
        if self.budget_tokens is not None and self.budget_tokens < 1:
            raise ValueError(f"ReadingSettings.budget_tokens: expected at least 1 or none, got {self.budget_tokens}")


class NearestKeys:
    """The keys of one bank as vectors, for listings that must be short. Shared by all readers of the bank.

    The index is made on first use: most banks stay below the listing's limit.
    """

    __slots__ = ("_backend", "_encoder", "_index", "_keys")

    def __init__(self, keys: Sequence[str], encoder: Encoder, backend: str = "auto") -> None:
        self._keys = keys
        self._encoder = encoder
        self._backend = backend
        self._index: KeyIndex | None = None

    def nearest(self, text: str, entries: Sequence[MemoryEntry], num_neighbors: int) -> list[MemoryEntry]:
        """The `num_neighbors` of `entries` whose keys have the largest inner product with `text`.

        They come in order of admission, as every listing does. Encoding and searching block; both are short, except
        for encoders that call an endpoint.
        """
        if self._index is None:
            self._index = KeyIndex(self._encoder.dim, self._backend)
        if len(self._index) < len(self._keys):
            self._index.extend(self._encoder.encode(self._keys[len(self._index) :]))
        query = self._encoder.encode([text])[0]
        ids, _ = self._index.search(query, min(len(self._index), MAX_GPU_NEIGHBORS))
        allowed = {entry.entry: entry for entry in entries}
        kept = [entry for entry in ids.tolist() if entry in allowed][:num_neighbors]
        return [allowed[entry] for entry in sorted(kept)]


@dataclass(frozen=True, slots=True)
class EntryView:
    """Which entries a team can be shown, and in what form.

    `window`: see `Bank.list_entries`. `quoted` shows keys as quoted data with origin and trust. `clean_values`
    leaves invisible characters out of values.
    """

    window: int | None = None
    quoted: bool = False
    clean_values: bool = True


class TeamReader:
    """One team's side of the bank: which keys it has been offered, and which values stand in its context."""

    def __init__(
        self,
        team: int,
        bank: Bank,
        question: str,
        settings: ReadingSettings,
        *,
        nearest: NearestKeys | None = None,
        view: EntryView | None = None,
        policy: ReadingPolicy | None = None,
        coordinates: Coordinates | None = None,
    ) -> None:
        """Read `bank` as team `team`.

        `nearest` is used when more than `max_listed` keys could be listed; without it the newest are. `policy` chooses
        among them, at the rollout's `coordinates`; without one the team's model does, in a call of its own.
        """
        self._team = team
        self._bank = bank
        self._question = question
        self._settings = settings
        self._nearest = nearest
        self._view = view or EntryView()
        self._held: set[int] = set()  # entries whose value stands in the thread
        self._offered: set[int] = set()  # entries whose keys the team has been asked about
        self._policy = policy
        self._coordinates = coordinates or Coordinates(0, 0, "", 0)
        self._choices: list[Choice] = []

    @property
    def held(self) -> frozenset[int]:
        """Ids of the entries whose values are in the team's context."""
        return frozenset(self._held)

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What the policy chose so far, in order; empty without one."""
        return tuple(self._choices)

    def forget(self) -> None:
        """The team's thread was cleared: pulled values left its context, and every key may be offered again."""
        self._held.clear()
        self._offered.clear()

    def listing(self, instruction: str) -> list[MemoryEntry]:
        """The entries whose keys the team is shown now, in order of admission."""
        entries = self._bank.list_entries(
            self._team,
            window=self._view.window,
            include_own=self._settings.include_own,
            exclude=frozenset() if self._settings.list_pulled_again else self._held,
        )
        limit = self._settings.max_listed
        if len(entries) <= limit:
            return entries
        if self._nearest is None:
            return entries[-limit:]
        return self._nearest.nearest(instruction, entries, limit)

    async def read(
        self, step: int, instruction: str, thread: Sequence[Message], ask: Ask, now: Callable[[], float]
    ) -> list[tuple[int, str, str]]:
        """List, select and pull before step number `step`: the pulled (entry, key, value), values cut to size.

        `now` gives seconds on the rollout's clock; a pull is logged after the selection call has taken its time. Keys
        that other teams add during that call are left to the next step.
        """
        if self._settings.by == "code":
            return []
        entries = self.listing(instruction)
        offer = {entry.entry for entry in entries}
        if not offer or (self._settings.ask_only_when_new and offer <= self._offered):
            return []
        if self._policy is not None:
            chosen: list[int] | None = await self._choose(self._policy, entries, (step, instruction, thread), ask, now)
        else:
            chosen = await self._select(entries, thread, ask)
        if chosen is None:
            return []  # the same keys are offered again before the next step
        self._offered |= offer
        wanted = [entry for entry in chosen if not self._bank.is_hidden(entry)]
        return [await on_bank(self._bank, self._pull, entry, step, now()) for entry in wanted]

    async def _select(self, entries: Sequence[MemoryEntry], thread: Sequence[Message], ask: Ask) -> list[int] | None:
        """The entries that the team's model asks for, within the limits; None where the call failed."""
        call = await ask("select", [*thread, prompts.select_request(self._question, self._lines(entries))])
        if call.error or (call.is_cut and "]" not in call.reply):
            return None
        offer = {entry.entry for entry in entries}
        return self._within_limits([entry for entry in parse_selection(call.reply) if entry in offer])

    async def _choose(
        self,
        policy: ReadingPolicy,
        entries: Sequence[MemoryEntry],
        before: tuple[int, str, Sequence[Message]],
        ask: Ask,
        now: Callable[[], float],
    ) -> list[int]:
        """The entries that the policy chooses of those offered, still there, within the limits; noted down."""
        step, instruction, thread = before
        request = ReadingRequest(
            self._question, instruction, "orchestrator", "work", [self._readable(entry) for entry in entries],
            self._settings.budget_tokens, self._settings.max_pulled_per_step, self._coordinates, self._team, step,
            now(), thread,
        )  # fmt: skip
        reading = await policy.choose(request, ask)
        chosen, scores = entries_of(reading, {entry.entry for entry in entries})
        taken = self._within_limits([entry for entry in chosen if not self._bank.is_hidden(entry)])
        offered = tuple(entry.entry for entry in entries)
        self._choices.append(
            Choice(self._team, step, now(), offered, chosen, scores, tuple(taken), float(reading.log_prob), instruction)
        )
        return taken

    def _within_limits(self, chosen: Sequence[int]) -> list[int]:
        """The first of them, so many that their number and their tokens keep to the limits."""
        budget, most = self._settings.budget_tokens, self._settings.max_pulled_per_step
        if budget is None:
            return list(chosen[:most])
        tokens = [estimated_tokens(self._shown_value(self._bank.entry(entry).value)) for entry in chosen]
        return [chosen[place] for place in in_order(range(len(chosen)), tokens, budget, most)]

    def _readable(self, entry: MemoryEntry) -> ReadableEntry:
        value = self._shown_value(entry.value)
        uses = sum(pull.entry == entry.entry and pull.reader != entry.team for pull in self._bank.pulls)
        return ReadableEntry(
            entry.entry, shown_key(entry, quoted=self._view.quoted), value, estimated_tokens(value), entry.team,
            entry.step, entry.seconds, entry.origin, entry.trust, uses,
        )  # fmt: skip

    def lines_for_ledger(self) -> list[str]:
        """What stands before a ledger request: the listing, the newest last, where values are read by programs."""
        entries = self.listing(self._question) if self._settings.by == "code" else []
        return [*self._lines(entries), prompts.READ_BY_CODE] if entries else []

    def read_by_code(self, code: str, step: int, seconds: float) -> dict[int, str]:
        """Pull what a program asks for: entry -> its text as in a thread; at most `max_pulled_per_step`.

        Entries that the team may not be shown, and numbers of none, are left out.
        """
        if self._settings.by != "code":
            return {}
        shown = {entry.entry for entry in self.listing(self._question)}
        asked = [entry for entry in numbers_read(code) if entry in shown][: self._settings.max_pulled_per_step]
        return {entry: prompts.value_message(*self._pull(entry, step, seconds)).content for entry in asked}

    def keys(self, instruction: str) -> list[tuple[int, str]]:
        """(entry, key) of the listing, for a team that chooses by itself."""
        return [(one.entry, shown_key(one, quoted=self._view.quoted)) for one in self.listing(instruction)]

    def pull(self, entry: int, step: int, seconds: float) -> tuple[int, str, str] | None:
        """One entry that a team asks for by its number, with key and value; None where it may not be shown that one.

        What stands in the team's context already is given again, and logged once.
        """
        if entry in self._held and not self._bank.is_hidden(entry):
            found = self._bank.entry(entry)
            return entry, shown_key(found, quoted=self._view.quoted), self._shown_value(found.value)
        allowed = self._bank.list_entries(
            self._team, window=self._view.window, include_own=self._settings.include_own, exclude=self._held
        )
        return self._pull(entry, step, seconds) if entry in {one.entry for one in allowed} else None

    def _lines(self, entries: Sequence[MemoryEntry]) -> list[str]:
        teams: dict[str, set[int]] = {}
        if self._settings.count_teams:
            for entry in self._bank.list_entries(self._team, window=self._view.window, include_own=True):
                teams.setdefault(_words(entry.key), set()).update({entry.team} - {EARLIER})
        return [
            prompts.key_line(
                entry.entry, shown_key(entry, quoted=self._view.quoted), len(teams.get(_words(entry.key), ()))
            )
            for entry in entries
        ]

    def _pull(self, entry: int, step: int, seconds: float) -> tuple[int, str, str]:
        value = self._bank.pull(self._team, entry, step, seconds)
        self._held.add(entry)
        key = shown_key(self._bank.entry(entry), quoted=self._view.quoted)
        return entry, key, self._shown_value(value)

    def _shown_value(self, value: str) -> str:
        return cut(visible(value) if self._view.clean_values else value, self._settings.max_value_characters)


def _words(key: str) -> str:
    """What must be equal for two keys to say the same."""
    return " ".join(folded_text(key).casefold().split())
