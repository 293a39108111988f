"""Credited steps in the forms of other trainers: a trajectory is one team of one rollout, a step's reward its credit.

What they store are whole messages; a run of ours keeps each step's instruction, action and output, so a step's prompt
is its question with its instruction, and its completion the action, or the output of a plain reply. No form has token
ids: a trainer tokenises the texts itself. `tests/adapters/test_trainers.py` reads files with the trainers' own records
where these can be imported; what was compared, and with which version, stands at each form.
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
    """Rollouts of verifiers up to 0.3 and of prime-rl, with `trajectory` steps that carry reward and advantage.

    `RolloutOutput` and `TrajectoryStep` of verifiers 0.1.14, of which no required field is left out: `example_id` is a
    number there, so the task's own id stands in `info`; `timing` is empty, as no wall time was kept; a rollout without
    a score has reward 0 and says in `is_completed` and `stop_condition` that it does not count. Later versions store
    traces: `verifiers_traces`.
    """
    numbers: dict[str, int] = {}
    for name, steps in _trajectories(rows):
        first = steps[0]
        reward = _number(first["reward"])
        yield {
            "example_id": numbers.setdefault(first["task"], len(numbers)),
            "prompt": [_user(first["question"])],
            "completion": [message for step in steps for message in _said(step)],
            "answer": first["reference"] or "",
            "reward": 0.0 if reward is None else reward,
            "timing": {"start_time": 0.0},
            "is_completed": reward is not None,
            "is_truncated": False,
            "stop_condition": None if reward is not None else "no_score",
            "metrics": {},
            "info": {"task": first["task"], "agent_answer": first["answer"], "team": first["team"]},
            "trajectory": [
                {
                    "prompt": _prompt(step),
                    "completion": _completion(step),
                    "response": _response(f"{name}:{step['step']}", step),
                    "tokens": None,
                    "reward": step["credit"],
                    "advantage": step["credit"],
                    "is_truncated": False,
                    "trajectory_id": name,
                    "extras": {"decided": step["decided"], "admitted": step["admitted"]},
                }
                for step in steps
            ],
        }


def verifiers_traces(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Lines of the `traces.jsonl` of verifiers 0.4: an episode a rollout, with a trace a team and a chain of messages.

    `WireEpisode` of verifiers 0.4.0. Its nodes keep advantages by token; as there are no tokens, the credit of each
    sampled node stands in the trace's `info`, in order.
    """
    for (iteration, task, number), inner in _rollouts(rows):
        of_rollout = list(inner)
        told = {"type": "Task", "key": task, "data": _task_data(of_rollout[0])}
        yield {
            "id": f"{task}:{iteration}:{number}",
            "env": {"id": "lts_jax"},
            "group": {"id": f"{task}:{iteration}"},
            "task": told,
            "ok": True,
            "traces": [_trace(name, told, steps) for name, steps in _trajectories(of_rollout)],
        }


def _task_data(row: Row) -> dict[str, Any]:
    return {"id": row["task"], "prompt": row["question"], "answer": row["reference"]}


def _trace(name: str, told: dict[str, Any], steps: list[Row]) -> dict[str, Any]:
    messages = [_user(steps[0]["question"]), *(message for step in steps for message in _said(step))]
    reward = _number(steps[0]["reward"])
    return {
        "version": 1,
        "id": name,
        "task": told,
        "agent": {"config": {}, "name": f"team{steps[0]['team']}"},
        "nodes": [
            {
                "parent": number - 1 if number else None,
                "message": message,
                "sampled": message["role"] == "assistant",
                "timestamp": 0.0,
            }
            for number, message in enumerate(messages)
        ],
        "rewards": {"score": None if reward is None else {"score": reward}},
        "info": {column: [step[column] for step in steps] for column in ("credit", "decided", "admitted")},
        "root_reply": steps[0]["answer"],
        "is_completed": True,
        "ok": True,
    }


def rllm(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Episodes of rLLM: one rollout, with a trajectory a team.

    `Episode`, `Trajectory` and `Step` of rllm/types.py at commit 02f0663, which reads an episode's id as task and
    rollout, parted by a colon. The records that its trainers fill with token ids (rllm/agents/agent.py) are not these.
    """
    for (iteration, task, number), inner in _rollouts(rows):
        of_rollout = list(inner)
        yield {
            "id": f"{task.replace(':', '_')}:{iteration}-{number}",
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
    """Prompt, completion and reward of each step, as a data set of TRL.

    A conversational prompt-completion data set by `trl.data_utils` 1.16.0. No trainer there reads rewards from a data
    set: `reward` is a column more, for a weight, a filter, or the label of KTO (`reward > 0`).
    """
    for row in rows:
        yield {"prompt": _prompt(row), "completion": _completion(row), "reward": row["credit"]}


def nemo_gym(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Rollouts of NeMo Gym, one a step: the request, the response and its reward.

    `BaseVerifyResponse` of nemo_gym at commit 011c338, whose `response` is a whole `Response` of the OpenAI package.
    """
    for row in rows:
        text = _completion(row)[0]["content"]
        name = f"{_name(row)}:{row['step']}"
        said = {
            "id": f"msg:{name}",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        }
        yield {
            "responses_create_params": {"input": _prompt(row)},
            "response": {
                "id": f"resp:{name}",
                "object": "response",
                "created_at": 0.0,
                "model": "lts_jax",
                "output": [said],
                "parallel_tool_calls": False,
                "tool_choice": "none",
                "tools": [],
            },
            "reward": row["credit"],
        }


def verl_agent(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Columns of verl-agent's batches: `uid` of the group, `traj_uid`, step and episode rewards, texts.

    By what agent_system/multi_turn_rollout/rollout_loop.py of verl-agent puts into a batch, read in a copy of it at
    commit 0261955: all that is no tensor. `anchor_obs` is what GiGPO groups steps by: here a step's whole prompt.
    """
    for name, steps in _trajectories(rows):
        num_tools = float(sum(bool(step["action"]) for step in steps))
        for step in steps:
            yield {
                "uid": f"{step['task']}:{step['iteration']}",
                "traj_uid": name,
                "step": step["step"],
                "prompt": _prompt(step)[0]["content"],
                "response": _completion(step)[0]["content"],
                "rewards": step["credit"],
                "episode_rewards": _number(step["reward"]),
                "episode_lengths": float(len(steps)),
                "tool_callings": num_tools,
                "active_masks": True,
                "anchor_obs": _prompt(step)[0]["content"],
                "data_source": "lts_jax",
                "is_action_valid": not step["failed"],
            }


def steps(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Every column that there is."""
    yield from map(dict, rows)


FORMS: dict[str, tuple[str, Callable[[Iterable[Row]], Iterator[dict[str, Any]]]]] = {
    "steps": (".parquet", steps),
    "verifiers": (".jsonl", verifiers),
    "verifiers_traces": (".jsonl", verifiers_traces),
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


def _rollouts(rows: Iterable[Row]) -> Iterator[tuple[tuple[int, str, int], Iterator[Row]]]:
    """(iteration, task, number) and the steps of each rollout."""
    return groupby(rows, key=lambda row: (row["iteration"], row["task"], row["rollout"]))


def _trajectories(rows: Iterable[Row]) -> Iterator[tuple[str, list[Row]]]:
    """A name and the steps of each team of each rollout."""
    for name, inner in groupby(rows, key=_name):
        yield name, list(inner)


def _name(row: Row) -> str:
    return ":".join(str(row[place]) for place in ("task", "iteration", "rollout", "team"))


def _response(name: str, row: Row) -> dict[str, Any]:
    said = {**_completion(row)[0], "finish_reason": "stop", "is_truncated": False}
    return {"id": name, "created": 0, "model": "lts_jax", "message": said}


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
