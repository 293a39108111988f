"""From K teams' answers to one: M1-Parallel's aggregator (arXiv 2507.08944), majority vote."""

import re
from collections import Counter
from collections.abc import Sequence

from lts_jax import prompts
from lts_jax.llm.chat import Ask
from lts_jax.records import Answer, Message, Task
from lts_jax.teams.tolerant_json import plain_text

_MARKER = re.compile(r"final[ _]answer[*_`]*[ \t]*:[*_`]*", re.IGNORECASE)
_LINE_MARK = re.compile(r"^[ \t]*(?:[-*•]|#+|>)[ \t]+", re.MULTILINE)
_FENCE = re.compile(r"^[ \t]*```[^\n]*$", re.MULTILINE)
_WRAPPED = re.compile(r"\*\*(.+?)\*\*|`([^`\n]+)`")
_BOX = re.compile(r"\\f?box(?:ed)?\s*\{")
_FONT = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|mbox|operatorname)\s*\{([^{}]*)\}")
_SPACE = re.compile(r"\\[,;:! ]|~")
_ESCAPED = re.compile(r"\\([%$#&_{}])")
_MATHEMATICS = re.compile(r"\s*(?:\\\((.*)\\\)|\\\[(.*)\\\])\.?\s*", re.DOTALL)
_NO_ANSWER = "(no answer)"


async def aggregate_answers(task: Task, answers: Sequence[Answer], excerpts: Sequence[str], ask: Ask) -> str:
    """One answer from several teams, by one model call with purpose "aggregate".

    A single team's answer is taken as it is. Where the call fails, says nothing, or is cut at its limit twice, the
    majority vote answers.

    Args:
        task: the question.
        answers: one a team, in team order; an empty text is shown as "(no answer)".
        excerpts: the ends of the teams' transcripts, same order, as `thread_excerpts` makes them.
        ask: asks the model.
    """
    if len(answers) == 1:
        return answers[0].text
    sections = [
        prompts.team_section(answer.team, answer.stop_reason.value, answer.text or _NO_ANSWER, excerpt)
        for answer, excerpt in zip(answers, excerpts, strict=True)
    ]
    request = prompts.aggregate_request(task.question, sections)
    call = await ask("aggregate", request)
    if call.is_cut:
        call = await ask("aggregate", request)
    return ("" if call.error or call.is_cut else extract_answer(plain_text(call.reply))) or majority_vote(answers)


def thread_excerpts(
    threads: Sequence[Sequence[Message]], max_characters: int = 24_000, max_message_characters: int = 1_200
) -> list[str]:
    """The newest messages of each thread, in order of time, together at most `max_characters` long.

    Messages are taken in turn from each team, newest first, until the next one would not fit. Long messages are cut.
    Task ledgers are left out: they repeat the request.
    """
    waiting = [[each for each in thread if not _is_task_ledger(each)] for thread in threads]
    taken: list[list[str]] = [[] for _ in threads]
    left = max_characters
    for team in _round_robin([len(messages) for messages in waiting]):
        line = _line(waiting[team].pop(), max_message_characters)
        left -= len(line) + 1
        if left < 0:
            break
        taken[team].append(line)
    return ["\n".join(reversed(each)) for each in taken]


def majority_vote(answers: Sequence[Answer]) -> str:
    """The most frequent text, case and spacing aside; a tie goes to the answer given earliest; "" if there is none."""
    given = _in_order(answers)
    votes = Counter(_fold(answer.text) for answer in given)
    return max(given, key=lambda answer: votes[_fold(answer.text)]).text if given else ""


def extract_answer(text: str) -> str:
    """The text after the last answer marker, markdown stripped, newlines kept; the last non-empty line without one.

    Of LaTeX the box and what it wraps is taken off; without a marker, what stands in the last box is the answer.
    """
    markers = list(_MARKER.finditer(text))
    until = len(text)
    for marker in reversed(markers):
        answer = _plain(text[marker.end() : until])
        if answer:
            return answer
        until = marker.start()
    boxed = _boxed(text)
    if boxed:
        return boxed
    lines = [line for line in _MARKER.sub("", text).splitlines() if _plain(line)]
    return _plain(lines[-1]) if lines else ""


def _boxed(text: str) -> str:
    """What stands in the last box of LaTeX, without its dress; "" where there is none that closes."""
    for start in reversed([match.end() for match in _BOX.finditer(text)]):
        depth = 1
        for place in range(start, len(text)):
            depth += (text[place] == "{") - (text[place] == "}")
            if depth == 0:
                return _undressed(text[start:place])
    return ""


def _undressed(text: str) -> str:
    """A piece of LaTeX without what only sets it: fonts, spaces, escapes, the marks of mathematics around it."""
    while True:
        bare = _FONT.sub(lambda match: match[1], text)
        if bare == text:
            break
        text = bare
    text = _ESCAPED.sub(lambda match: match[1], _SPACE.sub(" ", text))
    return text.strip().strip("$").strip()


def _plain(text: str) -> str:
    if "\\" in text:
        text = _boxed(text) or text
        whole = _MATHEMATICS.fullmatch(text)
        text = _undressed(whole[1] or whole[2]) if whole else text
    text = _LINE_MARK.sub("", _FENCE.sub("", text))
    text = _WRAPPED.sub(lambda match: match[1] or match[2], text).strip().strip("`").strip()
    text = text.removeprefix("**").removesuffix("**").strip()
    return "" if text in {"...", "…"} else text


def _in_order(answers: Sequence[Answer]) -> list[Answer]:
    return sorted((each for each in answers if each.text), key=lambda answer: (answer.seconds, answer.team))


def _fold(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")


def _round_robin(sizes: Sequence[int]) -> list[int]:
    """Whose message comes next: (2, 1) gives 0, 1, 0."""
    return [team for place in range(max(sizes, default=0)) for team, size in enumerate(sizes) if place < size]


def _is_task_ledger(message: Message) -> bool:
    return message.name == "Orchestrator" and message.role == "user"


def _line(message: Message, max_characters: int) -> str:
    content = message.content
    shown = content if len(content) <= max_characters else content[:max_characters] + " [cut]"
    return f"{message.name or message.role}: {shown}"
