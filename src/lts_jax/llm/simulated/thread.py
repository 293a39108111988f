"""What a team's thread says so far, and what its next move would be. Everything is read from the messages."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lts_jax.llm.simulated.chances import trait
from lts_jax.llm.simulated.findings import (
    Finding,
    Miss,
    Note,
    Search,
    asked_need,
    numbers_read,
    read_note,
    read_pulled,
    scan,
)
from lts_jax.llm.simulated.settings import SimulatedModelSettings
from lts_jax.llm.simulated.task_view import NO_TASK, TaskView, read_task_ledger
from lts_jax.llm.simulated.understanding import Need, join_items
from lts_jax.prompts import AGENTS, TOOL_USER
from lts_jax.records import Message

CURRENT_YEAR = "2025"  # the model's idea of what is up to date
_MAX_SEARCHES = 3
_READ = 1 << 20  # searches of a long page that has given its value: more than any need has texts to look for
_PULLED = re.compile(r"^(?=Shared memory entry \d+ )", re.MULTILINE)
_PRINTED = re.compile(r"^-?\d+(?:\.\d+)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Action:
    """A tool call: "search" a query, "visit" an address, "find" a text on one, "open" a file."""

    kind: str
    target: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """The best value for a need so far. `complete` is false while parts of a listing are missing."""

    value: str
    updated: str
    complete: bool
    url: str
    missing_part: int
    pulled: bool


class Survey:
    """A thread read from the first message to the last."""

    __slots__ = (
        "_actions",
        "_held",
        "_known",
        "_marks",
        "_messages",
        "_settings",
        "_view",
        "absent",
        "agent",
        "asked",
        "asked_numbers",
        "coded",
        "computed",
        "fetched",
        "findings",
        "fruitless",
        "last_new",
        "need",
        "num_pulled",
        "num_steps",
        "searches",
        "stalled",
        "titles",
        "unread",
        "visits",
    )

    def __init__(self, messages: Sequence[Message], settings: SimulatedModelSettings) -> None:
        self._settings = settings
        self._view = NO_TASK
        self._held: dict[Need, Held | None] = {}
        self._known: list[Need] | None = None
        self._actions: dict[Need, Action | None] = {}
        self._marks: dict[tuple[str, ...], bool] = {}
        self._messages: list[Message] = []
        self.findings: dict[Need, list[tuple[Finding, bool]]] = {}  # with whether it was pulled from shared memory
        self.titles: dict[str, list[str]] = {}  # title -> addresses in order of appearance
        self.visits: dict[tuple[Need, str], int] = {}
        self.unread: dict[tuple[Need, str], int] = {}  # long pages: how often they were searched for the need
        self.searches: dict[Need, int] = {}
        self.fruitless: dict[Need, int] = {}
        self.absent: set[Need] = set()  # what a parallel team is said not to have found
        self.asked: dict[Need, int] = {}
        self.need: Need | None = None  # what the last instruction asks for
        self.agent = ""
        self.last_new = True  # whether the last reply brought something new
        self.num_steps = 0
        self.num_pulled = 0
        self.stalled = 0  # how many steps in a row brought nothing new
        self.asked_numbers: list[int] = []  # of memory entries that the program under way reads
        self.fetched: set[int] = set()  # of memory entries that programs have read
        self.coded = False
        self.computed = ""
        self.read_on(messages)

    def continues_into(self, messages: Sequence[Message], settings: SimulatedModelSettings) -> bool:
        """Whether what was read so far is how these messages begin."""
        read = self._messages
        return self._settings is settings and len(read) <= len(messages) and list(messages[: len(read)]) == read

    def read_on(self, messages: Sequence[Message]) -> None:
        """Read what follows on the messages read so far."""
        new = messages[len(self._messages) :]
        if new:
            self._actions.clear()
            for message in new:
                self._read(message)
            self._messages.extend(new)

    @property
    def view(self) -> TaskView:
        """The task ledger."""
        return self._view

    def _read(self, message: Message) -> None:
        name, content = message.name, message.content
        if name == "Orchestrator" or (not name and message.role == "assistant"):  # some clients name no assistants
            speaker = content.partition(": ")[0]
            if message.role == "assistant" and (speaker in AGENTS or speaker == TOOL_USER):
                self.agent, self.need = speaker, asked_need(content)
                if speaker != "ComputerTerminal":
                    self.asked_numbers = numbers_read(content)
                if self.need is not None:
                    self.asked[self.need] = self.asked.get(self.need, 0) + 1
            elif content.startswith("Task ledger."):
                self._view = read_task_ledger(content)
                self._marks.clear()
                self._known = None
                self._take(self._view.note, pulled=False)
        elif name == "SharedMemory":
            self.num_pulled += 1
            self._take_pulled(content)
        elif name == "Coder":
            self.coded |= not self.asked_numbers
            self._step_brought(True)
        elif name == "ComputerTerminal" and self.asked_numbers:
            self._read_values(content)
        elif name == "ComputerTerminal":
            printed = _PRINTED.findall(content)
            self.computed = printed[-1] if printed and "Traceback" not in content else ""
            self._step_brought(bool(self.computed))
        elif name == TOOL_USER:  # what the memory says is all there is: no report repeats it
            self._step_brought(self._take(scan(content), pulled=False))
        elif name in AGENTS:
            self._step_brought(self._take(read_note(content), pulled=False))

    def _read_values(self, printed: str) -> None:
        """Read what a program printed of the memory."""
        is_new = False
        for value in _PULLED.split(printed)[1:]:
            self.num_pulled += 1
            is_new |= self._take_pulled(value)
        self.fetched.update(self.asked_numbers)
        self.asked_numbers = []
        self._step_brought(is_new)

    def _take_pulled(self, content: str) -> bool:
        note = read_pulled(content)
        if note.absent is not None:
            self.absent.add(note.absent)
        return self._take(note, pulled=True)

    def _step_brought(self, is_new: bool) -> None:
        self.num_steps += 1
        self.last_new = is_new
        self.stalled = 0 if is_new else self.stalled + 1

    def _take(self, note: Note, *, pulled: bool) -> bool:
        """Take in a note; tell whether it brought a value or a fitting page that was not known."""
        is_new = False
        title_of = self._view.understanding.title
        for finding in note.findings:
            held = self.findings.setdefault(finding.need, [])
            self._held.pop(finding.need, None)
            self._known = None
            is_new |= all(finding.updated != other.updated or finding.part != other.part for other, _ in held)
            held.append((finding, pulled))
            if (finding.need, finding.url) in self.unread:
                self.unread[finding.need, finding.url] = _READ
            self._count_visit(finding.need, finding.url, title_of(finding.need))
        for search in note.searches:
            is_new |= self._take_search(search, pulled=pulled)
        if pulled:  # where others found nothing this team may still look, unless it trusts them: see `absent`
            return is_new
        for miss in note.misses:
            is_new |= self._take_miss(miss)
        if self.need is not None:
            for url in note.useless_urls:
                self._count_visit(self.need, url, "")
                self.fruitless[self.need] = self.fruitless.get(self.need, 0) + 1
        return is_new

    def _take_miss(self, miss: Miss) -> bool:
        need = miss.need or self.need
        if need is None:
            return False
        if miss.extent == "searched":
            self.unread[need, miss.url] = self.unread.get((need, miss.url), 0) + 1
        elif miss.extent == "viewport":
            self.unread.setdefault((need, miss.url), 0)
        self._count_visit(need, miss.url, "")
        self.fruitless[need] = self.fruitless.get(need, 0) + (miss.extent != "viewport")
        return miss.extent == "viewport"

    def _take_search(self, search: Search, *, pulled: bool) -> bool:
        need = search.need or self.need
        if need is None:
            return False
        wanted = self._view.understanding.title(need)
        is_new = False
        for title, url in search.pages:
            urls = self.titles.setdefault(title, [])
            if url not in urls:
                urls.append(url)
                is_new |= title == wanted
        is_fruitless = all(title != wanted for title, _ in search.pages)
        if not (is_fruitless and pulled):  # what another team searched for in vain uses up no search of this one
            self.searches[need] = self.searches.get(need, 0) + 1
            self.fruitless[need] = self.fruitless.get(need, 0) + is_fruitless
        return is_new

    def _count_visit(self, need: Need, url: str, title: str) -> None:
        self.visits[need, url] = self.visits.get((need, url), 0) + 1
        if title:
            urls = self.titles.setdefault(title, [])
            if url not in urls:
                urls.append(url)

    def is_marked(self, probability: float, *labels: str) -> bool:
        """Whether a lasting trait holds: one of this team, or one of the model that every team on the question has."""
        if probability <= 0.0:
            return False
        if labels not in self._marks:
            common = self._settings.common_mistakes
            is_common = common > 0.0 and trait(self._view.model, "common", *labels) < common
            self._marks[labels] = trait(self._view.model if is_common else self._view.team, *labels) < probability
        return self._marks[labels]

    def value_in_hand(self, need: Need) -> Held | None:
        """The value that the team goes by: the newest date, unless it trusts what it pulled; None if there is none."""
        if need not in self._held:
            known = self.findings.get(need)
            self._held[need] = self._settle(need, known) if known else None
        return self._held[need]

    def _settle(self, need: Need, known: list[tuple[Finding, bool]]) -> Held:
        trusting = self.is_marked(self._settings.trusts_pulled, "trust", str(need))
        if trusting and any(pulled for _, pulled in known):
            known = _trusted(known)
        updated = max(finding.updated for finding, _ in known)
        latest = [each for each in known if each[0].updated == updated]
        latest.sort(key=lambda each: each[1] != trusting)  # own first, or pulled first
        parts: dict[int, str] = {}
        for finding, _ in latest:
            parts.setdefault(finding.part, finding.value)
        first, pulled = latest[0]
        num_parts = first.num_parts if self._view.understanding.reading(need).gathered else 1
        missing = next((part for part in range(1, num_parts + 1) if part not in parts), 0)
        values = [parts[part] for part in sorted(parts) if parts[part] != "none"]
        value = join_items(values) if num_parts > 1 else first.value
        return Held(value, updated, not missing, first.url, missing, pulled)

    def needs(self) -> list[Need]:
        """All needs known so far, in the order of the team's plan; later ones in an order of the team's own."""
        if self._known is not None:
            return self._known
        view = self._view
        needs = list(view.understanding.needs)
        source = view.understanding.source
        held = self.value_in_hand(source) if source is not None else None
        if held is not None and held.complete:
            needs += view.understanding.expand(held.value)
        if len(needs) > 1:
            needs.sort(key=lambda need: (need != source, view.order.get(need, 99), trait(view.team, need.subject)))
        self._known = needs
        return needs

    def official_first(self, need: Need) -> bool:
        """Whether the team tries a subject's own site before guides and copies."""
        return not self.is_marked(self._settings.ignores_dates, "rank", need.subject)

    def pages(self, need: Need) -> list[str]:
        """Addresses of pages with the right title, in the order in which the team would try them."""
        urls = self.titles.get(self._view.understanding.title(need), [])
        if len(urls) > 1 and self.official_first(need):
            return sorted(urls, key=lambda url: ("://www." not in url, "/page-" in url))
        return urls

    def next_action(self, need: Need) -> Action | None:
        """What a flawless worker would do next for a need; None if it is found, given up or out of reach."""
        if need not in self._actions:
            self._actions[need] = self._choose_action(need)
        return self._actions[need]

    def _choose_action(self, need: Need) -> Action | None:
        held = self.value_in_hand(need)
        if self._view.understanding.reading(need).in_file is not None:
            out_of_reach = held is not None or self.fruitless.get(need, 0) >= _MAX_SEARCHES
            return None if out_of_reach else Action("open", need.subject)
        settled = held is not None and (
            not held.updated or held.updated >= CURRENT_YEAR or self._settles_for(held, need)
        )
        if held is not None and settled and (held.complete or self._leaves_parts(need)):
            return None
        fruitless = self.fruitless.get(need, 0)
        if held is None and self._drops(need, fruitless):
            return None
        texts = self._view.understanding.reading(need).look_for
        for (other, url), num_searched in self.unread.items():
            if other == need and num_searched < len(texts):
                return Action("find", url, texts[num_searched])
        if held is not None and settled:
            return _next_part(held)
        fresh = [url for url in self.pages(need) if (need, url) not in self.visits]
        if fresh:
            return Action("visit", fresh[0])
        if held is not None and self.searches.get(need, 0):
            return None if held.complete else _next_part(held)
        if self.searches.get(need, 0) < _MAX_SEARCHES:
            return Action("search", self.query(need))
        again = [url for url in self.pages(need) if self.visits.get((need, url), 0) < 2]
        return Action("visit", again[0]) if again else None

    def query(self, need: Need) -> str:
        """What to type into a search: the title, later with other words."""
        title = self._view.understanding.title(need)
        return (title, f"{title} {need.attribute}", f"{title} {title}")[min(2, self.searches.get(need, 0))]

    def _settles_for(self, held: Held, need: Need) -> bool:
        if held.pulled:
            return self.is_marked(self._settings.trusts_pulled, "trust", str(need))
        return self.is_marked(self._settings.follows_stale_page, "stale", need.subject)

    def _drops(self, need: Need, fruitless: int) -> bool:
        if need in self.absent and self.is_marked(self._settings.trusts_pulled, "absent", str(need)):
            return True
        return fruitless > 1 and self.is_marked(self._settings.gives_up, "give up", str(need), str(fruitless))

    def _leaves_parts(self, need: Need) -> bool:
        return self.is_marked(self._settings.gives_up, "parts", need.subject)


def _trusted(known: list[tuple[Finding, bool]]) -> list[tuple[Finding, bool]]:
    """What was pulled, and the team's own parts of the same listing that no pulled part covers."""
    believed = [each for each in known if each[1]]
    updated = max(finding.updated for finding, _ in believed)
    covered = {finding.part for finding, _ in believed if finding.updated == updated}
    own = [each for each in known if not each[1]]
    return believed + [each for each in own if each[0].updated == updated and each[0].part not in covered]


def _next_part(held: Held) -> Action:
    first = held.url.partition("/page-")[0]
    return Action("visit", first if held.missing_part == 1 else f"{first}/page-{held.missing_part}")


_surveys: dict[str, Survey] = {}  # by task ledger: a thread only grows, so the next call reads on from here
_MAX_SURVEYS = 1024


def survey_of(messages: Sequence[Message], settings: SimulatedModelSettings) -> Survey:
    """Read a thread, going on from where an earlier call on the same thread stopped.

    What is kept is a cache: a survey depends on the messages and settings alone. It is taken out while it is in use.
    """
    thread = messages[1:] if messages and messages[0].role == "system" else messages
    name = thread[0].content if thread else ""
    survey = _surveys.pop(name, None)
    if survey is not None and survey.continues_into(thread, settings):
        survey.read_on(thread)
    else:
        survey = Survey(thread, settings)
    while len(_surveys) >= _MAX_SURVEYS:
        _surveys.pop(next(iter(_surveys)), None)
    _surveys[name] = survey
    return survey
