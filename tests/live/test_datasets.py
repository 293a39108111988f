"""Loaders read tiny folders of the public layouts, written here; no network."""

import json
from pathlib import Path

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import errors

from lts_jax.live import datasets as loaders

_SECRET = "annotator-note"


def _assistantbench_folder(folder: Path) -> Path:
    row = {
        "id": "a1",
        "set": "dev",
        "task": "Which pool?",
        "answer": '{"name": "North"}\n{"name": "South"}',
        "gold_url": _SECRET,
        "explanation": _SECRET,
        "metadata": None,
        "difficulty": "Hard",
    }
    number = {**row, "id": "a2", "task": "How much?", "answer": "55", "difficulty": "Medium"}
    withheld = {**row, "id": "a3", "set": "test", "answer": None, "difficulty": None}
    dev = json.dumps(row) + "\n" + json.dumps(number) + "\n"
    (folder / "assistant_bench_v1.0_dev.jsonl").write_text(dev)
    (folder / "assistant_bench_v1.0_test.jsonl").write_text(json.dumps(withheld) + "\n")
    return folder


def _gaia_folder(folder: Path) -> Path:
    row = {
        "task_id": "g1",
        "Question": "How many ducks?",
        "Level": "1",
        "Final answer": "17",
        "file_name": "",
        "file_path": "",
        "Annotator Metadata": {"Steps": _SECRET},
    }
    with_path = {
        **row,
        "task_id": "g2",
        "Level": "3",
        "file_name": "g2.pdf",
        "file_path": "2023/validation/g2.pdf",
    }
    with_name = {**row, "task_id": "g3", "Level": "2", "file_name": "g3.csv", "file_path": None}
    for split, name, rows in (
        ("validation", "metadata.parquet", [row, with_path, with_name]),
        ("validation", "metadata.level2.parquet", [with_name]),
        ("test", "metadata.parquet", [{**row, "task_id": "0-0-0-0-0"}, {**row, "Final answer": "?"}]),
    ):
        (folder / "2023" / split).mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), folder / "2023" / split / name)
    for name in ("g2.pdf", "g3.csv"):
        (folder / "2023" / "validation" / name).write_text(f"content of {name}")
    return folder


def test_assistantbench_validation_and_test(tmp_path: Path) -> None:
    folder = _assistantbench_folder(tmp_path)
    record, number = loaders.load_assistantbench(str(folder))
    assert (record.task_id, record.question, record.split) == ("a1", "Which pool?", "validation")
    assert record.answer == '{"name": "North"}\n{"name": "South"}'
    assert (record.difficulty, record.scoring, record.attachments) == ("hard", "assistantbench", ())
    assert (number.answer, number.difficulty) == ("55", "medium")
    assert _SECRET not in repr((record, number))
    (withheld,) = loaders.load_assistantbench(str(folder), "test")
    assert (withheld.task_id, withheld.answer, withheld.difficulty) == ("a3", None, "")


def test_gaia_levels_attachments_and_withheld_answers(tmp_path: Path) -> None:
    folder = _gaia_folder(tmp_path)
    plain, with_path, with_name = tasks = loaders.load_gaia(str(folder))
    assert (plain.answer, plain.difficulty, plain.scoring, plain.attachments) == ("17", "easy", "gaia", ())
    assert (with_path.attachments, with_name.attachments) == (("attachment.pdf",), ("attachment.csv",))
    assert with_path.attachment_paths == (str(folder.resolve() / "2023" / "validation" / "g2.pdf"),)
    assert with_name.attachment_paths == (str(folder.resolve() / "2023" / "validation" / "g3.csv"),)
    assert [task.level for task in tasks] == [1, 3, 2]
    assert [task.difficulty for task in tasks] == ["easy", "hard", "medium"]
    assert _SECRET not in repr(tasks)
    assert [task.task_id for task in loaders.load_gaia(str(folder), "2023_level2")] == ["g3"]
    with pytest.raises(ValueError, match=r"metadata\.level1\.parquet: no such file"):
        loaders.load_gaia(str(folder), "2023_level1")
    (withheld,) = loaders.load_gaia(str(folder), split="test")
    assert (withheld.task_id, withheld.answer) == ("g1", None)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: loaders.load_assistantbench("./no/such"), "./no/such: no such folder"),
        (lambda: loaders.load_assistantbench(split="train"), "split: expected one of validation, test, got 'train'"),
        (lambda: loaders.load_gaia(config="2024_all"), "config: expected one of 2023_all"),
        (lambda: loaders.load_gaia(split="dev"), "split: expected one of validation, test, got 'dev'"),
    ],
)
def test_wrong_settings_give_one_line(call, words: str) -> None:
    with pytest.raises(ValueError) as raised:
        call()
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_and_broken_files_give_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"metadata\.parquet: no such file"):
        loaders.load_gaia(str(tmp_path))
    _gaia_folder(tmp_path)
    (tmp_path / "2023" / "validation" / "metadata.parquet").write_bytes(b"not parquet")
    with pytest.raises(ValueError, match=r"^[^\n]*metadata\.parquet: not a readable parquet file[^\n]*$"):
        loaders.load_gaia(str(tmp_path))
    pq.write_table(
        pa.table({"task_id": ["x"], "Question": ["y"]}), tmp_path / "2023" / "validation" / "metadata.parquet"
    )
    with pytest.raises(ValueError, match=r"^[^\n]*metadata\.parquet: [^\n]*Level[^\n]*$"):
        loaders.load_gaia(str(tmp_path))
    (tmp_path / "assistant_bench_v1.0_dev.jsonl").write_text('{"id": "a1"}\n')
    with pytest.raises(ValueError, match=r"missing task$"):
        loaders.load_assistantbench(str(tmp_path))


def _changed(folder: Path, **changes: object) -> str:
    """The folder with these values in every row of its validation split."""
    path = _gaia_folder(folder) / "2023" / "validation" / "metadata.parquet"
    pq.write_table(pa.Table.from_pylist([{**row, **changes} for row in pq.read_table(path).to_pylist()]), path)
    return str(folder)


@pytest.mark.parametrize("path", ["../../secret.txt", "/etc/passwd", "2023/../../x", "..\\x"])
def test_an_attachment_outside_the_folder_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^GAIA task g1: expected an attachment inside [^\n]*$"):
        loaders.load_gaia(_changed(tmp_path, file_path=path))


def test_a_missing_attachment_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^GAIA task g1: its attachment 2023/validation/no\.pdf is missing in [^\n]*$"
    ):
        loaders.load_gaia(_changed(tmp_path, file_path="2023/validation/no.pdf"))


@pytest.mark.parametrize("placeholder", ["?", "", " ", None])
def test_a_placeholder_is_no_answer(placeholder: str | None, tmp_path: Path) -> None:
    assert [t.answer for t in loaders.load_gaia(_changed(tmp_path, **{"Final answer": placeholder}))] == [None] * 3


def test_gaia_of_an_unknown_level_is_refused(tmp_path: Path) -> None:
    _gaia_folder(tmp_path)
    path = tmp_path / "2023" / "validation" / "metadata.parquet"
    rows = [{**row, "Level": "4"} for row in pq.read_table(path).to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows), path)
    with pytest.raises(ValueError, match="task g1: expected Level 1, 2 or 3, got '4'"):
        loaders.load_gaia(str(tmp_path))


def test_hub_source_is_downloaded_then_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(source: str, **options: object) -> str:
        asked.append((source, options["allow_patterns"], options["revision"]))
        return str(_gaia_folder(tmp_path))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert len(loaders.load_gaia(revision="abc")) == 3
    assert asked == [("gaia-benchmark/GAIA", ["2023/validation/*"], "abc")]


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (errors.GatedRepoError, "is gated: log in at https://huggingface.co/datasets/gaia-benchmark/GAIA"),
        (errors.RepositoryNotFoundError, "no such dataset on the hub"),
        (errors.RevisionNotFoundError, "has no revision None on the hub"),
        (errors.LocalEntryNotFoundError, "the hub cannot be reached"),
    ],
)
def test_hub_failures_are_explained(failure: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(source: str, **options: object) -> str:
        raise failure.__new__(failure)  # the constructors want an HTTP response

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(ValueError, match=words) as raised:
        loaders.load_gaia()
    assert "\n" not in str(raised.value)


class _Answer:
    """As much of the hub's answer as is read."""

    def __init__(self, status_code: int, told: str) -> None:
        self.status_code, self.headers = status_code, {"X-Error-Message": told} if told else {}


@pytest.mark.parametrize(
    ("failure", "status", "told", "token", "words"),
    [
        (errors.HfHubHTTPError, 401, "Invalid credentials in Authorization header", "hf_x", "the token in HF_TOKEN"),
        (errors.RepositoryNotFoundError, 401, "Invalid username or password.", "hf_x", "is wrong or has expired"),
        (errors.RepositoryNotFoundError, 401, "", "hf_x", r"\(401 Unauthorized\): it is wrong or has expired"),
        (errors.RepositoryNotFoundError, 401, "", None, "no such dataset on the hub"),
        (errors.RepositoryNotFoundError, 404, "Not found", "hf_x", "no such dataset on the hub"),
        (errors.HfHubHTTPError, 403, "Enable it in your fine-grained token settings", "hf_x", "a fine-grained one has"),
        (errors.GatedRepoError, 403, "enable access in token settings", "hf_x", "the token has no right to read it"),
        (errors.GatedRepoError, 403, "You are not in the list", "hf_x", "is gated: log in at"),
        (errors.HfHubHTTPError, 404, "", None, "no such dataset on the hub"),
        (errors.HfHubHTTPError, 403, "", "hf_x", r"refuses it \(403: Forbidden\); see whether the token in HF_TOKEN"),
        (errors.HfHubHTTPError, 500, "Oops", None, r"cannot be reached \(500: Oops\); give a local folder"),
        (errors.HfHubHTTPError, 429, "Too many requests", None, r"the hub refuses it \(429: Too many requests\)"),
    ],
)  # fmt: skip
def test_what_the_hub_answered_is_told(
    failure: type[Exception], status: int, told: str, token: str | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(source: str, **options: object) -> str:
        answered = failure.__new__(failure)
        answered.response, answered.server_message = _Answer(status, told), None  # type: ignore[attr-defined]
        if failure is not errors.HfHubHTTPError:
            raise answered
        raise errors.LocalEntryNotFoundError.__new__(errors.LocalEntryNotFoundError) from answered  # as the library

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: token)
    with pytest.raises(ValueError, match=words) as raised:
        loaders.load_gaia()
    assert "\n" not in str(raised.value) and ("cannot be reached" in str(raised.value)) == (status == 500)


def test_gaia_of_an_older_copy_is_read_by_its_lines(tmp_path: Path) -> None:
    folder = tmp_path / "2023" / "validation"
    folder.mkdir(parents=True)
    (folder / "g3.csv").write_text("1,2")
    rows = [
        {"task_id": "g1", "Question": "One\u2028line?", "Level": 1, "Final answer": "17", "file_name": ""},
        {"task_id": "0-0-0-0-0", "Question": "Hello", "Level": 1, "Final answer": "?", "file_name": ""},
        {"task_id": "g3", "Question": "Which?", "Level": "2", "Final answer": "b", "file_name": "g3.csv",
         "Annotator Metadata": {"Steps": _SECRET}},
    ]  # fmt: skip
    path = folder / "metadata.jsonl"
    path.write_text("\ufeff" + "\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    one, other = loaders.load_gaia(str(tmp_path))
    assert (one.question, one.answer, one.level, one.attachments) == ("One\u2028line?", "17", 1, ())
    assert (other.level, other.attachments) == (2, ("attachment.csv",)) and _SECRET not in repr(other)
    assert [task.task_id for task in loaders.load_gaia(str(tmp_path), "2023_level2")] == ["g3"]
    path.write_text('{"task_id": "g1"}\n')
    with pytest.raises(ValueError, match=r"metadata\.jsonl: line 1: expected the fields Question, Level"):
        loaders.load_gaia(str(tmp_path))
    path.write_text(json.dumps(rows[0]) + "\n" + json.dumps(rows[2])[:30])
    with pytest.raises(ValueError, match=r"metadata\.jsonl: line 2 is not JSON"):
        loaders.load_gaia(str(tmp_path))
    path.write_text(json.dumps(rows[0] | {"Level": 4}))
    with pytest.raises(ValueError, match="task g1: expected Level 1, 2 or 3, got 4"):
        loaders.load_gaia(str(tmp_path), "2023_level1")


def test_submissions_hold_what_the_leaderboards_read(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    loaders.write_submission(path, {"t1": "line\nbreak", "t2": "\ud800"}, "assistantbench")
    assert path.read_text() == '{"id": "t1", "answer": "line\\nbreak"}\n{"id": "t2", "answer": "\\ud800"}\n'
    loaders.write_submission(path, {"t1": "17"}, "gaia")
    assert path.read_text() == '{"task_id": "t1", "model_answer": "17"}\n'
    assert [file.name for file in tmp_path.iterdir()] == ["out.jsonl"]


@pytest.mark.parametrize(
    ("answers", "benchmark", "words"),
    [
        ({"t1": "17"}, "almanac", "benchmark: expected one of assistantbench, gaia, got 'almanac'"),
        ({}, "gaia", "expected at least one answer"),
        ({"t1": 17}, "gaia", "task t1: expected the answer as text, got int"),
    ],
)
def test_a_refused_submission_leaves_the_old_file(answers: dict, benchmark: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old")
    with pytest.raises(ValueError, match=words):
        loaders.write_submission(path, answers, benchmark)
    assert path.read_text() == "old"
