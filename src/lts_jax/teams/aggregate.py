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
_NO_ANSWER = "(no answer)"


async def aggregate_answers(task: Task, answers: Sequence[Answer], excerpts: Sequence[str], ask: Ask) -> str:
    """One answer from several teams, by one model call with purpose "aggregate".

    A single team's answer is taken as it is. Where the call fails or says nothing, the majority vote answers.

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
    call = await ask("aggregate", prompts.aggregate_request(task.question, sections))
    return ("" if call.error else extract_answer(plain_text(call.reply))) or majority_vote(answers)


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
    """The text after the last answer marker, markdown stripped, newlines kept; the last non-empty line without one."""
    markers = list(_MARKER.finditer(text))
    until = len(text)
    for marker in reversed(markers):
        answer = _plain(text[marker.end() : until])
        if answer:
            return answer
        until = marker.start()
    lines = [line for line in _MARKER.sub("", text).splitlines() if _plain(line)]
    return _plain(lines[-1]) if lines else ""


def _plain(text: str) -> str:
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
