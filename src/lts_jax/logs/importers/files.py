"""Finding logs and telling which format each is, and the text of a message in its several spellings."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from lts_jax.errors import UserError
from lts_jax.llm.well_formed import replace_surrogates
from lts_jax.logs.importers.log_values import Log, has_columns, read_log

TAU_BENCH = "tau_bench"
WHO_AND_WHEN = "who_and_when"
AUTOGEN = "autogen"
VERIFIERS = "verifiers"
INSPECT = "inspect"
OTEL = "otel"
EXPECTED = {
    TAU_BENCH: 'a JSON list of runs, each an object with "task_id" and a list "traj" of chat messages, or the '
    '"simulations" of tau2-bench',
    WHO_AND_WHEN: 'a JSON object with a text "question" and a list "history" of {"role", "content"} messages, or a '
    "table of them",
    VERIFIERS: 'JSON lines of rollouts of verifiers, each with "prompt", "completion" and "reward"',
    INSPECT: 'an inspect log as JSON, an object with "eval" and "samples"',
    OTEL: "spans of OpenTelemetry's GenAI convention (gen_ai.operation.name), as OTLP JSON or a span a line",
    AUTOGEN: "a TaskResult, a saved team state, a chat history or the event log of AutoGen, as JSON or JSON lines",
}
_FAILURES = ("Traceback (most recent call last)", "Error processing publish message")
_EXIT_CODE = re.compile(  # in the first line of what is told of a program
    r"(?:(?:the )?(?:script|process|command|program|execution)\b.{0,60}?)?\bexit ?(?:code|status):? ?-?[1-9]",
    re.IGNORECASE,
)
_TERMINATE = re.compile(r"(?<![A-Za-z0-9])TERMINATE(?![A-Za-z0-9])[\s*_`\"')\].!]*+$")
_PICTURES = frozenset(("data", "image", "image_url"))
T = TypeVar("T")


def find_logs(path: Path | str) -> list[Path]:
    """The logs that a path stands for: itself, or all JSON below a folder, in order of their names (1, 2, ..., 10).

    Parquet tables of a folder are among them where they have a column `history`.

    Raises:
        UserError: no such file or folder, or a folder without a log.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder; expected a log or a folder of recorded runs")
    found = [file for file in path.rglob("*.json*") if file.suffix in (".json", ".jsonl") and _is_log(file)]
    found += [file for file in path.rglob("*.parquet") if _is_log(file) and has_columns(file, "history")]
    if not found:
        raise UserError(f"{path}: no .json file in this folder; expected recorded runs")
    return sorted(found, key=lambda file: (str(file.parent), *_natural(file.stem)))


def log_format(value: Any) -> str | None:
    """Name of the format that a parsed JSON value looks like by its outermost shape, or None."""
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, dict):
            continue
        if "simulations" in each or "reward_info" in each or (isinstance(value, list) and "traj" in each):
            return TAU_BENCH
        if "history" in each:
            return WHO_AND_WHEN
        if "completion" in each and "prompt" in each:
            return VERIFIERS
        if "samples" in each and "eval" in each:
            return INSPECT
        if "resourceSpans" in each or ("attributes" in each and {"context", "trace_id", "traceId"} & set(each)):
            return OTEL
        if "agent_states" in each or "messages" in each or "chat_history" in each or _is_autogen(each):
            return AUTOGEN
    return None


def read_logs(
    path: Path | str, name: str, parse: Callable[[Log], T], *, skip_bad: bool
) -> tuple[list[tuple[Path, T]], list[str]]:
    """Parse every log of one format under a path. In a folder, logs of the other known formats are left alone.

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
            log = read_log(file)
            if Path(path).is_dir() and log_format(log.value) not in (None, name):
                others += 1
                continue
            parsed.append((file, _parse(parse, log)))
        except UserError as error:
            if not skip_bad:
                raise
            problems.append(str(error))
    if not parsed:
        reason = f"; first problem: {problems[0]}" if problems else f"; {others} files are of another format"
        raise UserError(f"{path}: no log could be read; expected {EXPECTED[name]}{reason}")
    return parsed, problems


def message_text(content: Any) -> str:
    """Text of a chat message's content: a text, None, a list of parts of which the texts are joined, or an object.

    An object that is no part of a message, as a structured reply is, is its JSON; pictures have no text.
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return replace_surrogates(content)
    if isinstance(content, list):
        return "\n".join(filter(None, (message_text(part) for part in content)))
    if isinstance(content, dict):
        text = content.get("text", content.get("content"))
        if text is None and content and "type" not in content and not _PICTURES & set(content):
            return json_text(content)
        return message_text(text)
    return str(content)


def json_text(value: Any, *, in_one_spelling: bool = False) -> str:
    """A value as JSON; in one spelling, with keys sorted and no spaces, equal values are equal texts."""
    separators = (",", ":") if in_one_spelling else None
    return replace_surrogates(json.dumps(value, sort_keys=in_one_spelling, separators=separators, ensure_ascii=False))


def looks_failed(output: str) -> bool:
    """Whether a tool's or worker's reply is empty, an error, a traceback, or of a program that ended with a failure.

    A lower bound: useless pages pass.
    """
    text = output.strip()
    if not text or text.startswith(("Error", "error:")) or any(mark in text for mark in _FAILURES):
        return True
    return _EXIT_CODE.match(text) is not None


def without_termination(text: str) -> tuple[str, bool]:
    """A message without the word TERMINATE at its end, and whether it was there: agents so say that they are done."""
    found = _TERMINATE.search(text)
    return (text[: found.start()].rstrip(" \t\r\n*_`\"'(["), True) if found is not None else (text, False)


def _parse(parse: Callable[[Log], T], log: Log) -> T:
    try:
        return parse(log)
    except RecursionError:
        raise UserError(f"{log.file}: not a log: something in it is nested too deeply to be read") from None


def _is_log(file: Path) -> bool:
    return file.is_file() and not file.name.startswith(".")


def _is_autogen(line: dict[str, Any]) -> bool:
    is_event, is_message = "payload" in line and "delivery_stage" in line, "source" in line and "type" in line
    return is_event or is_message or {"role", "content", "name"} <= set(line)


def _natural(stem: str) -> tuple[int, int, str]:
    return (0, int(stem), "") if stem.isdecimal() else (1, 0, stem)
