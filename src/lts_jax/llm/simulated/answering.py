"""What ends the work: a team's final answer, and one answer from several teams."""

import json
import re
from collections.abc import Sequence

from lts_jax.llm.simulated.chances import Chances
from lts_jax.llm.simulated.comprehension import understand
from lts_jax.llm.simulated.concluding import conclude, values_of
from lts_jax.llm.simulated.findings import scan
from lts_jax.llm.simulated.settings import SimulatedModelSettings
from lts_jax.llm.simulated.slips import far_off
from lts_jax.llm.simulated.task_view import question_in
from lts_jax.llm.simulated.thread import CURRENT_YEAR, survey_of
from lts_jax.llm.simulated.understanding import Understanding
from lts_jax.prompts import ANSWER_MARKER
from lts_jax.records import Message

UNABLE = "unable to determine"
_FENCED = re.compile(r"<<<[^\n]*\n(.*?)\n>>>", re.DOTALL)
_SECTION = re.compile(r"^## Team (\d+) \(ended: ([^)\n]*)\)\nAnswer: (.*?)\nTranscript:\n", re.MULTILINE | re.DOTALL)


def answer(messages: Sequence[Message], chances: Chances, settings: SimulatedModelSettings) -> str:
    """A team's answer after the marker on the last line."""
    survey = survey_of(messages[:-1], settings)
    _, missing = values_of(survey)
    declines = survey.is_marked(settings.declines_to_guess, "declines")
    slips = survey.is_marked(settings.slips_in_arithmetic, "slips")
    concluded = None if missing and declines else conclude(survey, chances)
    if concluded is None:
        return f"The thread does not hold what the answer needs.\n{ANSWER_MARKER} {UNABLE}"
    text = concluded.text
    if survey.computed:
        text = survey.computed
    elif concluded.expression and slips:
        text = far_off(text, chances)
    reason = f"{len(missing)} values are guesses." if missing else "All values were found."
    return f"{reason}\n{ANSWER_MARKER} {text}"


def aggregate(messages: Sequence[Message], chances: Chances, settings: SimulatedModelSettings) -> str:
    """The answer with the most weight: teams count more the more of the needed values their excerpts hold."""
    text = messages[-1].content
    understanding = understand(question_in(text))
    weights: dict[str, float] = {}
    written: dict[str, str] = {}
    heads = list(_SECTION.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    for head, end in zip(heads, ends, strict=False):
        given = head[3].strip()
        if given in ("", "(no answer)") or UNABLE in given.lower():
            continue
        vote = _normal(given)
        written.setdefault(vote, given)
        weight = 1.0 + _completeness(text[head.end() : end], understanding)
        weights[vote] = weights.get(vote, 0.0) + weight
    if not weights:
        return f"No team found an answer.\n{ANSWER_MARKER} {UNABLE}"
    ranked = sorted(weights, key=lambda vote: -weights[vote])
    errs = chances.happens(settings.aggregates_wrongly)
    best = ranked[1 + chances.below(len(ranked) - 1)] if errs and len(ranked) > 1 else ranked[0]
    return f"{len(heads)} teams reported; the answer below has the best support.\n{ANSWER_MARKER} {written[best]}"


def quality(messages: Sequence[Message], chances: Chances, settings: SimulatedModelSettings) -> str:
    """5 for an answer that means what the reference says, 1 for none, 2 for any other; never wrong."""
    reference, answered = _FENCED.findall(messages[-1].content)[:2] or ("", "")
    if not answered.strip() or UNABLE in answered.lower():
        return "1"
    return "5" if _items(answered) == _items(reference) else "2"


def _items(text: str) -> set[str]:
    """What a list names, whether it is JSON or has a line for each; of anything else the text."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return {_normal(str(each)) for each in (found if isinstance(found, list) else text.strip().split("\n"))}


def _normal(text: str) -> str:
    """Equal for answers that mean the same number or text."""
    try:
        return repr(float(text.replace("$", "").replace(",", "")))
    except ValueError:
        return " ".join(text.lower().split())


def _completeness(excerpt: str, understanding: Understanding) -> float:
    """Share of the needs that an excerpt states, an outdated page counting half."""
    dates = {finding.need: finding.updated for finding in scan(excerpt).findings}
    num_needs = len(understanding.needs) + (3 if understanding.source is not None else 0)
    credit = sum(1.0 if not date or date >= CURRENT_YEAR else 0.5 for date in dates.values())
    return min(1.0, credit / max(1, num_needs))
