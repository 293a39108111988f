"""Benchmarks by name, their files laid out for the tools, and the files that leaderboards take."""

import math
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lts_jax.live.attachments import stage_attachments
from lts_jax.live.benchmarks import BenchmarkSettings, load_benchmark
from lts_jax.live.submission import submission_answers, submit_rollouts
from lts_jax.records import Answer, Coordinates, Outcome, Rollout, StopReason, Task


def gaia_folder(folder):
    rows = [
        {
            "task_id": f"g{level}",
            "Question": f"Question of level {level}?",
            "Level": str(level),
            "Final answer": "?",
            "file_name": "",
            "file_path": "",
        }
        for level in (1, 2, 3)
    ]
    for split in ("validation", "test"):
        place = folder / "2023" / split
        place.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), place / "metadata.parquet")
        for row in rows:
            pq.write_table(pa.Table.from_pylist([row]), place / f"metadata.level{row['Level']}.parquet")
    return str(folder)


def test_every_part_of_gaia_loads_by_name(tmp_path):
    source = gaia_folder(tmp_path)
    for split in ("validation", "test"):
        every = load_benchmark(BenchmarkSettings("gaia", split, source=source))
        assert [(task.task_id, task.level, task.split) for task in every] == [(f"g{n}", n, split) for n in (1, 2, 3)]
        for level in (1, 2, 3):
            part = load_benchmark(BenchmarkSettings("gaia", split, f"2023_level{level}", source))
            assert part == (every[level - 1],)
    assert len(load_benchmark(BenchmarkSettings("gaia", source=source, num_tasks=2))) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "gaya"}, "benchmark.name: expected one of gaia, assistantbench, got 'gaya'"),
        ({"split": "dev"}, "benchmark.split: expected one of validation, test, got 'dev'"),
        ({"name": "gaia", "config": "level1"}, "benchmark.config: expected one of 2023_all, 2023_level1"),
        ({"config": "2023_level1"}, "AssistantBench has no levels to choose"),
        ({"num_tasks": 0}, "benchmark.num_tasks: expected at least 1, got 0"),
    ],
)
def test_wrong_settings_are_one_line(changes, words):
    with pytest.raises(ValueError, match=words):
        BenchmarkSettings(**changes)


def test_more_tasks_than_there_are_is_one_line(tmp_path):
    settings = BenchmarkSettings("gaia", source=gaia_folder(tmp_path), num_tasks=4)
    with pytest.raises(ValueError, match=r"benchmark\.num_tasks: expected at most 3, got 4"):
        load_benchmark(settings)


def task_with_file(source, name="attachment.csv"):
    return Task("g/1", "How many?", "17", "validation", attachments=(name,), attachment_paths=(str(source),))


def test_the_tools_get_the_attachments_and_nothing_else(tmp_path):
    data = tmp_path / "dataset"
    data.mkdir()
    (data / "metadata.parquet").write_text("the answers")
    (data / "real-name.csv").write_text("a,b")
    task = task_with_file(data / "real-name.csv")
    root = stage_attachments(task, tmp_path / "work")
    assert root == tmp_path / "work" / "g_1"
    assert {each.name: each.read_text() for each in root.iterdir()} == {"attachment.csv": "a,b"}
    assert not (root / "attachment.csv").is_symlink()
    written = (root / "attachment.csv").stat().st_mtime_ns
    assert stage_attachments(task, tmp_path / "work") == root  # once more, and nothing is written again
    assert (root / "attachment.csv").stat().st_mtime_ns == written
    empty = stage_attachments(Task("g2", "How?", "1", "validation"), tmp_path / "work")
    assert list(empty.iterdir()) == []


def test_bad_attachments_are_one_line(tmp_path):
    source = tmp_path / "x.csv"
    source.write_text("a")
    with pytest.raises(ValueError, match=r"^task g/1: its attachment [^\n]*no\.csv is missing$"):
        stage_attachments(task_with_file(tmp_path / "no.csv"), tmp_path / "a")
    for name in ("../x.csv", "..", "a/b.csv"):
        with pytest.raises(ValueError, match="expected a plain file name"):
            stage_attachments(task_with_file(source, name), tmp_path / "b")
    with pytest.raises(ValueError, match="expected one path per attachment, got 0 for 1"):
        stage_attachments(replace(task_with_file(source), attachment_paths=()), tmp_path / "c")
    root = stage_attachments(task_with_file(source), tmp_path / "d")
    (root / "metadata.parquet").write_text("the answers")
    with pytest.raises(ValueError, match=r"attachments of task g/1 alone, found 'metadata\.parquet'"):
        stage_attachments(task_with_file(source), tmp_path / "d")


def rollout(task, text):
    answer = Answer(-1, text, 1.0, StopReason.SATISFIED)
    outcome = Outcome(math.nan, bool(text), "the split withholds its answers")
    return Rollout(
        task, Coordinates(0, 0, task.task_id, 0), 1, (), (), (), (), (answer,), answer, outcome, outcome, math.nan,
        math.nan, 1.0,
    )  # fmt: skip


GAIA = tuple(Task(f"g{n}", "How?", None, "test", scoring="gaia", level=n) for n in (1, 2))
ASSISTANT = tuple(Task(f"a{n}", "How?", None, "test") for n in (1, 2))


def test_the_file_of_each_leaderboard(tmp_path):
    path = tmp_path / "out.jsonl"
    assert submit_rollouts(path, GAIA, [rollout(GAIA[1], ""), rollout(GAIA[0], "17")]) == 1
    assert path.read_text() == ('{"task_id": "g1", "model_answer": "17"}\n{"task_id": "g2", "model_answer": ""}\n')
    assert submit_rollouts(path, ASSISTANT, [rollout(ASSISTANT[1], '["x", "y"]')], partial=True) == 1
    assert path.read_text() == '{"id": "a1", "answer": ""}\n{"id": "a2", "answer": "[\\"x\\", \\"y\\"]"}\n'
    assert [each.name for each in tmp_path.iterdir()] == ["out.jsonl"]


def test_what_cannot_be_submitted_leaves_no_file(tmp_path):
    path = Path(tmp_path / "out.jsonl")
    one = rollout(GAIA[0], "17")
    for tasks, rollouts, words in (
        (GAIA, [one], "1 of 2 tasks have no rollout, the first is g2"),
        (GAIA, [one, one], "task g1: expected one rollout to submit, got more"),
        (GAIA[1:], [one], "task g1: its rollout is not of the 1 tasks to submit"),
        ((GAIA[0], ASSISTANT[0]), [one], "expected tasks of one benchmark and one split"),
        ((), [], "expected tasks of one benchmark and one split"),
    ):
        with pytest.raises(ValueError, match=words):
            submit_rollouts(path, tasks, rollouts)
    assert not path.exists()
    assert submission_answers(GAIA, [one], partial=True) == {"g1": "17", "g2": ""}
