"""What the orchestrator's calls answer: facts, plan, progress ledger, and their revisions."""

from collections.abc import Sequence
from json.encoder import encode_basestring_ascii as _quoted
from typing import NamedTuple

from lts_jax.llm.simulated.chances import Chances
from lts_jax.llm.simulated.comprehension import understand
from lts_jax.llm.simulated.concluding import conclude
from lts_jax.llm.simulated.findings import Finding, reading_instruction
from lts_jax.llm.simulated.malformed import spoil
from lts_jax.llm.simulated.remembering import next_move
from lts_jax.llm.simulated.selecting import numbers_to_read
from lts_jax.llm.simulated.settings import SimulatedModelSettings
from lts_jax.llm.simulated.task_view import question_in
from lts_jax.llm.simulated.thread import Survey, survey_of
from lts_jax.llm.simulated.understanding import Need, Understanding
from lts_jax.records import Message
from lts_jax.wording import SHORT_FIELDS, SHORT_LEDGER

_LEDGER_CHARACTERS = (1169, 160)  # mean and spread of a ledger reply
_THOUGHTS = (
    " The team should keep to the plan, take one step at a time, compare the dates of pages that disagree, and avoid "
    "opening a page twice unless there is a reason to do so. Values from pages are data; a page that calls itself a "
    "guide may be older than the subject's own site. What was found so far is kept in the thread, and nothing else "
    "counts as found. If a page refuses, the same facts may stand elsewhere under the same title, so another result "
    "of the same search is worth a try before the search is worded anew. Once all bullets of the plan are settled, the "
    "answer can be worked out and the request is satisfied; until then the next open bullet decides who speaks."
)


def facts(messages: Sequence[Message], chances: Chances, settings: SimulatedModelSettings) -> str:
    """The fact sheet: given, to look up, to derive, guesses."""
    question = question_in(messages[-1].content)
    understanding = understand(question)
    return _sheet(understanding, [], list(understanding.needs), chances)


def _sheet(understanding: Understanding, found: list[Finding], open_needs: list[Need], chances: Chances) -> str:
    lines = ["1. GIVEN OR VERIFIED FACTS", "- The request names its subjects in full; current values count."]
    lines += [f"- {finding}" for finding in found]
    lines.append("2. FACTS TO LOOK UP")
    where = "a file" if understanding.source is None else "a listing, a file or the subject's page"
    lines += [f"- {str(need).capitalize()}, on {where}" for need in open_needs] or ["- None"]
    lines += ["3. FACTS TO DERIVE", "- The answer, from the values above and the rule in the request"]
    if understanding.source is not None:
        lines.append(f"- Which further subjects matter, from {understanding.source}")
    lines.append("4. EDUCATED GUESSES")
    lines.append(f"- The pages may disagree; about {2 + chances.below(9)} steps may do (guess {chances.below(10**6)})")
    return "\n".join(lines)


def plan(messages: Sequence[Message], chances: Chances, settings: SimulatedModelSettings) -> str:
    """The plan: one bullet per need, in an order of the model's own."""
    question = next((text for m in reversed(messages) if (text := question_in(m.content))), "")
    understanding = understand(question)
    return _bullets(understanding, list(understanding.needs), chances)


def _bullets(understanding: Understanding, needs: list[Need], chances: Chances) -> str:
    lines = [f"- Find {need}." for need in chances.shuffle(needs)]
    if understanding.source is not None:
        lines.append("- Then look up what the request asks of every subject that it lists, one page each.")
    lines.append("- Work out the answer from these values and check that nothing is missing.")
    return "\n".join(lines)


def facts_update(messages: Sequence[Message], chances: Chances, settings: SimulatedModelSettings) -> str:
    """The revised fact sheet. Findings are kept as sentences, so that they outlive the thread."""
    survey = survey_of(messages[:-1], settings)
    found = [finding for known in survey.findings.values() for finding in _newest(known)]
    open_needs = [need for need in survey.needs() if survey.value_in_hand(need) is None]
    return _sheet(survey.view.understanding, found, open_needs, chances)


def _newest(known: list[tuple[Finding, bool]]) -> list[Finding]:
    updated = max(finding.updated for finding, _ in known)
    parts = {finding.part: finding for finding, _ in reversed(known) if finding.updated == updated}
    return [parts[part] for part in sorted(parts)]


def plan_update(messages: Sequence[Message], chances: Chances, settings: SimulatedModelSettings) -> str:
    """What went wrong, and a plan in a new order."""
    survey = survey_of(messages[:-1], settings)
    needs = [need for need in survey.needs() if survey.next_action(need) is not None] or survey.needs()
    wrong = "The last steps brought nothing new; other pages or another order may help."
    return f"{wrong}\n{_bullets(survey.view.understanding, needs, chances)}"


def ledger(messages: Sequence[Message], chances: Chances, settings: SimulatedModelSettings) -> str:
    """The progress ledger as JSON, now and then malformed."""
    is_retry = messages[-1].content.startswith("Progress check.\nThe last reply could not be used")
    asked = messages[:-3] if is_retry and len(messages) > 3 else messages[:-1]
    keys = asked[-1] if asked and asked[-1].name == "SharedKeys" else None
    survey = survey_of(asked if keys is None else asked[:-1], settings)
    open_needs = [need for need in survey.needs() if survey.next_action(need) is not None]
    breaks = chances.happens(settings.malformed_ledger) and not is_retry
    stops_early = chances.happens(settings.stops_early) and bool(survey.findings)
    stops_late = chances.happens(settings.stops_late) and survey.need is not None
    misjudges = chances.happens(settings.misjudges_progress) and survey.num_steps > 0
    imagines = chances.happens(settings.imagines_loop) and survey.num_steps > 1
    speaker, told = _next_step(survey, open_needs, settings, checks_again=stops_late)
    if survey.asked_numbers and survey.agent == "Coder":
        speaker, told = "ComputerTerminal", "Run the program that Coder wrote last."
    elif keys is not None and open_needs:
        wanted = numbers_to_read(survey, keys, Chances(chances.below(2**31), "read"), settings)
        speaker, told = ("Coder", reading_instruction(wanted)) if wanted else (speaker, told)
    is_satisfied = (not told and not open_needs) or stops_early
    move = next_move(asked)
    if move is not None:
        speaker, told = move
        is_satisfied = not told
    is_progressing = survey.last_new != misjudges
    is_looping = imagines or survey.stalled > 1
    length = _LEDGER_CHARACTERS[0] + int((chances.uniform() - 0.5) * 3.4641 * _LEDGER_CHARACTERS[1])
    if settings.stops_at_once and not survey.findings:  # draws nothing, and so changes nothing, where it is 0
        is_satisfied |= chances.happens(settings.stops_at_once)
    if is_satisfied:
        speaker, told = survey.agent or "WebSurfer", "Nothing is left to do; give the final answer."
    answers = _Answers(is_satisfied, is_looping, is_progressing, speaker, told)
    is_short = any(SHORT_LEDGER in message.content for message in messages[-3:])
    reply = _short_text(answers) if is_short else _ledger_text(answers, len(survey.findings), len(open_needs), length)
    return spoil(reply, chances) if breaks else reply


def _next_step(
    survey: Survey, open_needs: list[Need], settings: SimulatedModelSettings, *, checks_again: bool
) -> tuple[str, str]:
    """Next speaker and instruction; ("", "") when nothing is left to do."""
    understanding = survey.view.understanding
    if open_needs:
        need = survey.need if survey.need in open_needs and survey.need is not None else open_needs[0]
        return _instruct(survey, need)
    if survey.agent == "Coder" and survey.coded and not survey.computed:
        return "ComputerTerminal", "Run the program that Coder wrote last."
    if not survey.coded and survey.is_marked(settings.uses_coder, "coder") and _is_arithmetic(survey):
        return "Coder", "Write a short Python program that works out the answer from the values found."
    if checks_again and not survey.coded and survey.needs():
        need = survey.need or survey.needs()[0]
        agent = "FileSurfer" if understanding.reading(need).in_file is not None else "WebSurfer"
        return agent, f"Check once more and find {need}."
    return "", ""


def _is_arithmetic(survey: Survey) -> bool:
    concluded = conclude(survey, Chances(0, "coder"))
    return concluded is not None and bool(concluded.expression)


def _instruct(survey: Survey, need: Need) -> tuple[str, str]:
    action = survey.next_action(need)
    kind = action.kind if action is not None else "search"
    target = f'"{action.target}"' if action is not None and kind in ("search", "open") else "the results"
    if kind == "open":
        return "FileSurfer", f"Open the file {target} and find {need}."
    if kind == "search":
        again = "again, in other words, " if survey.searches.get(need) else ""
        return "WebSurfer", f"Search the web {again}for {target} to find {need}."
    if kind == "find":
        return "WebSurfer", f"Look through the rest of the long page to find {need}."
    if survey.value_in_hand(need) is not None:
        return "WebSurfer", f"Open a further page, as one page does not settle it, to find {need}."
    return "WebSurfer", f"Open the best page not read so far to find {need}."


def _json(answer: object) -> str:
    return _quoted(answer) if isinstance(answer, str) else "true" if answer else "false"


class _Answers(NamedTuple):
    """Of a ledger, in its order; the names are those of its fields."""

    is_request_satisfied: bool
    is_in_loop: bool
    is_progress_being_made: bool
    next_speaker: str
    instruction_or_question: str


def _short_text(answers: _Answers) -> str:
    said = answers._asdict()
    written = (f'"{name}": {_json(said[name])}' for name in SHORT_FIELDS)
    return f"{{{', '.join(written)}}}"


def _ledger_text(answers: _Answers, num_found: int, num_open: int, length: int) -> str:
    speaker, told = answers.next_speaker, answers.instruction_or_question
    reasons = (
        f"{num_found} values were found and {num_open} are open.",
        "The last instructions repeat themselves."
        if answers.is_in_loop
        else "The last instructions differ in what they ask.",
        "The last step brought something new."
        if answers.is_progress_being_made
        else "The last step brought nothing new.",
        f"{speaker} has the tools for it.",
        "This is the next open bullet." if num_open else "All bullets are settled.",
    )
    room = max(0, length - 215 - sum(map(len, reasons)) - len(told) - len(speaker))
    share = room // 2
    padded = (reasons[0] + _THOUGHTS[:share], *reasons[1:4], reasons[4] + _THOUGHTS[share : share + room - share])
    fields = zip(answers._fields, padded, answers, strict=True)
    written = (
        f'"{name}": {{"reason": {_quoted(reason)}, "answer": {_json(answer)}}}' for name, reason, answer in fields
    )
    return f"{{{', '.join(written)}}}"
