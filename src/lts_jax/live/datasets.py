"""GAIA and AssistantBench as tasks, from the Hugging Face hub or from a local folder of the same layout.

A hub source is first copied to the local cache, then read like a folder, so both roads give the same tasks. Annotators'
notes (steps, tools, explanations, gold pages) are never read into a task. Answers of test splits are withheld. Teams
are shown attachments by plain names: a real name or path would tell which row of which dataset to look for, and the
folder it lies in holds the answers.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from lts_jax.errors import UserError, show
from lts_jax.live.hub import fetch_repository
from lts_jax.records import Task
from lts_jax.storage import write_text

_ASSISTANTBENCH_FILES = {
    "validation": "assistant_bench_v1.0_dev.jsonl",
    "test": "assistant_bench_v1.0_test.jsonl",
}
_GAIA_FILES = {
    "2023_all": "metadata.parquet",
    "2023_level1": "metadata.level1.parquet",
    "2023_level2": "metadata.level2.parquet",
    "2023_level3": "metadata.level3.parquet",
}
_GAIA_LEVELS = {"2023_all": "123", "2023_level1": "1", "2023_level2": "2", "2023_level3": "3"}
_GAIA_OLDER_FILE = "metadata.jsonl"  # of all levels, in copies and revisions from before the tables
_GAIA_SPLITS = ("validation", "test")
_GAIA_COLUMNS = ("task_id", "Question", "Level", "Final answer", "file_name", "file_path")
_GAIA_WELCOME_ID = "0-0-0-0-0"  # a greeting in old test files, not a question
_DIFFICULTY_OF_LEVEL = {1: "easy", 2: "medium", 3: "hard"}
_SUBMISSION_FIELDS = {"assistantbench": ("id", "answer"), "gaia": ("task_id", "model_answer")}


def load_assistantbench(
    source: str = "AssistantBench/AssistantBench", split: str = "validation", *, revision: str | None = None
) -> tuple[Task, ...]:
    """The tasks of one AssistantBench split: 33 in validation, 181 in test (answers withheld, `answer` None).

    Args:
        source: hub id, or a folder holding `assistant_bench_v1.0_dev.jsonl` and `assistant_bench_v1.0_test.jsonl`.
        split: `validation` or `test`.
        revision: commit, branch or tag on the hub; its newest state by default.
    Raises: UserError for an unknown split, a missing folder or file, a hub that refuses or cannot be reached.
    """
    file_name = _choose("split", split, _ASSISTANTBENCH_FILES)
    folder = _local_folder(source, file_name, revision)
    return tuple(
        Task(
            task_id=str(row["id"]),
            question=str(row["task"]),
            answer=_reference(row.get("answer"), split),
            split=split,
            family="assistantbench",
            difficulty=str(row.get("difficulty") or "").lower(),
            scoring="assistantbench",
        )
        for row in _rows("json", folder / file_name, ("id", "task"))
    )


def load_gaia(
    source: str = "gaia-benchmark/GAIA",
    config: str = "2023_all",
    split: str = "validation",
    *,
    revision: str | None = None,
) -> tuple[Task, ...]:
    """The tasks of one GAIA split: 165 in validation, 301 in test (answers withheld, `answer` None).

    `level` is 1, 2 or 3; the difficulties are easy, medium, hard. An attachment is shown as `attachment.pdf` or the
    like; `attachment_paths` says where it lies. `attachments.stage_attachments` lays it out for the file tools.

    Args:
        source: hub id (gated: the terms must be accepted and a token given), or a folder holding `2023/<split>/`,
            with tables in Parquet or the older `metadata.jsonl`.
        config: `2023_all`, `2023_level1`, `2023_level2` or `2023_level3`.
        split: `validation` or `test`.
        revision: commit, branch or tag on the hub; its newest state by default.
    Raises: UserError for an unknown config or split, a missing folder, file or attachment, an attachment outside the
        folder, a closed gate, an unreachable hub.
    """
    file_name = _choose("config", config, _GAIA_FILES)
    _choose("split", split, dict.fromkeys(_GAIA_SPLITS, ""))
    folder = _local_folder(source, f"2023/{split}/*", revision)
    path, older = folder / "2023" / split / file_name, folder / "2023" / split / _GAIA_OLDER_FILE
    if older.is_file() and not path.is_file():
        rows = _older_gaia_rows(older, _GAIA_LEVELS[config])
    else:
        rows = _rows("parquet", path, _GAIA_COLUMNS, columns=list(_GAIA_COLUMNS))
    return tuple(_gaia_task(row, folder, split) for row in rows if row["task_id"] != _GAIA_WELCOME_ID)


def write_submission(path: str | Path, answers: Mapping[str, str], benchmark: str) -> None:
    """Write answers, task id -> text, as the JSON lines that the benchmark's leaderboard takes; all or nothing.

    Lines hold `id` and `answer` for "assistantbench", `task_id` and `model_answer` for "gaia".
    Raises: UserError for another benchmark, no answers, or an answer that is no text.
    """
    id_field, answer_field = _choose("benchmark", benchmark, _SUBMISSION_FIELDS)
    if not answers:
        raise UserError(f"{path}: expected at least one answer to submit, got none")
    lines = []
    for task_id, text in answers.items():
        if not isinstance(text, str):
            raise UserError(f"task {task_id}: expected the answer as text, got {type(text).__name__}")
        lines.append(json.dumps({id_field: task_id, answer_field: text}) + "\n")
    write_text(Path(path), "".join(lines))


def _choose(setting: str, value: str, choices: Mapping[str, Any]) -> Any:
    if value not in choices:
        raise UserError(f"{setting}: expected one of {', '.join(choices)}, got {value!r}")
    return choices[value]


def _reference(answer: Any, split: str) -> str | None:
    """The reference answer as text; None where the split withholds it, even if a placeholder stands there."""
    if split == "test" or answer is None:
        return None
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return text if text.strip() not in ("", "?") else None


def _gaia_task(row: Mapping[str, Any], folder: Path, split: str) -> Task:
    task_id, level = str(row["task_id"]), str(row["Level"])
    if not level.isdecimal() or int(level) not in _DIFFICULTY_OF_LEVEL:
        raise UserError(f"GAIA task {task_id}: expected Level 1, 2 or 3, got {row['Level']!r}")
    path = _attachment(row, folder, split)
    return Task(
        task_id=task_id,
        question=str(row["Question"]),
        answer=_reference(row["Final answer"], split),
        split=split,
        family="gaia",
        difficulty=_DIFFICULTY_OF_LEVEL[int(level)],
        scoring="gaia",
        attachments=(f"attachment{path.suffix.lower()}",) if path else (),
        level=int(level),
        attachment_paths=(str(path),) if path else (),
    )


def _attachment(row: Mapping[str, Any], folder: Path, split: str) -> Path | None:
    """Where a row's file lies; the hub's cache links it from elsewhere, so the path is checked by its words alone."""
    named = row["file_path"] or (f"2023/{split}/{row['file_name']}" if row["file_name"] else "")
    if not named:
        return None
    parts = PurePosixPath(str(named)).parts
    if parts[0] == "/" or ".." in parts or "\\" in str(named):
        raise UserError(f"GAIA task {row['task_id']}: expected an attachment inside {folder}, got {named!r}")
    path = folder.joinpath(*parts)
    if not path.is_file():
        raise UserError(f"GAIA task {row['task_id']}: its attachment {named} is missing in {folder}")
    return path


def _rows(file_format: str, path: Path, required: tuple[str, ...], **options: Any) -> list[dict[str, Any]]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected a folder laid out like the dataset on the hub")
    import datasets

    try:  # streaming reads the file itself; the scratch folder only takes lock files
        with tempfile.TemporaryDirectory() as scratch:
            rows = list(
                datasets.load_dataset(
                    file_format,
                    data_files=str(path),
                    split="train",
                    streaming=True,
                    cache_dir=scratch,
                    **options,
                )
            )
    except Exception as error:  # broken files surface as many types, from pyarrow and from datasets
        raise UserError(f"{path}: not a readable {file_format} file ({_first_line(error)})") from error
    missing = sorted({column for column in required for row in rows if column not in row})
    if missing:
        raise UserError(f"{path}: expected the columns {', '.join(required)}; missing {', '.join(missing)}")
    return rows


def _older_gaia_rows(path: Path, levels: str) -> list[dict[str, Any]]:
    """The rows of these levels; a level that is none of three stays, for its error to be told.

    Raises:
        UserError: a line that is no row of the data set.
    """
    rows = []
    for number, line in enumerate(path.read_bytes().decode("utf-8-sig", "replace").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise UserError(f"{path}: line {number} is not JSON") from None
        missing = [name for name in ("task_id", "Question", "Level") if not isinstance(row, dict) or name not in row]
        if missing:
            raise UserError(f"{path}: line {number}: expected the fields {', '.join(missing)}, got {show(row)}")
        if str(row["Level"]) in levels or str(row["Level"]) not in "123":
            rows.append(dict.fromkeys(_GAIA_COLUMNS) | {name: row[name] for name in _GAIA_COLUMNS if name in row})
    return rows


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _local_folder(source: str, pattern: str, revision: str | None) -> Path:
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if source.startswith((".", "/", "~")) or source.count("/") != 1:
        raise UserError(f"{source}: no such folder; expected a folder or a hub id such as owner/name")
    return fetch_repository(source, "dataset", [pattern], revision=revision)
