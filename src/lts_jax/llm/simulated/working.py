"""What the workers' calls answer: one tool call, a report of its result, a program, a summary of the step."""

import json
import re
from collections.abc import Sequence

from lts_jax.llm.simulated.chances import Chances
from lts_jax.llm.simulated.comprehension import understand
from lts_jax.llm.simulated.concluding import conclude
from lts_jax.llm.simulated.findings import (
    Finding,
    about_other,
    asked_need,
    failure_sentence,
    miss_sentence,
    read_note,
    reading_program,
    results_sentence,
)
from lts_jax.llm.simulated.pages import Document, read_document, read_results
from lts_jax.llm.simulated.remembering import call_memory
from lts_jax.llm.simulated.settings import SimulatedModelSettings
from lts_jax.llm.simulated.slips import invent, misread, mistype
from lts_jax.llm.simulated.thread import Action, Survey, survey_of
from lts_jax.llm.simulated.understanding import Need, Understanding
from lts_jax.prompts import AGENTS, ANSWER_MARKER, ORCHESTRATOR, TOOL_USER
from lts_jax.records import Message

_URL = re.compile(r"https?://[^\s\"'<>)\]}]+")
_NUM_QUOTED = 4  # titles quoted from a search, unless more fit exactly
_NUM_WORDS = (15, 20)  # of a summary
_FILLER = ("as", "one", "of", "the", "values", "that", "the", "whole", "request", "asks", "the", "team", "for")


def act(messages: Sequence[Message], chances: Chances, settings: SimulatedModelSettings) -> str:
    """One tool call as JSON."""
    own = call_memory(messages[-2].content) if len(messages) > 1 else ""
    if own:
        return own
    survey = survey_of(messages[:-1], settings)
    need = survey.need
    if need is None:
        if survey.agent == "FileSurfer":
            return _call("list_files")
        return _call("web_search", query=survey.view.question[:200] or "help")
    action = survey.next_action(need) or _again(survey, need)
    fatigue = _fatigue(survey, settings)
    repeats = chances.happens(min(1.0, settings.repeats_action + fatigue))
    mistypes = chances.happens(min(1.0, settings.mistypes + fatigue / 4))
    strays = chances.happens(settings.takes_near_miss)
    if action.kind == "open":
        return _call("open_file", name=mistype(action.target, chances) if mistypes else action.target)
    if repeats:
        action = _again(survey, need)
    if action.kind == "search":
        return _call("web_search", query=mistype(action.target, chances) if mistypes else action.target)
    if action.kind == "find":
        return _call("find_on_page", url=action.target, text=action.text)
    near = _near_misses(survey, need) if strays else []
    if near:
        return _call("visit_url", url=near[0])
    return _call("visit_url", url=mistype(action.target, chances) if mistypes else action.target)


def _fatigue(survey: Survey, settings: SimulatedModelSettings) -> float:
    excess = survey.num_steps + survey.num_pulled - settings.fresh_steps
    return min(settings.max_fatigue, settings.fatigue_per_step * excess) if excess > 0 else 0.0


def _again(survey: Survey, need: Need) -> Action:
    """The last call for a need once more: its last page, or its search."""
    if survey.view.understanding.reading(need).in_file is not None:
        return Action("open", need.subject)
    visited = [url for other, url in survey.visits if other == need]
    if visited:
        return Action("visit", visited[-1])
    return Action("search", survey.view.understanding.title(need))


def _near_misses(survey: Survey, need: Need) -> list[str]:
    wanted = survey.view.understanding.title(need)
    words = wanted.lower().split()
    return [
        url
        for title, urls in survey.titles.items()
        if title != wanted and all(word in title.lower() for word in words)
        for url in urls
        if (need, url) not in survey.visits
    ]


def _call(tool: str, **arguments: str) -> str:
    return json.dumps({"tool": tool, "arguments": arguments})


def report(messages: Sequence[Message], chances: Chances, settings: SimulatedModelSettings) -> str:
    """One or two sentences on what a tool call gave for the instruction."""
    survey = Survey(messages[:-1], settings)
    need = survey.need
    request = messages[-1].content
    if survey.agent == TOOL_USER:
        return "The memory answered; what it says stands below."
    action, _, result = request.partition("\nAction: ")[2].partition("\nResult:\n")
    if need is None:
        return "The result does not answer the instruction."
    understanding = survey.view.understanding
    document = read_document(result)
    if document is not None:
        return _on_page(document, survey, need, chances, settings, is_extract="find_on_page" in action)
    if result.startswith("Search results for:"):
        return results_sentence(need, _choose_quotes(read_results(result), understanding.title(need)))
    if result.startswith("No results found"):
        return results_sentence(need, [])
    address = _URL.search(action)
    where = address[0] if address else need.subject
    if result.startswith("File: ") and understanding.reading(need).in_file is not None:
        return _in_file(result, survey, need, chances, settings)
    if result.startswith("No match for"):
        return miss_sentence(need, where, 'searched for "a text"')
    return failure_sentence(where, result.partition("\n")[0].strip().rstrip(".")[:80] or "empty result")


def _choose_quotes(results: tuple[tuple[str, str], ...], wanted: str) -> list[tuple[str, str]]:
    """The results worth quoting: all with the wanted title, then the best others."""
    exact = [each for each in results if each[0] == wanted]
    return exact + [each for each in results if each[0] != wanted][: max(0, _NUM_QUOTED - len(exact))]


def _on_page(
    document: Document,
    survey: Survey,
    need: Need,
    chances: Chances,
    settings: SimulatedModelSettings,
    *,
    is_extract: bool,
) -> str:
    understanding = survey.view.understanding
    wanted = understanding.title(need)
    if document.title != wanted:
        accepts = survey.is_marked(settings.accepts_near_miss, "accepts", document.url)
        if not (accepts and _resembles(document.title, wanted)):
            return about_other(document.url, document.title, need.subject)
    overlooks = survey.is_marked(settings.overlooks_value, "overlooks", document.url)
    value = None if overlooks else understanding.reading(need).value_on(document)
    if value is None:
        if chances.happens(settings.hallucinates) and (guess := _imagine(document, chances)):
            return str(_finding(document, need, guess))
        if document.num_viewports > 1:
            extent = f"on viewport {document.viewport} of {document.num_viewports}"
        else:
            extent = 'searched for "a text"' if is_extract else "seen in full"
        return miss_sentence(need, document.url, extent)
    findings = []
    for each in (need, *_also_on(understanding, need)):
        value = understanding.reading(each).value_on(document)
        if value is not None:
            read = _as_read(value, document.text, each, survey, chances, settings)
            findings.append(_finding(document, each, read))
    return " ".join(map(str, findings))


def _resembles(title: str, wanted: str) -> bool:
    return all(word in title.lower() for word in wanted.lower().split())


def _as_read(
    value: str, text: str, need: Need, survey: Survey, chances: Chances, settings: SimulatedModelSettings
) -> str:
    if "k$" in value and survey.is_marked(settings.overlooks_footnote, "footnote", need.subject):
        value = value.replace(" k$", "")
    return misread(value, text, chances) if survey.is_marked(settings.misreads, "misreads", str(need)) else value


def _finding(document: Document, need: Need, value: str) -> Finding:
    return Finding(need, value, document.part, document.num_parts, document.updated, document.url)


def _imagine(document: Document, chances: Chances) -> str:
    """A made-up value that looks like something on the page; "" where the page has no number at all."""
    numeric = [value for value in document.fields.values() if any(each.isdigit() for each in value)]
    numeric += [row[-1] for row in document.table[1:] if row[-1][-1:].isdigit()]
    return invent(numeric[chances.below(len(numeric))], chances) if numeric else ""


def _also_on(understanding: Understanding, need: Need) -> list[Need]:
    """Other needs that the same page should give."""
    title = understanding.reading(need).title
    return [
        Need(attribute, need.subject)
        for attribute, reading in understanding.readings.items()
        if attribute != need.attribute and reading.title == title and reading.in_file is None
    ]


def _in_file(result: str, survey: Survey, need: Need, chances: Chances, settings: SimulatedModelSettings) -> str:
    overlooks = chances.happens(settings.overlooks_value)
    value = None if overlooks else survey.view.understanding.reading(need).value_in(result)
    if value is None:
        return miss_sentence(need, need.subject, "seen in full")
    return str(Finding(need, _as_read(value, result, need, survey, chances, settings), 1, 1, "", need.subject))


def code(messages: Sequence[Message], chances: Chances, settings: SimulatedModelSettings) -> str:
    """One program that prints the result, from the values found."""
    survey = survey_of(messages[:-1], settings)
    if survey.asked_numbers:
        return f"This reads the shared memory.\n\n```python\n{reading_program(survey.asked_numbers)}\n```"
    concluded = conclude(survey, chances)
    expression = concluded.expression if concluded is not None else ""
    if not expression:
        return "The values found so far do not allow a calculation."
    return f"The program below adds up what was found.\n\n```python\nresult = {expression}\nprint(result)\n```"


def summarize(messages: Sequence[Message], chances: Chances, settings: SimulatedModelSettings) -> str:
    """The summary of one step in 15 to 20 words."""
    text = messages[-1].content
    head, _, output = text.partition("\nOutput:\n")
    head, _, asked = head.partition("\nInstruction: ")
    agent = head.rpartition("\nAgent: ")[2]
    need = asked_need(asked)
    if settings.restates_request and chances.happens(settings.restates_request):
        return _pad(f"{agent} was asked to find {need if need is not None else 'what the request asks'}")
    return _pad(_gist(agent, need, output, understand_title(text, need)))


def understand_title(text: str, need: Need | None) -> str:
    """Title of the page that should hold a need of the question that a request states."""
    question = text.partition("Request: ")[2].partition("\nAgent: ")[0]
    return understand(question).title(need) if need is not None else ""


def _gist_of_message(said: str) -> str:
    """What the orchestrator has said. The words state no need as found, so that such a key helps no open need."""
    if said.startswith("Task ledger."):
        return "Orchestrator surveyed the facts that are known and wrote a plan for the request in short bullets"
    speaker, is_instruction, told = said.partition(": ")
    if not is_instruction or speaker not in (*AGENTS, TOOL_USER):
        return f"Orchestrator ended the work and answered for its team: {said.rpartition(ANSWER_MARKER)[2].strip()}"
    need = asked_need(told)
    return f"Orchestrator told {speaker} to {f'look for {need}' if need is not None else 'write or run a program'}"


def _gist(agent: str, need: Need | None, output: str, title: str) -> str:
    if agent == ORCHESTRATOR:
        return _gist_of_message(output)
    if output.startswith(("This reads the shared memory.", "Shared memory entry ")):
        return f"{agent} read what other teams have stored under some keys of the shared memory"
    if agent == "Coder":
        return "Coder wrote a short Python program that works out the result from the values found so far"
    if agent == "ComputerTerminal":
        last = output.strip().rpartition("\n")[2]
        failing = "Traceback" in output or not last
        return f"ComputerTerminal ran the program and {'failed' if failing else 'printed'}: {last or 'nothing'}"
    note = read_note(output)
    if note.findings:
        first = next((each for each in note.findings if each.need == need), note.findings[0])
        when = f"(updated {first.updated})" if first.updated else "(file)"
        return f"{agent} found {first.need}: {_shorten(first.value, first.need)} {when}"
    what = str(need) if need is not None else "the request"
    if note.searches:
        fitting = sum(name == title for name, _ in note.searches[0].pages)
        return f"{agent} searched for {what} and listed {fitting or 'no'} fitting pages"
    if note.failure:
        return f"{agent} could not open a page for {what}: {note.failure}"
    if note.misses or note.useless_urls:
        return f"{agent} read a page for {what}, which did not give it; nothing was found"
    return f"{agent} looked for {what} without any usable result"


def _shorten(value: str, need: Need) -> str:
    room = max(2, _NUM_WORDS[1] - 5 - len(str(need).split()))
    words = value.split()
    return value if len(words) <= room else " ".join(words[:room]) + "..."


def _pad(text: str) -> str:
    """The text with at least 15 words, on one line."""
    words = text.split()
    lacking = _NUM_WORDS[0] - len(words)
    return " ".join([*words, *_FILLER[: max(0, lacking)]][: _NUM_WORDS[1]])
