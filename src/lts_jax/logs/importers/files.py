"""Finding and opening logs: JSON files, which format each is, and the text of a message in its several spellings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from lts_jax.errors import UserError
from lts_jax.storage import parse_json, read_json

TAU_BENCH = "tau_bench"
WHO_AND_WHEN = "who_and_when"
AUTOGEN = "autogen"
EXPECTED = {
    TAU_BENCH: 'a JSON list of runs, each an object with "task_id" and a list "traj" of chat messages',
    WHO_AND_WHEN: 'a JSON object with a text "question" and a list "history" of {"role", "content"} messages',
    AUTOGEN: "a TaskResult, a saved team state or the event log of AutoGen, as JSON or JSON lines",
}
_FAILURES = ("Traceback (most recent call last)", "Error processing publish message")
T = TypeVar("T")


def find_logs(path: Path | str) -> list[Path]:
    """The logs that a path stands for: itself, or all JSON below a folder, in order of their names (1, 2, ..., 10).

    Raises:
        UserError: no such file or folder, or a folder without a JSON file.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder; expected a log or a folder of recorded runs")
    found = [file for file in path.rglob("*.json*") if file.suffix in (".json", ".jsonl") and _is_log(file)]
    if not found:
        raise UserError(f"{path}: no .json file in this folder; expected recorded runs")
    return sorted(found, key=lambda file: (str(file.parent), *_natural(file.stem)))


def log_format(value: Any) -> str | None:
    """Name of the format that a parsed JSON value looks like by its outermost shape, or None."""
    if isinstance(value, list) and any(isinstance(run, dict) and "traj" in run for run in value):
        return TAU_BENCH
    if isinstance(value, dict) and "history" in value:
        return WHO_AND_WHEN
    if isinstance(value, dict) and ("agent_states" in value or "messages" in value):
        return AUTOGEN
    if isinstance(value, list) and any(isinstance(line, dict) and _is_autogen(line) for line in value):
        return AUTOGEN
    return None


def read_log(file: Path) -> Any:
    """A log's JSON value; a file of JSON lines is the list of them, each without what a logger writes before it.

    Raises:
        UserError: the file is neither.
    """
    try:
        return read_json(file)
    except UserError:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        found = [value for line in lines if (value := _line_value(line)) is not None]
        if not found:
            raise
        return found


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
            value = read_log(file)
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


def _is_log(file: Path) -> bool:
    return file.is_file() and not file.name.startswith(".")


def _is_autogen(line: dict[str, Any]) -> bool:
    return ("payload" in line and "delivery_stage" in line) or ("source" in line and "type" in line)


def _line_value(line: str) -> Any:
    """The JSON object that a line ends with, or None."""
    start = line.find("{")
    try:
        return parse_json(line[start:], "") if start >= 0 else None
    except ValueError:
        return None


def _natural(stem: str) -> tuple[int, int, str]:
    return (0, int(stem), "") if stem.isdecimal() else (1, 0, stem)
