"""The press: turns facts into pages with the mess of real ones.

Every page follows one grammar. Line 1 is the title; line 2 is `<url> | updated YYYY-MM-DD | page i of n`; then,
after a blank line: prose paragraphs, `Field: value` lines, tables (`| a | b |`, header row first), a footnote starting
with `*`, `See also: title <url>` lines and a `Next page: <url>` line. Current pages were updated in 2025; outdated
duplicates carry an earlier year, another value and another address.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import exp
from random import Random

from lts_jax.tasks.almanac.clutter import clutter_fields, clutter_sentences
from lts_jax.tasks.almanac.names import slug
from lts_jax.tasks.almanac.records import Page

STALE_FRACTION = 0.35  # of the pages that can contradict, so many have an outdated duplicate
REFUSE_FRACTION = 0.08
LOUD_FRACTION = {"current": 0.15, "stale": 0.6}  # of the pages that shout their subject, and so rank high
REFUSALS = (
    "403 Forbidden\nYou do not have permission to open this page.",
    "Please complete the captcha to continue. Are you a robot?",
    "Timeout: the page did not load within 30 seconds.",
)
_MAX_CHARACTERS = 15_000
_GUIDES = ("cityguide", "daytrips", "whatwhere", "oldpages")


@dataclass(frozen=True, slots=True)
class Body:
    """What a page states: sentences, fields, one table (header first) and its footnote."""

    prose: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Sheet:
    """One page before it is written."""

    title: str
    url: str
    updated: str
    body: Body = Body()
    see_also: Sequence[tuple[str, str]] = ()
    part: int = 1
    num_parts: int = 1
    next_url: str = ""
    refusal: str = ""
    loud: float = 0.0  # how likely it shouts its subject


@dataclass(slots=True)
class Press:
    """Writes the pages of one world. What a page looks like depends on the seed and its address alone."""

    seed: int
    pages: dict[str, Page] = field(default_factory=dict)
    stale_urls: dict[str, str] = field(default_factory=dict)
    mirror_urls: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    sentences: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.sentences = clutter_sentences(Random(f"almanac/{self.seed}/clutter"))

    def publish(
        self,
        title: str,
        url: str,
        body: Body,
        *,
        stale: Body | None = None,
        see_also: Sequence[tuple[str, str]] = (),
    ) -> str:
        """Publish one page and return its address; sometimes with an outdated duplicate, a refusal and a mirror."""
        rng = Random(f"almanac/{self.seed}/{url}")
        updated = f"2025-{rng.randrange(1, 12):02d}-{rng.randrange(1, 29):02d}"
        refusal = rng.choice(REFUSALS) if rng.random() < REFUSE_FRACTION else ""
        sheet = _Sheet(title, url, updated, body, see_also)
        self._add(rng, replace(sheet, refusal=refusal, loud=LOUD_FRACTION["current"]))
        if refusal:
            mirror_url = f"https://mirror{rng.randrange(1, 5)}.example/{slug(title)}"
            self._add(rng, replace(sheet, url=mirror_url))
            self.mirror_urls[url] = mirror_url
        if stale is not None and rng.random() < STALE_FRACTION:
            stale_url = f"https://{rng.choice(_GUIDES)}.example/{slug(title)}"
            self._add(rng, _Sheet(title, stale_url, _stale_date(rng), stale, loud=LOUD_FRACTION["stale"]))
            self.stale_urls[stale_url] = url
        return url

    def publish_listing(
        self,
        title: str,
        url: str,
        table: Sequence[tuple[str, ...]],
        *,
        num_parts: int = 1,
        note: str = "",
        stale_table: Sequence[tuple[str, ...]] | None = None,
    ) -> tuple[str, ...]:
        """Publish a table (header first) over `num_parts` linked pages; return their addresses in order."""
        rng = Random(f"almanac/{self.seed}/{url}")
        updated = f"2025-{rng.randrange(1, 12):02d}-{rng.randrange(1, 29):02d}"
        sheet = _Sheet(title, url, updated, Body(table=tuple(table), note=note), num_parts=num_parts)
        urls = self._add_parts(rng, sheet)
        if stale_table is not None and rng.random() < STALE_FRACTION:
            stale_url = f"https://{rng.choice(_GUIDES)}.example/{slug(title)}"
            body = Body(table=tuple(stale_table), note=note)
            stale_urls = self._add_parts(rng, replace(sheet, url=stale_url, updated=_stale_date(rng), body=body))
            self.stale_urls.update(zip(stale_urls, urls, strict=True))
        return urls

    def _add_parts(self, rng: Random, sheet: _Sheet) -> tuple[str, ...]:
        """The rows of the sheet's table on `num_parts` pages, each with the header."""
        (header, *rows), num_parts = sheet.body.table, sheet.num_parts
        urls = (sheet.url, *(f"{sheet.url}/page-{part}" for part in range(2, num_parts + 1)))
        bounds = [len(rows) * part // num_parts for part in range(num_parts + 1)]
        for part in range(num_parts):
            body = replace(sheet.body, table=(header, *rows[bounds[part] : bounds[part + 1]]))
            next_url = urls[part + 1] if part + 1 < num_parts else ""
            self._add(rng, replace(sheet, url=urls[part], body=body, part=part + 1, next_url=next_url))
        return urls

    def _add(self, rng: Random, sheet: _Sheet) -> None:
        place = f"page {sheet.part} of {sheet.num_parts}"
        lines = [sheet.title, f"<{sheet.url}> | updated {sheet.updated} | {place}", ""]
        if rng.random() < sheet.loud:
            lines += [f"Everything about {sheet.title}. Our guide to {sheet.title}.", ""]
        lines += _blocks(rng, self.sentences, sheet.body)
        lines += [f"See also: {other} <{address}>" for other, address in sheet.see_also]
        if sheet.next_url:
            lines.append(f"Next page: <{sheet.next_url}>")
        if sheet.url in self.pages:
            raise ValueError(f"two pages have the address {sheet.url}")
        self.pages[sheet.url] = Page(sheet.url, sheet.title, "\n".join(lines), sheet.updated, sheet.refusal)


def _stale_date(rng: Random) -> str:
    return f"{rng.randrange(2018, 2024)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}"


def _blocks(rng: Random, sentences: list[str], body: Body) -> list[str]:
    """Body and clutter as lines; the clutter is log-normal: median about 2,000 characters, cut at 14,000."""
    num_characters = min(_MAX_CHARACTERS - 1_000, 2_000 * exp(0.65 * rng.gauss(0.0, 1.0)))
    chosen = rng.choices(sentences, k=max(3, int(num_characters / 112)))
    for fact in body.prose:
        chosen.insert(rng.randrange(1, len(chosen)), fact)
    paragraphs = _paragraphs(rng, chosen)
    middle: list[str] = []
    if body.fields:
        fields = list(body.fields) + clutter_fields(rng, rng.randrange(1, 5))
        rng.shuffle(fields)
        middle += [f"{name}: {value}" for name, value in fields] + [""]
    if body.table:
        middle += ["| " + " | ".join(row) + " |" for row in body.table]
        middle += [f"* {body.note}", ""] if body.note else [""]
    cut = rng.randrange(1, len(paragraphs) + 1)
    before = [line for paragraph in paragraphs[:cut] for line in (paragraph, "")]
    after = [line for paragraph in paragraphs[cut:] for line in (paragraph, "")]
    return before + middle + after


def _paragraphs(rng: Random, sentences: list[str]) -> list[str]:
    paragraphs = []
    start = 0
    while start < len(sentences):
        stop = start + rng.randrange(2, 6)
        paragraphs.append(" ".join(sentences[start:stop]))
        start = stop
    return paragraphs
