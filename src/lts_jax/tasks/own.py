"""Tasks of one's own: questions with answers from a file or a data set, checked row by row, split by their words.

    {"question": "In which year was the bridge built?", "answer": 1904, "files": ["plan.pdf"]}

Fields are `question` and `answer`, and optionally `id`, `difficulty`, `files` and `told`; other columns are ignored. An
answer that is a list becomes one line each and an object one line of JSON, as AssistantBench writes them. `files` are a
list, or names with ";" between them, of files beside the task file. `told` is a text, or a list of texts, that teams
with a memory of their own hear before the question (`--rollout.drawer`), and that is gone when it comes. At most
`MAX_TASKS` rows are read, one at a time.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from lts_jax.errors import UserError, show
from lts_jax.records import Task
from lts_jax.tasks.own_rows import read_rows
from lts_jax.tasks.scoring import check_scorer

MAX_TASKS = 100_000
MAX_TOLD_CHARACTERS = 200_000  # of one task
MAX_ID_BYTES = 120  # it becomes part of a file's name
SIDES = ("train", "validation", "test")
_NEEDED = ("question", "answer")
_OPTIONAL = ("id", "difficulty", "files", "told")


def read_fields(text: str, *, where: str = "tasks.fields") -> dict[str, str]:
    """Our fields with the columns that hold them, from a text such as `question=q,answer=a`.

    Raises:
        UserError: one line that begins with `where`: another field, one named twice, or no column.
    """
    named: dict[str, str] = {}
    for pair in filter(None, (each.strip() for each in text.split(","))):
        name, _, column = (side.strip() for side in pair.partition("="))
        if name not in (*_NEEDED, *_OPTIONAL) or name in named or not column:
            known = ", ".join((*_NEEDED, *_OPTIONAL))
            raise UserError(f"{where}: expected FIELD=COLUMN,... with fields of {known}, each once; got {show(text)}")
        named[name] = column
    return named


def read_tasks(source: str, *, fields: str = "", scorer: str = "assistantbench") -> tuple[Task, ...]:
    """The tasks of a JSONL, CSV or Parquet file or of a `datasets` id (`own_rows.read_rows`), in its order.

    A row without an id gets one from the digest of its question.

    Args:
        source: the file or id.
        fields: columns of other names, as `question=q,answer=a`.
        scorer: one of `scoring.SCORERS`, or `mine.py:function`; it goes with every task.

    Raises:
        UserError: one line that names the file and the row: no question or answer, a repeated id, a missing column or
            attachment, what `read_rows` raises, more than `MAX_TASKS` rows, none; or an unknown scorer.
    """
    folder = Path(source).expanduser().parent
    return make_tasks(read_rows(source), fields=fields, scorer=scorer, where=source, folder=folder)


def make_tasks(
    rows: Iterable[tuple[str, Mapping[str, Any]]],
    *,
    fields: str = "",
    scorer: str = "assistantbench",
    where: str,
    folder: Path = Path(),
) -> tuple[Task, ...]:
    """The tasks of rows, each with the place where it stands; otherwise as `read_tasks`.

    Args:
        rows: (place, values by column).
        fields: columns of other names.
        scorer: goes with every task.
        where: what holds the rows, for messages; its stem is the tasks' family.
        folder: that paths of attachments start from.
    """
    check_scorer(scorer, where="tasks.scorer")
    named, family = read_fields(fields), Path(where).stem or where
    tasks: list[Task] = []
    known: dict[str, str] = {}  # file name of an id -> where it stands
    for place, row in rows:
        if len(tasks) == MAX_TASKS:
            raise UserError(f"{place}: expected at most {MAX_TASKS:,} tasks")
        task = _task(place, row, named, folder)
        safe = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in task.task_id)
        if safe in known:
            raise UserError(f"{place}: repeats the id {show(task.task_id)} of {known[safe]}")
        known[safe] = place
        tasks.append(replace(task, family=family, scoring=scorer))
    if not tasks:
        raise UserError(f"{where}: expected at least one task, found none")
    return tuple(tasks)


def split_tasks(
    tasks: Sequence[Task], fractions: tuple[float, float, float], seed: int = 0
) -> dict[str, tuple[Task, ...]]:
    """The tasks of each of `SIDES`, in their order; no question, by `question_words`, stands on two sides.

    The seed and the questions decide, not their order. Each side gets its fraction of the different questions, rounded,
    and at least one where the fraction is above 0.

    Raises:
        UserError: fewer questions than sides with a fraction above 0.
    """
    digests = {words: _digest(f"{seed}\n{words}", 16) for words in {question_words(task.question) for task in tasks}}
    ordered = sorted(digests, key=lambda words: digests[words])
    if len(ordered) < sum(fraction > 0 for fraction in fractions):
        raise UserError(f"tasks.fractions: expected a question for each side, got {len(ordered)} for {fractions}")
    has_train, has_validation, has_test = (fraction > 0 for fraction in fractions)
    num_test = max(has_test, round(fractions[2] * len(ordered)))
    num_held_out = max(num_test + has_validation, round((fractions[1] + fractions[2]) * len(ordered)))
    num_held_out = min(num_held_out, len(ordered) - has_train)
    num_test = min(num_test, num_held_out - has_validation)
    side_of = dict.fromkeys(ordered, SIDES[0])
    side_of |= dict.fromkeys(ordered[:num_held_out], SIDES[1]) | dict.fromkeys(ordered[:num_test], SIDES[2])
    sides = [replace(task, split=side_of[question_words(task.question)]) for task in tasks]
    return {side: tuple(task for task in sides if task.split == side) for side in SIDES}


def question_words(question: str) -> str:
    """A question with case and white space folded; equal ones are the same question."""
    return " ".join(question.casefold().split())


def _task(where: str, row: Mapping[str, Any], named: Mapping[str, str], folder: Path) -> Task:
    missing = [
        field
        for field in (*_NEEDED, *_OPTIONAL)
        if named.get(field, field) not in row and (field in _NEEDED or field in named)
    ]
    if missing:
        wanted, there = named.get(missing[0], missing[0]), show(", ".join(map(str, row)))
        raise UserError(
            f"{where}: no column {wanted!r} among {there}; --tasks.fields {missing[0]}=COLUMN names another"
        )
    given = {field: row.get(named.get(field, field)) for field in (*_NEEDED, *_OPTIONAL)}
    question, answer = given["question"], _answer_text(given["answer"])
    if not isinstance(question, str) or not question.strip():
        raise UserError(f"{where}: expected a question, got {show(question)}")
    if not answer.strip():
        raise UserError(f"{where}: expected an answer, got {show(given['answer'])}")
    paths = _attachments(where, given["files"], folder)
    told = _told(where, given["told"])
    task_id = _task_id(where, given["id"], question)
    difficulty = str(given["difficulty"] or "").strip().lower()
    if any(not text.isascii() and _has_surrogate(text) for text in (question, answer, task_id, difficulty, *told)):
        raise UserError(f"{where}: holds half of a surrogate pair, which is no character")
    return Task(
        task_id=task_id,
        question=question.strip(),
        answer=answer,
        split="",
        difficulty=difficulty,
        attachments=tuple(path.name for path in paths),
        attachment_paths=tuple(map(str, paths)),
        told=told,
    )


def _answer_text(given: Any) -> str:
    """An answer as the scorers take it; empty where there is none."""
    if given is None or (isinstance(given, float) and math.isnan(given)):
        return ""
    if isinstance(given, str):
        return given.strip()
    if isinstance(given, (list, tuple)):
        return "\n".join(filter(None, map(_answer_text, given)))
    try:
        return json.dumps(given, ensure_ascii=False)
    except (TypeError, ValueError):  # dates and decimals of a Parquet file
        return str(given)


def _task_id(where: str, given: Any, question: str) -> str:
    if given is None or given == "":
        return f"q-{_digest(question_words(question), 8)}"
    if isinstance(given, bool) or not isinstance(given, (str, int)):
        raise UserError(f"{where}: expected a text or a whole number as id, got {show(given)}")
    task_id = str(given).strip()
    if not task_id.isprintable() or not 0 < len(task_id.encode(errors="replace")) <= MAX_ID_BYTES:
        raise UserError(f"{where}: expected an id of 1 to {MAX_ID_BYTES} printable bytes, got {show(given)}")
    return task_id


def _attachments(where: str, given: Any, folder: Path) -> list[Path]:
    """The files of a row. They lie in the folder of the task file or below it, also after links are followed."""
    names = given.split(";") if isinstance(given, str) else given if isinstance(given, (list, tuple)) else []
    if (given is not None and not isinstance(given, (str, list, tuple))) or not all(isinstance(n, str) for n in names):
        raise UserError(f"{where}: expected files as a list of names, got {show(given)}")
    inside, paths = folder.resolve(), []
    for name in filter(None, map(str.strip, names)):
        path = inside / name
        if "\0" in name or not path.resolve().is_relative_to(inside) or not path.is_file():
            raise UserError(f"{where}: expected a file below {folder}, got {show(name)}")
        paths.append(path)
    if len({path.name for path in paths}) < len(paths):
        raise UserError(f"{where}: expected files of different names, got {show(given)}")
    return paths


def _told(where: str, given: Any) -> tuple[str, ...]:
    """What is said before the question: one text, several, or nothing."""
    texts = [] if given is None else [given] if isinstance(given, str) else given
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        raise UserError(f"{where}: expected told as a text or a list of texts, got {show(given)}")
    told = tuple(filter(None, map(str.strip, texts)))
    if sum(map(len, told)) > MAX_TOLD_CHARACTERS:
        raise UserError(
            f"{where}: expected at most {MAX_TOLD_CHARACTERS:,} characters told, got {sum(map(len, told)):,}"
        )
    return told


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def _digest(text: str, size: int) -> str:
    return blake2b(text.encode(errors="replace"), digest_size=size).hexdigest()
