"""tau-bench logs: a whole run read by hand, and every oddity that such logs show."""

import json
import math

import pytest

from lts_jax.errors import UserError
from lts_jax.logs.importers import detect_format, import_recorded, import_tau_bench, recorded_rollout
from lts_jax.logs.importers.tool_calls import canonical_call
from lts_jax.records import StopReason


def call(name, arguments, call_id="c1"):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def agent(*calls, content=None):
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def result(content, call_id="c1", name="get_user"):
    return {"role": "tool", "tool_call_id": call_id, "name": name, "content": content}


SYSTEM = {"role": "system", "content": "Policy."}
HELLO = {"role": "user", "content": "Hello"}


def write(path, runs):
    path.write_text(json.dumps(runs))
    return path


def steps_of(tmp_path, *messages):
    run = {"task_id": 0, "trial": 0, "reward": 1.0, "traj": [SYSTEM, HELLO, *messages]}
    return import_tau_bench(write(tmp_path / "log.json", [run])).tasks[0].runs[0]


def test_a_run_read_by_hand(tmp_path):
    run = {
        "task_id": 7,
        "trial": 0,
        "reward": 1.0,
        "info": {"task": {"instruction": "You are mia.", "actions": [{"name": "book"}]}},
        "traj": [
            SYSTEM,  # 7 characters
            HELLO,  # 5
            {"role": "assistant", "content": "Who are you?"},  # 12
            {"role": "user", "content": "mia_1"},  # 5
            agent(call("get_user", '{"user_id": "mia_1"}')),  # get_user({"user_id":"mia_1"}): 29
            result("Error: none"),  # 11
            {"role": "assistant", "content": "Goodbye."},
            {"role": "user", "content": "###STOP###"},
        ],
    }
    (recorded,) = import_recorded(write(tmp_path / "log.json", [run])).tasks
    assert (recorded.task.task_id, recorded.task.question, recorded.task.answer) == ("7", "You are mia.", None)
    ask, look, bye = recorded.runs[0].steps
    assert (ask.step.instruction, ask.step.action, ask.step.output) == ("Hello", "", "Who are you?")
    assert (ask.prompt_characters, ask.reply_characters, ask.customer_characters) == (12, 12, 5)
    assert (look.tool, look.step.action, look.step.output) == (
        "get_user",
        'get_user({"user_id":"mia_1"})',
        "Error: none",
    )
    assert (look.prompt_characters, look.reply_characters, look.customer_characters) == (29, 29, 0)
    assert look.step.failed and not ask.step.failed
    assert (look.step.instruction, bye.step.instruction) == ("mia_1", "Error: none")
    assert (bye.prompt_characters, bye.customer_characters) == (69, 10)
    assert [item.step.step for item in recorded.runs[0].steps] == [0, 1, 2]
    assert recorded.runs[0].answer.text == "Goodbye." and recorded.runs[0].notes == ()


def test_tasks_and_trials_come_in_order_and_make_one_rollout(tmp_path):
    traj = [SYSTEM, HELLO, {"role": "assistant", "content": "Hi"}]
    runs = [
        {"task_id": task, "trial": trial, "reward": reward, "traj": traj}
        for task, trial, reward in [(10, 0, 0.0), (9, 1, 1.0), (9, 0, 0.5), (10, 1, 0.0)]
    ]
    tasks = import_tau_bench(write(tmp_path / "log.json", runs)).tasks
    assert [item.task.task_id for item in tasks] == ["9", "10"]
    assert [run.trial for run in tasks[0].runs] == [0, 1]
    rollout = recorded_rollout(tasks[0])
    assert rollout.num_teams == 2 and [step.team for step in rollout.steps] == [0, 1]
    assert (rollout.reward_agg, rollout.reward_first) == (0.75, 0.5)
    assert [answer.team for answer in rollout.answers] == [0, 1]


def test_equal_calls_have_one_spelling():
    assert canonical_call("f", '{"b": 1, "a": [1, {"d": 1, "c": 2}]}') == 'f({"a":[1,{"c":2,"d":1}],"b":1})'
    assert canonical_call("f", {"b": 1}) == canonical_call("f", '{ "b" : 1 }') == 'f({"b":1})'
    assert canonical_call("f", "") == canonical_call("f", None) == canonical_call("f", "{}") == "f({})"
    assert canonical_call("f", "[" * 100_000) == f"f({'[' * 100_000})"
    assert canonical_call("f", '{"a": "\\ud800"}') == 'f({"a":"\ufffd"})'
    assert canonical_call("f", '{"a": 1,\n  oops') == 'f({"a": 1, oops)'
    assert canonical_call("f", '{"a": "é"}') == 'f({"a":"é"})'


def test_several_calls_of_one_message_get_their_own_results_and_ask_the_model_once(tmp_path):
    run = steps_of(
        tmp_path,
        agent(call("get_a", "{}", "x"), call("get_b", "{}", "y"), content="Both."),
        result("B", "y", "get_b"),
        result("A", "x", "get_a"),
    )
    first, second = run.steps
    assert (first.step.output, second.step.output) == ("A", "B")
    assert (first.asks_model, second.asks_model) == (True, False)
    assert (first.reply_characters, second.reply_characters) == (len("Both.get_a({})get_b({})"), 0)
    assert (first.said, second.said, first.step.action) == ("Both.", "", "get_a({})")


def test_what_is_said_beside_a_call_is_kept_in_the_rollout_and_not_in_the_call(tmp_path):
    tools = steps_of(tmp_path, agent(call("get_a", "{}"), content="I look."), result("A", name="get_a"))
    words = {"role": "assistant", "content": 'Thought: I look.\nAction:\n{"name": "get_a", "arguments": {}}'}
    texts = steps_of(tmp_path, words, {"role": "user", "content": "API output: A"})
    assert [run.steps[0].said for run in (tools, texts)] == ["I look.", "Thought: I look."]
    assert [run.steps[0].step.action for run in (tools, texts)] == ["get_a({})", "get_a({})"]
    (recorded,) = import_tau_bench(tmp_path / "log.json").tasks
    assert recorded_rollout(recorded).steps[0].action == "Thought: I look.\nget_a({})"


def test_a_result_without_an_id_goes_to_the_last_message_not_to_an_older_call(tmp_path):
    run = steps_of(
        tmp_path, agent(call("get_user", "{}")), agent(call("get_user", "{}")), result("late", None, "get_user")
    )
    assert [item.step.output for item in run.steps] == ["", "late"]
    assert run.notes == ("step 0: the call has no result",)


def test_a_result_without_a_call_is_context_and_noted(tmp_path):
    run = steps_of(tmp_path, result("stray"), {"role": "assistant", "content": "Hi"})
    assert len(run.steps) == 1 and run.steps[0].step.instruction == "stray"
    assert run.notes == ("message 2: a tool result without a call; kept as context only",)


def test_missing_fields_and_other_spellings_are_read(tmp_path):
    run = {
        "task_id": "t",
        "traj": [
            {"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": "you"}]},
            {"role": "critic", "content": "hm"},
            {"role": "assistant", "function_call": {"name": "get_a", "arguments": "{bad"}},
            {"role": "function", "name": "get_a", "content": None},
            {"role": "assistant", "content": 'Thought: x\nAction:\n{"name": "get_b", "arguments": {"k": 1}}'},
            {"role": "user", "content": "API output: 42"},
            {"role": "assistant", "tool_calls": [{"id": "z", "name": "get_c", "arguments": {}}, None, {"id": 1}]},
            {"role": "tool", "id": "z", "content": "flat"},
            {"role": "assistant", "content": None, "tool_calls": None},
            {},
        ],
    }
    (recorded,) = import_tau_bench(write(tmp_path / "log.json", [run])).tasks
    steps = recorded.runs[0].steps
    assert recorded.task.question == "Hello\nyou"
    assert [item.step.action for item in steps] == ["get_a({bad)", 'get_b({"k":1})', "get_c({})", ""]
    assert [item.step.output for item in steps] == ["", "42", "flat", ""]
    assert math.isnan(recorded.runs[0].outcome.score) and math.isnan(recorded_rollout(recorded).reward_agg)
    assert "no reward" in recorded.runs[0].notes and any("'critic'" in note for note in recorded.runs[0].notes)


def test_a_run_that_died_before_its_first_message_is_kept_as_crashed(tmp_path):
    run = {"task_id": 1, "trial": 0, "reward": 0.0, "info": {"error": "RateLimit\nmore"}, "traj": []}
    (recorded,) = import_tau_bench(write(tmp_path / "log.json", [run])).tasks
    answer = recorded.runs[0].answer
    assert (answer.stop_reason, answer.detail, answer.num_steps) == (StopReason.CRASHED, "RateLimit", 0)


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "{}", "[1]", '[{"task_id": 1}]', '[{"traj": []}]', '[{"task_id": 1, "traj": {}}]',
     '[{"task_id": 1, "traj": [null]}]', "3", '"text"'],
)  # fmt: skip
def test_a_bad_log_is_an_error_that_names_the_file(tmp_path, content):
    file = tmp_path / "broken.json"
    file.write_text(content)
    with pytest.raises(UserError, match=r"broken\.json") as error:
        import_tau_bench(file)
    assert "\n" not in str(error.value)


def test_a_folder_fails_on_a_bad_log_unless_told_to_skip_it(tmp_path):
    good = [{"task_id": 3, "trial": 0, "reward": 1, "traj": [HELLO, {"role": "assistant", "content": "Hi"}]}]
    write(tmp_path / "a.json", good)
    (tmp_path / "b.json").write_text("[{]")
    (tmp_path / "other.json").write_text('{"question": "q", "history": []}')
    with pytest.raises(UserError, match=r"b\.json"):
        import_tau_bench(tmp_path)
    imported = import_tau_bench(tmp_path, skip_bad=True)
    assert len(imported.tasks) == 1 and len(imported.problems) == 1 and "b.json" in imported.problems[0]
    write(tmp_path / "b.json", good)
    assert [item.task.task_id for item in import_tau_bench(tmp_path).tasks] == ["a/3", "b/3"]
    with pytest.raises(UserError, match="several formats"):
        detect_format(tmp_path)


def test_paths_without_logs_are_errors(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        import_recorded(tmp_path / "absent")
    with pytest.raises(UserError, match=r"no \.json file"):
        import_recorded(tmp_path)
