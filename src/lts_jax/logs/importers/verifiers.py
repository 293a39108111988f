"""Rollouts of verifiers (github.com/PrimeIntellect-ai/verifiers, MIT), as `vf-eval` and prime-rl store them.

JSON lines, each a rollout with `prompt`, `completion` (chat messages, or texts), `reward`, `answer` and the id of its
example. Each tool call and each reply of the model is a step; rollouts of one example are its trials.
"""

from pathlib import Path
from typing import Any

from lts_jax.errors import UserError
from lts_jax.logs.importers.files import EXPECTED, VERIFIERS, message_text, read_logs
from lts_jax.logs.importers.log_values import Log
from lts_jax.logs.importers.recorded import ImportedRuns, RecordedTask
from lts_jax.logs.importers.tau_bench import recorded_tasks


def import_verifiers(path: Path | str, *, skip_bad: bool = False) -> ImportedRuns:
    """Read stored rollouts, or all of them below a folder.

    Raises:
        UserError: the file, and what was expected of it.
    """
    logs, problems = read_logs(path, VERIFIERS, _parse, skip_bad=skip_bad)
    return ImportedRuns(tuple(item for _, log in logs for item in log), tuple(problems))


def _parse(log: Log) -> tuple[RecordedTask, ...]:
    lines = log.value if isinstance(log.value, list) else [log.value]
    return recorded_tasks([_run(line, log, number) for number, line in enumerate(lines, 1)], log, VERIFIERS)


def _run(line: Any, log: Log, number: int) -> dict[str, Any]:
    if not isinstance(line, dict) or "prompt" not in line or "completion" not in line:
        raise UserError(f"{log.file}: rollout {number}: expected {EXPECTED[VERIFIERS]}")
    prompt, completion = _messages(line["prompt"], "user"), _messages(line["completion"], "assistant")
    question = next((message_text(one.get("content")) for one in prompt if one.get("role") == "user"), "")
    name = next((line[key] for key in ("example_id", "id") if line.get(key) is not None), None)
    return {
        "task_id": question[:80] if name is None else name,
        "reward": line.get("reward"),
        "info": {"task": {"instruction": question}, "error": line.get("error")},
        "traj": [*prompt, *completion],
        "reference": message_text(line.get("answer")) or None,
    }


def _messages(value: Any, role: str) -> list[Any]:
    return (
        [{"role": role, "content": value}] if isinstance(value, str) else value if isinstance(value, list) else [None]
    )
