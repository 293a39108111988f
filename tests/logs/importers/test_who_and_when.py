"""Who&When logs: a whole log read by hand, and the oddities of roles, labels and endings."""

import json
import math

import pytest

from lts_jax.errors import UserError
from lts_jax.logs.importers import detect_format, import_who_and_when
from lts_jax.records import StopReason

STALLED = json.dumps({"is_in_loop": {"answer": True}, "is_progress_being_made": {"answer": True}})
LOG = {
    "question": "Where?\n",
    "ground_truth": "Here",
    "question_ID": "e1fc63a2-da7a-432f-be78-7c4a95598703",
    "level": 2,
    "mistake_agent": "WebSurfer",
    "mistake_step": "3",
    "mistake_reason": "clicked wrongly",
    "history": [
        {"role": "human", "content": "Where?"},
        {"role": "Orchestrator (thought)", "content": "Initial plan: look."},
        {"role": "Orchestrator (-> WebSurfer)", "content": "Search it."},
        {"role": "Orchestrator (thought)", "content": "Next speaker WebSurfer"},
        {"role": "WebSurfer", "content": "I clicked 'Go'.\nA page."},
        {"role": "Orchestrator (thought)", "content": f"Updated Ledger:\n{STALLED}"},
        {"role": "Orchestrator (-> FileSurfer)", "content": "Open it."},
        {"role": "FileSurfer", "content": "Traceback (most recent call last): x"},
        {"role": "Orchestrator (thought)", "content": "Stalled.... Replanning..."},
        {
            "role": "Orchestrator (termination condition)",
            "content": "Max rounds (30) reached.\nFINAL ANSWER: There\nDONE",
        },
    ],
}


def read(tmp_path, **changes):
    log = {name: value for name, value in {**LOG, **changes}.items() if value is not ...}
    (tmp_path / "5.json").write_text(json.dumps(log))
    return import_who_and_when(tmp_path / "5.json").tasks[0]


def test_a_log_read_by_hand(tmp_path):
    recorded = read(tmp_path, mistake_step="2")
    task = recorded.task
    assert (task.question, task.answer, task.scoring, task.difficulty) == ("Where?", "Here", "gaia", "2")
    web, file = (item.step for item in recorded.runs[0].steps)
    assert (web.agent, web.instruction, web.action) == ("WebSurfer", "Search it.", "I clicked 'Go'.")
    assert (web.output, web.failed) == ("I clicked 'Go'.\nA page.", False)
    assert (file.agent, file.instruction, file.action, file.failed) == ("FileSurfer", "Open it.", "", True)
    answer = recorded.runs[0].answer
    assert (answer.text, answer.stop_reason) == ("There", StopReason.ROUND_LIMIT)
    assert (answer.num_steps, answer.num_replans, answer.num_stalls) == (2, 1, 1)
    assert (recorded.mistake.agent, recorded.mistake.message, recorded.mistake.step) == ("WebSurfer", 2, 0)
    assert recorded.runs[0].outcome.score == 0.0 and recorded.runs[0].notes == ()
    assert recorded.runs[0].steps[0].prompt_characters == len(
        "Where?Initial plan: look.Search it.Next speaker WebSurfer"
    )


@pytest.mark.parametrize(
    ("where", "message", "step"),
    [
        ("4", 4, 0),
        (7, 7, 1),
        ("Step 6", 6, 1),
        ("1", 1, -1),
        ("none", -1, -1),
        ("99", 99, -1),
        ("-1", -1, -1),
        (4, 4, 0),
    ],
)
def test_the_label_points_at_a_step(tmp_path, where, message, step):
    mistake = read(tmp_path, mistake_step=where).mistake
    assert (mistake.message, mistake.step) == (message, step)


def test_a_log_without_a_label_has_no_mistake_and_no_score(tmp_path):
    bare = read(tmp_path, mistake_agent=..., mistake_step=..., mistake_reason=..., level=..., question_ID=...)
    assert bare.mistake is None and math.isnan(bare.runs[0].outcome.score)
    assert (bare.task.task_id, bare.task.scoring) == ("5", "assistantbench")
    assert (
        read(tmp_path, mistake_agent=..., mistake_step=None, mistake_reason=..., is_correct=True).runs[0].outcome.score
        == 1.0
    )


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        ("No agent selected.", StopReason.SATISFIED),
        ("Max time (1500s) reached.", StopReason.TIME_LIMIT),
        ("Max Replans reached", StopReason.REPLAN_LIMIT),
        ("???", StopReason.CRASHED),
    ],
)
def test_endings(tmp_path, ending, reason):
    history = [*LOG["history"][:-1], {"role": "Orchestrator (termination condition)", "content": ending}]
    assert read(tmp_path, history=history).runs[0].answer.stop_reason == reason


def test_a_log_that_just_stops_counts_as_crashed(tmp_path):
    answer = read(tmp_path, history=LOG["history"][:5]).runs[0].answer
    assert (answer.stop_reason, answer.text) == (StopReason.CRASHED, "") and "without a termination" in answer.detail


def talk(*messages):
    return [
        {"role": "human", "content": "Q"},
        *({"role": "user", "name": name, "content": text} for name, text in messages),
    ]


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        (
            [("Expert", "It is 4."), ("Computer_terminal", "There is no code to run."), ("Expert", "TERMINATE")],
            "It is 4.",
        ),
        ([("Expert", "FINAL ANSWER: 4\n\nTERMINATE")], "4"),
        ([("Expert", "print(4)"), ("Computer_terminal", "exitcode: 0\n4"), ("Checker", "4, so TERMINATE.")], "4, so"),
    ],
)
def test_the_word_terminate_is_an_end_and_no_crash(tmp_path, messages, text):
    answer = read(tmp_path, history=talk(*messages)).runs[0].answer
    assert (answer.stop_reason, answer.text, answer.detail) == (StopReason.SATISFIED, text, "")


def test_code_that_failed_is_a_failed_step(tmp_path):
    run = read(tmp_path, history=talk(("A", "print(n)"), ("Computer_terminal", "exitcode: 1 (execution failed)"))).runs[
        0
    ]
    assert [item.step.failed for item in run.steps] == [False, True]


@pytest.mark.parametrize("form", ["json", "jsonl", "parquet"])
def test_a_table_of_logs_is_read_row_by_row(tmp_path, form):
    import pyarrow as pa
    import pyarrow.parquet as pq

    history = [{"role": "human", "content": "Q", "name": None}, {"role": "assistant", "content": "A", "name": "Expert"}]
    rows = [
        {**LOG, "history": history, "question": f"q{n}", "question_ID": name}
        for n, name in enumerate(["x", "y", "x", None])
    ]
    file = tmp_path / f"table.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
        pq.write_table(pa.table({"other": [1]}), tmp_path / "of_something_else.parquet")
    else:
        file.write_text(json.dumps(rows) if form == "json" else "\n".join(map(json.dumps, rows)))
    for path in (file, tmp_path):
        assert detect_format(path) == "who_and_when"
        tasks = import_who_and_when(path).tasks
        assert [(item.task.task_id, item.task.question) for item in tasks] == [
            ("x", "q0"), ("y", "q1"), ("x#2", "q2"), ("table-3", "q3"),
        ]  # fmt: skip
        assert tasks[0].runs[0].steps[0].step.agent == "Expert" and tasks[0].mistake is not None
    assert read(tmp_path, history=json.dumps(history)).runs[0].steps[0].step.agent == "Expert"


def test_odd_messages_are_read_and_noted(tmp_path):
    history = [
        {"role": "user", "name": "human", "content": "Q from history"},
        {"role": "assistant", "name": "Coder_1", "content": None},
        {"role": "orchestrator(->WebSurfer)", "content": "Never answered."},
        {"role": "Orchestrator (-> WebSurfer)", "content": "Answered."},
        {"role": "WebSurfer", "content": "first"},
        {"role": "WebSurfer", "content": "again"},
        {"role": "Orchestrator", "content": "plain thought {"},
    ]
    recorded = read(tmp_path, history=history, question=...)
    steps = [item.step for item in recorded.runs[0].steps]
    assert recorded.task.question == "Q from history"
    assert [(step.agent, step.instruction) for step in steps] == [
        ("Coder_1", "Q from history"), ("WebSurfer", "Answered."), ("WebSurfer", "Answered."),
    ]  # fmt: skip
    assert steps[0].failed
    assert recorded.runs[0].notes == (
        "message 5: WebSurfer speaks without a new instruction",
        "1 instructions have no reply",
    )


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"history": []}', '{"question": "q", "history": [{"content": "x"}]}',
                '{"history": [{"role": "WebSurfer", "content": "x"}]}', '{"question": "q", "history": ["x"]}'],
)  # fmt: skip
def test_a_bad_log_is_an_error_that_names_the_file(tmp_path, content):
    (tmp_path / "broken.json").write_text(content)
    with pytest.raises(UserError, match=r"broken\.json"):
        import_who_and_when(tmp_path / "broken.json")


def test_a_folder_is_read_in_order_of_its_numbers_and_never_by_half(tmp_path):
    for number in (10, 2, 1):
        (tmp_path / f"{number}.json").write_text(json.dumps({**LOG, "question": f"q{number}"}))
    assert detect_format(tmp_path) == "who_and_when"
    assert [item.task.question for item in import_who_and_when(tmp_path).tasks] == ["q1", "q2", "q10"]
    (tmp_path / "3.json").write_text('{"history": 1}')
    with pytest.raises(UserError, match=r"3\.json"):
        import_who_and_when(tmp_path)
    imported = import_who_and_when(tmp_path, skip_bad=True)
    assert len(imported.tasks) == 3 and len(imported.problems) == 1


def test_a_log_without_an_orchestrator_is_a_conversation(tmp_path):
    history = [
        {"role": "human", "content": "Q"},
        {"role": "assistant", "name": "Excel_Expert", "content": "Run it."},
        {"role": "user", "name": "Computer_terminal", "content": "exitcode: 0"},
        {"role": "assistant", "name": "Excel_Expert", "content": "It is 4."},
    ]
    run = read(tmp_path, history=history).runs[0]
    assert [(item.step.agent, item.step.instruction) for item in run.steps] == [
        ("Excel_Expert", "Q"),
        ("Computer_terminal", "Run it."),
        ("Excel_Expert", "exitcode: 0"),
    ]
    assert run.notes == ()
