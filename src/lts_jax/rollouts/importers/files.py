"""Finding and opening logs: JSON files, which format each is, and the text of a message in its several spellings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from lts_jax.errors import UserError
from lts_jax.storage import read_json

TAU_BENCH = "tau_bench"
WHO_AND_WHEN = "who_and_when"
EXPECTED = {
    TAU_BENCH: 'a JSON list of runs, each an object with "task_id" and a list "traj" of chat messages',
    WHO_AND_WHEN: 'a JSON object with a text "question" and a list "history" of {"role", "content"} messages',
}
_FAILURES = ("Traceback (most recent call last)", "Error processing publish message")
T = TypeVar("T")


def find_logs(path: Path | str) -> list[Path]:
    """The JSON files that a path stands for: itself, or all below a folder, in order of their names (1, 2, ..., 10).

    Raises:
        UserError: no such file or folder, or a folder without a JSON file.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder; expected a log or a folder of recorded runs")
    found = [file for file in path.rglob("*.json") if file.is_file() and not file.name.startswith(".")]
    if not found:
        raise UserError(f"{path}: no .json file in this folder; expected recorded runs")
    return sorted(found, key=lambda file: (str(file.parent), *_natural(file.stem)))


def log_format(value: Any) -> str | None:
    """Name of the format that a parsed JSON value looks like by its outermost shape, or None."""
    if isinstance(value, list) and any(isinstance(run, dict) and "traj" in run for run in value):
        return TAU_BENCH
    if isinstance(value, dict) and "history" in value:
        return WHO_AND_WHEN
    return None


def read_logs(
    path: Path | str, name: str, parse: Callable[[Any, Path], T], *, skip_bad: bool
) -> tuple[list[tuple[Path, T]], list[str]]:
    """Parse every log of one format under a path. In a folder, logs of the other known format are left alone.

    Returns the parsed logs with their files, and the problems: one line for each log left out, always empty unless
    `skip_bad`. A folder that holds no log of the format at all is an error either way.

    Raises:
        UserError: a log that is not of the format or cannot be parsed (without `skip_bad`), or none found.
    """
    parsed: list[tuple[Path, T]] = []
    problems: list[str] = []
    others = 0
    for file in find_logs(path):
        try:
            value = read_json(file)
            if Path(path).is_dir() and log_format(value) not in (None, name):
                others += 1
                continue
            parsed.append((file, parse(value, file)))
        except UserError as error:
            if not skip_bad:
                raise
            problems.append(str(error))
    if not parsed:
        reason = f"; first problem: {problems[0]}" if problems else f"; {others} files are of another format"
        raise UserError(f"{path}: no log could be read; expected {EXPECTED[name]}{reason}")
    return parsed, problems


def message_text(content: Any) -> str:
    """Text of a chat message's content: a text, None, or a list of parts of which the texts are joined."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(filter(None, (message_text(part) for part in content)))
    if isinstance(content, dict):
        return message_text(content.get("text", content.get("content")))
    return str(content)


def looks_failed(output: str) -> bool:
    """Whether a tool's or worker's reply is empty, an error line or a traceback. A lower bound: useless pages pass."""
    text = output.strip()
    return not text or text.startswith(("Error", "error:")) or any(mark in text for mark in _FAILURES)


def _natural(stem: str) -> tuple[int, int, str]:
    return (0, int(stem), "") if stem.isdecimal() else (1, 0, stem)
