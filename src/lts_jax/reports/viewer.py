"""The rollouts of a run, listed with filters, each of them opened as its timeline with whole texts on a click.

The page is one file: timelines and texts lie in it deflated, as many as `MOST_BYTES` holds, and are unpacked by the
browser when they are asked for. Behind a server (`lts view`) none lies in the page and each is fetched.
"""

import json
import math
import re
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median_low
from typing import Any

from lts_jax.records import Rollout
from lts_jax.reports.page import fold, scroll_box, section
from lts_jax.reports.palette import name_colors
from lts_jax.reports.rollout_details import Place, details
from lts_jax.reports.svg import quote, shorten
from lts_jax.reports.timeline import timeline

MOST_BYTES = 10_000_000
"""Of packed rollouts in a page, so that it stays below 15 MB and opens at once."""

Credits = Callable[[str, Rollout], Mapping[Place, float]]
"""What the decisions of a rollout of a line were paid in training; empty in an evaluation."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of the list."""

    line: str
    task: str
    question: str
    number: str  # iteration and number of the rollout
    score: float | None  # None where there is none
    seconds: float
    admitted: int
    pulled: int  # pulls by other teams than the writer
    tokens: int


def no_credit(line: str, rollout: Rollout) -> Mapping[Place, float]:
    """Of an evaluation."""
    return {}


def typical(rollouts: Sequence[Rollout]) -> Rollout | None:
    """The one of median runtime among those in which a team read what another wrote; of all, where none did."""
    reading = [one for one in rollouts if _num_pulls(one)] or list(rollouts)
    if not reading:
        return None
    middle = median_low([one.seconds for one in reading])
    return next(one for one in reading if one.seconds == middle)


def viewer_section(
    rollouts: Mapping[str, Sequence[Rollout]],
    first: Rollout | None,
    *,
    credits: Credits = no_credit,
    served: bool = False,
    most_bytes: int = MOST_BYTES,
) -> str:
    """List, timeline and panel as markup; nothing without a rollout.

    Args:
        rollouts: by line.
        first: the one that is open at the beginning.
        credits: of decisions in training.
        served: whether a server answers `rollout/N` with what `opened` gives; else they lie in the page.
        most_bytes: of those that lie in the page.
    """
    everything = [(line, one) for line, some in rollouts.items() for one in some]
    if not everything or first is None:
        return ""
    start = next(number for number, (_, one) in enumerate(everything) if one is first)
    line, _ = everything[start]
    of_task: dict[str, list[int]] = {first.task.task_id: []}
    for number, (_, one) in enumerate(everything):
        of_task.setdefault(one.task.task_id, []).append(number)
    packs = [] if served else [*_packs(everything, [*of_task.values()], credits, most_bytes)]
    held = {number for numbers, _ in zip(of_task.values(), packs, strict=False) for number in numbers}
    listing = {
        "lines": list(rollouts),
        "colors": name_colors([*rollouts]),
        "rows": [[*asdict(_listed(line, one)).values()] for line, one in everything],
        "packs": {number: place for place, numbers in enumerate(of_task.values()) for number in numbers},
        "served": served,
    }
    intro = (
        "Every rollout; press a row to open it. A numbered bar is a step; thin lines are the orchestrator at work. "
        "Filled marks were pulled, open ones were not. Point at an entry to see where it went; click on anything for "
        "its texts in full. Keys: up and down, Enter, and Escape to close."
    )
    missing = len(everything) - len(held)
    if missing and not served:
        intro += f" {missing} of {len(everything)} are listed only: <code>lts view</code> opens them."
    title = f"{quote(line)}: {quote(first.task.task_id)}"
    return section(
        "Rollouts",
        f'<div id="rollouts" hidden>{_FILTERS}<div class="scroll rows" tabindex="0"><table><thead></thead>'
        '<tbody></tbody></table></div><p class="soft" id="counted"></p></div>',
        f'<h3 id="opened">{title}</h3><p id="asked">{quote(first.task.question)}</p>',
        f'<div id="timeline">{scroll_box(timeline(first))}</div>',
        fold("The memory bank of this rollout", '<div id="bank"></div>'),
        '<aside id="panel" tabindex="-1" hidden></aside>',
        f'<script type="application/json" id="listing" data-start="{start}">{_json(listing)}</script>',
        "".join(f'<script type="text/plain" id="pack-{place}">{pack}</script>' for place, pack in enumerate(packs)),
        intro=intro,
    )


def opened(rollout: Rollout, credit: Mapping[Place, float] | None = None) -> dict[str, Any]:
    """What a page needs to show a rollout: its timeline as markup, and each mark's panel, of which tips are made."""
    return {
        "task": rollout.task.task_id,
        "question": rollout.task.question,
        "svg": _TIP_OF_PIN.sub("data-pin=", timeline(rollout)),
        "panels": {name: asdict(one) for name, one in details(rollout, credit).items()},
    }


def _packs(
    everything: Sequence[tuple[str, Rollout]], tasks: Sequence[Sequence[int]], credits: Credits, most_bytes: int
) -> Iterator[str]:
    """All rollouts of a task deflated, in base 64, task by task until the page is full.

    Teams read the same pages, so a text of a panel stands in a pack once and panels have its number.
    """
    left = most_bytes
    for numbers in tasks:
        texts: dict[str, int] = {}
        shown = {}
        for number in numbers:
            line, rollout = everything[number]
            shown[number] = opened(rollout, credits(line, rollout))
            for panel in shown[number]["panels"].values():
                panel["texts"] = [(name, texts.setdefault(text, len(texts))) for name, text in panel["texts"] if text]
        whole = json.dumps({"texts": [*texts], "rollouts": shown}, ensure_ascii=False).encode(errors="replace")
        pack = b64encode(zlib.compress(whole, 9)).decode()
        left -= len(pack)
        if left < 0:
            return
        yield pack


def _listed(line: str, one: Rollout) -> Listed:
    score = one.outcome.score
    return Listed(
        line, one.task.task_id, shorten(one.task.question, 160),
        f"{one.coordinates.iteration}.{one.coordinates.rollout}", None if math.isnan(score) else round(score, 3),
        round(one.seconds, 1), len(one.entries), _num_pulls(one), one.tokens,
    )  # fmt: skip


def _num_pulls(one: Rollout) -> int:
    return sum(pull.reader != pull.writer for pull in one.pulls)


def _json(content: Any) -> str:
    """JSON that ends no element."""
    return json.dumps(content, ensure_ascii=True).replace("<", "\\u003c")


_TIP_OF_PIN = re.compile(r'data-tip="[^"]*" data-pin=')

_FILTERS = (
    '<form class="filters"><label>task or question <input name="text" type="search"></label>'
    '<label>policy <select name="line"></select></label><label>outcome <select name="outcome">'
    '<option value="">any</option><option>right</option><option>partly right</option><option>wrong</option>'
    "<option>not scored</option>"
    '</select></label><label>admitted at least <input name="admitted" type="number" min="0" size="4"></label></form>'
)
