"""Task files of one's own: what is read, what is refused in one line, and how questions are split."""

import json
import sys
import types

import pytest

from lts_jax.errors import UserError
from lts_jax.records import Task
from lts_jax.tasks import own, own_rows
from lts_jax.tasks.own import read_fields, read_tasks, split_tasks

ROWS = [
    {"question": "Who built it?", "answer": "Ada", "id": "a1", "difficulty": "Hard", "note": "x"},
    {"question": " In which year? ", "answer": 1904},
    {"question": "Which colours?", "answer": ["red", "blue"]},
    {"question": "Which ticket?", "answer": {"price": 3}},
]


def written(folder, text, name="qa.jsonl"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_rows_become_tasks_in_their_order(tmp_path):
    tasks = read_tasks(written(tmp_path, b"\xef\xbb\xbf" + lines(*ROWS).encode() + b"\n"), scorer="exact")
    assert [task.answer for task in tasks] == ["Ada", "1904", "red\nblue", '{"price": 3}']
    first = Task("a1", "Who built it?", "Ada", "", family="qa", difficulty="hard", scoring="exact")
    assert tasks[0] == first and tasks[1].question == "In which year?"
    assert len({task.task_id for task in tasks}) == 4 and tasks[1].task_id.startswith("q-")
    again = read_tasks(written(tmp_path, lines({"question": "in  WHICH year?", "answer": 1}), "other.jsonl"))
    assert again[0].task_id == tasks[1].task_id  # of the question's words, not of its place


def test_what_is_told_before_a_question_goes_with_its_task(tmp_path):
    row = {"question": "Which pond?", "answer": "Mill pond"}
    several = row | {"question": "a?", "told": [" heron-4 is Mill pond. ", "", "It rains."]}
    source = written(tmp_path, lines(row, several, row | {"question": "b?", "told": "One text."}))
    assert [task.told for task in read_tasks(source)] == [(), ("heron-4 is Mill pond.", "It rains."), ("One text.",)]
    named = written(tmp_path, lines(row | {"facts": ["x"]}), "named.jsonl")
    assert read_tasks(named, fields="told=facts")[0].told == ("x",)
    for wrong, problem in ((5, "expected told as a text or a list of texts, got 5"), ([1], "got \\[1\\]")):
        with pytest.raises(UserError, match=problem):
            read_tasks(written(tmp_path, lines(row | {"told": wrong}), "wrong.jsonl"))
    with pytest.raises(UserError, match="at most 200,000 characters told, got 200,001"):
        read_tasks(written(tmp_path, lines(row | {"told": "x" * 200_001}), "wrong.jsonl"))


def test_csv_and_parquet_give_the_same_tasks_under_other_names(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "plan.txt").write_text("x")
    csv = written(tmp_path, 'q,a,id,files\n"Who,\nthen?",Ada,1,plan.txt\nWhen?,1904,2,\n', "one.csv")
    rows = [
        {"q": "Who,\nthen?", "a": "Ada", "id": 1, "files": ["plan.txt"]},
        {"q": "When?", "a": "1904", "id": 2, "files": None},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "one.parquet")
    found = read_tasks(csv, fields="question=q, answer=a")
    assert found == read_tasks(str(tmp_path / "one.parquet"), fields="question=q,answer=a")
    assert [task.task_id for task in found] == ["1", "2"]
    assert found[0].attachments == ("plan.txt",) and found[0].attachment_paths == (str(tmp_path / "plan.txt"),)


@pytest.mark.parametrize(
    ("content", "name", "told"),
    [
        (lines(ROWS[0], {"question": " ", "answer": "x"}), "qa.jsonl", r"qa.jsonl:2: expected a question, got ' '"),
        (lines({"question": "Q?"}), "qa.jsonl", r"qa.jsonl:1: no column 'answer' among 'question'; --tasks.fields"),
        (lines({"question": "Q?", "answer": None}), "qa.jsonl", r"qa.jsonl:1: expected an answer, got None"),
        ('{"question": "Q?", "answer": NaN}\n', "qa.jsonl", r"qa.jsonl:1: expected an answer, got nan"),
        (lines(ROWS[0], ROWS[1], {**ROWS[2], "id": "a1"}), "qa.jsonl", r"qa.jsonl:3: repeats the id 'a1' of .*:1$"),
        (lines({**ROWS[0], "id": "a/1"}, {**ROWS[1], "id": "a_1"}), "qa.jsonl", r":2: repeats the id 'a_1'"),
        (lines(ROWS[1], {"question": "in which YEAR?", "answer": 5}), "qa.jsonl", r"qa.jsonl:2: repeats the id 'q-"),
        (lines({**ROWS[0], "id": True}), "qa.jsonl", r"qa.jsonl:1: expected a text or a whole number as id, got True"),
        (lines({**ROWS[0], "id": "x" * 200}), "qa.jsonl", r"qa.jsonl:1: expected an id of 1 to 120 printable bytes"),
        (lines({**ROWS[0], "files": ["../x"]}), "qa.jsonl", r"qa.jsonl:1: expected a file below .*, got '\.\./x'"),
        (lines({**ROWS[0], "files": 3}), "qa.jsonl", r"qa.jsonl:1: expected files as a list of names, got 3"),
        (lines(ROWS[0]) + '{"question": \n', "qa.jsonl", r"qa.jsonl:2: not a line of JSON"),
        (lines(ROWS[0]) + "[" * 100_000 + "\n", "qa.jsonl", r"qa.jsonl:2: not a line of JSON"),
        ("[1]\n", "qa.jsonl", r"qa.jsonl:1: expected a JSON object, got \[1\]"),
        (b'{"question": "Caf\xe9?", "answer": "x"}\n', "qa.jsonl", r"qa.jsonl:1: expected UTF-8, got the byte 0xe9"),
        ('{"question": "\\ud800?", "answer": "x"}\n', "qa.jsonl", r"qa.jsonl:1: holds half of a surrogate pair"),
        (b"x" * (own_rows.MAX_LINE_BYTES + 1), "qa.jsonl", r"qa.jsonl:1: expected lines of at most 1,048,576 bytes"),
        ("", "qa.jsonl", r"qa.jsonl: expected at least one task, found none"),
        ("question,answer\nQ?\n", "qa.csv", r"qa.csv:2: expected 2 cells, got 1"),
        ("question,answer,answer\n", "qa.csv", r"qa.csv:1: expected columns of different names"),
        ('question,answer\n"Q?,x\n', "qa.csv", r"qa.csv:2: not a line of CSV"),
        ("question,answer\nQ?,\n", "qa.csv", r"qa.csv:2: expected an answer, got ''"),
        ("PAR1", "qa.parquet", r"qa.parquet: not a readable Parquet file"),
        ("x", "qa.txt", r"qa.txt: expected a file that ends in .jsonl, .csv, .parquet"),
    ],
)
def test_a_bad_file_is_refused_in_one_line_with_its_place(tmp_path, content, name, told):
    with pytest.raises(UserError, match=told) as refused:
        read_tasks(written(tmp_path, content, name))
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 600


def test_more_rows_than_are_read_are_refused_without_reading_on(tmp_path, monkeypatch):
    monkeypatch.setattr(own, "MAX_TASKS", 3)
    path = written(tmp_path, lines(*({"question": f"Q{n}?", "answer": "x"} for n in range(4))) + "not read\n")
    with pytest.raises(UserError, match=r"qa.jsonl:4: expected at most 3 tasks"):
        read_tasks(path)


def test_what_is_no_file_is_a_data_set(tmp_path, monkeypatch):
    asked = []

    def load_dataset(name, config, **options):
        asked.append((name, config, options))
        if name == "gone":
            raise ConnectionError("offline\nmode")
        return iter([{"question": "Q?", "answer": "x"}])

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    monkeypatch.chdir(tmp_path)
    assert read_tasks("owner/name:main:test")[0].question == "Q?"
    assert read_tasks("owner/name")[0].family == "name"
    assert [(each[:2], each[2]["split"]) for each in asked] == [
        (("owner/name", "main"), "test"),
        (("owner/name", None), "train"),
    ]
    with pytest.raises(UserError, match=r"^gone: no such file, and no data set .*\(offline\)$"):
        read_tasks("gone")
    for missing in ("qa.jsonl", "./gone"):
        with pytest.raises(UserError, match=r"no such file|expected a file that ends in"):
            read_tasks(missing)


def test_fields_are_named_once_each():
    assert read_fields("question=q, answer=a b") == {"question": "q", "answer": "a b"} and read_fields("") == {}
    for wrong in ("query=q", "question", "question=", "question=a,question=b"):
        with pytest.raises(UserError, match=r"^tasks.fields: expected FIELD=COLUMN"):
            read_fields(wrong)


def numbered(num, **changed):
    return [Task(f"t{n}", f"Question {n}?", "x", "", **changed) for n in range(num)]


@pytest.mark.parametrize(
    ("num", "fractions", "sizes"),
    [
        (10, (0.6, 0.2, 0.2), (6, 2, 2)),
        (3, (0.6, 0.2, 0.2), (1, 1, 1)),  # each side has one
        (5, (0.0, 0.0, 1.0), (0, 0, 5)),
        (4, (1.0, 0.0, 0.0), (4, 0, 0)),
        (5, (0.1, 0.45, 0.45), (1, 2, 2)),  # round(4.5) = 4 are held out
    ],
)
def test_sides_have_their_fractions(num, fractions, sizes):
    found = split_tasks(numbered(num), fractions)
    assert tuple(len(found[side]) for side in own.SIDES) == sizes
    assert all(task.split == side for side in own.SIDES for task in found[side])


def test_a_question_is_on_one_side_whatever_its_row_and_case():
    twice = [*numbered(20), *(Task(f"u{n}", f"question  {n}?", "y", "") for n in range(20))]
    found = split_tasks(twice, (0.5, 0.25, 0.25), seed=3)
    words = [{task.question.lower().replace("  ", " ") for task in found[side]} for side in own.SIDES]
    assert [len(each) for each in words] == [10, 5, 5] and not words[0] & (words[1] | words[2])
    again = split_tasks(twice[::-1], (0.5, 0.25, 0.25), seed=3)
    assert all(set(again[side]) == set(found[side]) for side in own.SIDES)
    assert set(split_tasks(twice, (0.5, 0.25, 0.25), seed=4)["test"]) != set(found["test"])
    with pytest.raises(UserError, match="a question for each side, got 2"):
        split_tasks(numbered(2), (0.6, 0.2, 0.2))
