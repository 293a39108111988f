"""Credited steps in the forms of other trainers: a trajectory is one team of one rollout, a step's reward its credit.

What they store are whole messages; a run of ours keeps each step's instruction, action and output, so a step's prompt
is its question with its instruction, and its completion the action, or the output of a plain reply.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from lts_jax.errors import UserError
from lts_jax.storage import write_parquet, write_text

Row = Mapping[str, Any]


def verifiers(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Rollouts of verifiers and prime-rl, with `trajectory` steps that carry reward and advantage."""
    for name, steps in _trajectories(rows):
        first = steps[0]
        yield {
            "example_id": first["task"],
            "prompt": [_user(first["question"])],
            "completion": [message for step in steps for message in _said(step)],
            "answer": first["reference"] or "",
            "reward": _number(first["reward"]),
            "info": {"agent_answer": first["answer"], "team": first["team"]},
            "trajectory": [
                {
                    "prompt": _prompt(step),
                    "completion": _completion(step),
                    "reward": step["credit"],
                    "advantage": step["credit"],
                    "is_truncated": False,
                    "trajectory_id": name,
                    "extras": {"decided": step["decided"], "admitted": step["admitted"]},
                }
                for step in steps
            ],
        }


def rllm(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Episodes of rLLM: one rollout, with a trajectory a team."""
    for (iteration, task, number), inner in groupby(
        rows, key=lambda row: (row["iteration"], row["task"], row["rollout"])
    ):
        of_rollout = list(inner)
        yield {
            "id": f"{task}:{iteration}:{number}",
            "task": {"question": of_rollout[0]["question"], "ground_truth": of_rollout[0]["reference"]},
            "is_correct": (_number(of_rollout[0]["reward"]) or 0.0) >= 1.0,
            "trajectories": [
                {
                    "uid": name,
                    "name": f"team{steps[0]['team']}",
                    "task": steps[0]["question"],
                    "reward": _number(steps[0]["reward"]),
                    "steps": [
                        {
                            "id": f"{name}:{step['step']}",
                            "input": _prompt(step),
                            "output": step["output"],
                            "action": step["action"],
                            "reward": step["credit"],
                            "done": step is steps[-1],
                        }
                        for step in steps
                    ],
                }
                for name, steps in _trajectories(of_rollout)
            ],
        }


def trl(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Prompt, completion and reward of each step, as a data set of TRL."""
    for row in rows:
        yield {"prompt": _prompt(row), "completion": _completion(row), "reward": row["credit"]}


def nemo_gym(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Rollouts of NeMo Gym, one a step: the request, the response and its reward."""
    for row in rows:
        text = _completion(row)[0]["content"]
        said = {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        }
        yield {
            "responses_create_params": {"input": _prompt(row)},
            "response": {"output": [said]},
            "reward": row["credit"],
        }


def verl_agent(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Columns of verl-agent's batches: `uid` of the group, `traj_uid`, step and episode rewards, texts."""
    for name, steps in _trajectories(rows):
        for step in steps:
            yield {
                "uid": f"{step['task']}:{step['iteration']}",
                "traj_uid": name,
                "step": step["step"],
                "prompt": _prompt(step)[0]["content"],
                "response": _completion(step)[0]["content"],
                "rewards": step["credit"],
                "episode_rewards": _number(step["reward"]),
                "episode_lengths": len(steps),
                "is_action_valid": not step["failed"],
            }


def steps(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Every column that there is."""
    yield from map(dict, rows)


FORMS: dict[str, tuple[str, Callable[[Iterable[Row]], Iterator[dict[str, Any]]]]] = {
    "steps": (".parquet", steps),
    "verifiers": (".jsonl", verifiers),
    "verl_agent": (".parquet", verl_agent),
    "rllm": (".jsonl", rllm),
    "trl": (".jsonl", trl),
    "nemo_gym": (".jsonl", nemo_gym),
}
"""Forms by name: the ending of their file, and what makes their records of rows."""


def check_form(form: str, path: Path) -> None:
    """Refuse a form that there is not, and a file of another ending. Raises UserError."""
    if form not in FORMS:
        raise UserError(f"form: expected one of {', '.join(FORMS)}, got {form!r}")
    if path.suffix != FORMS[form][0]:
        raise UserError(f"--out: expected a file that ends in {FORMS[form][0]} for {form}, got {path}")


def write_form(form: str, rows: Iterable[Row], path: Path) -> int:
    """Write rows in a form; how many records it has.

    Raises:
        UserError: as `check_form`.
    """
    check_form(form, path)
    ending, make = FORMS[form]
    records = list(make(rows))
    if ending == ".parquet":
        import pyarrow

        write_parquet(path, pyarrow.Table.from_pylist(records))
    else:
        write_text(path, "".join(json.dumps(one, ensure_ascii=False, allow_nan=False) + "\n" for one in records))
    return len(records)


def _trajectories(rows: Iterable[Row]) -> Iterator[tuple[str, list[Row]]]:
    """A name and the steps of each team of each rollout."""
    places = ("task", "iteration", "rollout", "team")
    for place, inner in groupby(rows, key=lambda row: tuple(row[name] for name in places)):
        yield ":".join(map(str, place)), list(inner)


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _prompt(row: Row) -> list[dict[str, str]]:
    told = "" if row["instruction"] == row["question"] else f"\n\n{row['agent']}: {row['instruction']}"
    return [_user(f"{row['question']}{told}")]


def _completion(row: Row) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": row["action"] or row["output"]}]


def _said(row: Row) -> list[dict[str, str]]:
    asked = [_user(row["instruction"])] if row["instruction"] != row["question"] else []
    return [*asked, *_completion(row), *([_user(row["output"])] if row["action"] else [])]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
