"""tau2-bench results: simulations as runs of tau-bench, with what the simulated customer does on his own left out."""

import json

import pytest

from lts_jax.logs.importers import detect_format, import_recorded
from lts_jax.records import StopReason

ASKED = {"role": "assistant", "content": "Hi! How can I help?"}
CUSTOMER = {"role": "user", "content": "My phone has no signal.", "tool_calls": None}
CALL = {"id": "c1", "name": "get_line", "arguments": {"id": "L1"}, "requestor": "assistant"}
LOOKS = {"role": "assistant", "content": "Let me see.", "tool_calls": [CALL]}
FOUND = {"id": "c1", "role": "tool", "content": "active", "requestor": "assistant", "error": False}
PHONE = {
    "role": "user",
    "content": None,
    "tool_calls": [{"id": "u1", "name": "restart", "arguments": {}, "requestor": "user"}],
}
RESTARTED = {"id": "u1", "role": "tool", "content": "restarted", "requestor": "user", "error": False}


def simulation(task, trial, messages, reward=1.0, ended="user_stop"):
    return {
        "id": f"{task}-{trial}", "task_id": task, "trial": trial, "termination_reason": ended,
        "reward_info": None if reward is None else {"reward": reward}, "messages": messages,
    }  # fmt: skip


def read(tmp_path, value):
    file = tmp_path / "results.json"
    file.write_text(value if isinstance(value, str) else json.dumps(value))
    assert detect_format(file) == "tau_bench"
    return import_recorded(file).tasks


def results(*simulations, instructions="Get a signal."):
    tasks = [{"id": "7", "user_scenario": {"persona": None, "instructions": instructions}}]
    return {"timestamp": "x", "info": {"num_trials": 2}, "tasks": tasks, "simulations": list(simulations)}


def test_trials_of_a_task_are_its_runs_in_order(tmp_path):
    talk = [ASKED, CUSTOMER, LOOKS, FOUND, {"role": "assistant", "content": "It works."}]
    (task,) = read(tmp_path, results(simulation("7", 1, talk, 0.0), simulation("7", 0, talk)))
    assert (task.task.task_id, task.task.question) == ("7", "Get a signal.")
    assert [(run.trial, run.outcome.score) for run in task.runs] == [(0, 1.0), (1, 0.0)]
    hello, look, done = task.runs[0].steps
    assert (hello.step.output, hello.customer_characters) == ("Hi! How can I help?", len("My phone has no signal."))
    assert (look.step.action, look.step.output, look.said) == ('get_line({"id":"L1"})', "active", "Let me see.")
    assert (task.runs[0].answer.text, task.runs[0].answer.stop_reason) == ("It works.", StopReason.SATISFIED)
    assert done.step.instruction == "active" and task.runs[0].notes == ()


def test_what_the_customer_does_on_a_device_of_his_own_is_no_step(tmp_path):
    (task,) = read(tmp_path, results(simulation("7", 0, [ASKED, PHONE, RESTARTED, CUSTOMER, LOOKS, FOUND])))
    assert [item.tool for item in task.runs[0].steps] == ["", "get_line"] and task.runs[0].notes == ()
    assert task.runs[0].steps[1].step.instruction == "My phone has no signal."


def test_results_that_stand_together_and_errors(tmp_path):
    second = CALL | {"id": "c2", "name": "get_bill"}
    both = {"role": "tool", "tool_messages": [FOUND | {"id": "c2", "content": "no bill", "error": True}, FOUND]}
    (task,) = read(tmp_path, results(simulation("7", 0, [LOOKS | {"tool_calls": [CALL, second]}, both])))
    first, other = task.runs[0].steps
    assert (first.step.output, first.step.failed) == ("active", False)
    assert (other.step.output, other.step.failed, other.said) == ("no bill", True, "")


@pytest.mark.parametrize(
    ("ended", "reason", "detail"),
    [
        ("agent_stop", StopReason.SATISFIED, ""),
        ("max_steps", StopReason.ROUND_LIMIT, "max_steps"),
        ("too_many_errors", StopReason.CRASHED, "too_many_errors"),
        (None, StopReason.SATISFIED, ""),
    ],
)
def test_how_a_simulation_ended(tmp_path, ended, reason, detail):
    (task,) = read(tmp_path, results(simulation("7", 0, [ASKED], None, ended)))
    assert (task.runs[0].answer.stop_reason, task.runs[0].answer.detail) == (reason, detail)
    assert task.runs[0].notes == ("no reward",)


def test_instructions_in_parts_and_simulations_alone(tmp_path):
    parts = {
        "domain": "x",
        "reason_for_call": "No signal.",
        "known_info": "You are Ann.",
        "task_instructions": "Insist.",
    }
    (task,) = read(tmp_path, results(simulation("7", 0, [ASKED]), instructions=parts))
    assert task.task.question == "No signal.\nYou are Ann.\nInsist."
    lines = "\n".join(json.dumps(simulation("7", trial, [CUSTOMER, ASKED])) for trial in (0, 1))
    (task,) = read(tmp_path, lines)
    assert len(task.runs) == 2 and task.task.question == "My phone has no signal."
