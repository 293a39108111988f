"""Writing: all or nothing, torn tails, odd characters, full disks."""

import errno
import os
import subprocess
import sys

import pytest

from lts_jax.errors import UserError
from lts_jax.storage import (
    append_json_line,
    read_json,
    read_json_lines,
    replacing,
    sweep_leftovers,
    write_json,
    write_text,
)

ODD = {"text": "line\u2028separator \x85 \ud800 tab\t\n \U0001f600"}


def test_lines_come_back_whatever_they_hold(tmp_path):
    path = tmp_path / "deep" / "lines.jsonl"
    for number in range(3):
        append_json_line(path, ODD | {"number": number})
    assert read_json_lines(path) == [ODD | {"number": number} for number in range(3)]


def test_a_file_torn_anywhere_keeps_its_whole_lines_and_takes_new_ones(tmp_path):
    path = tmp_path / "lines.jsonl"
    append_json_line(path, {"a": "ä"})
    append_json_line(path, {"b": 2})
    whole = path.read_bytes()
    first_line = whole.index(b"\n") + 1
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        kept = [{"a": "ä"}] if cut >= first_line else []
        assert read_json_lines(path) == kept
        append_json_line(path, {"c": 3})
        assert read_json_lines(path) == [*kept, {"c": 3}]


def test_a_broken_whole_line_is_named(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(UserError, match=r"x\.jsonl: line 2: not JSON"):
        read_json_lines(tmp_path / "x.jsonl")
    assert read_json_lines(tmp_path / "absent.jsonl") == []


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError("out of ideas")
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("operation", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, operation):
    path = tmp_path / "file.json"
    write_json(path, {"old": True})

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, operation, full)
    with pytest.raises(OSError, match="No space left"):
        write_json(path, {"new": True})
    monkeypatch.undo()
    assert read_json(path) == {"old": True}
    assert [item.name for item in tmp_path.iterdir()] == ["file.json"]


def test_nan_is_refused_and_touches_nothing(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"score": float("nan")})
    assert not list(tmp_path.iterdir())


def test_unreadable_json_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_json(tmp_path / "absent.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(UserError, match=r"broken\.json: not a JSON file"):
        read_json(tmp_path / "broken.json")


def test_what_killed_writes_left_is_swept(tmp_path):
    dead = _dead_process()
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    for folder in (tmp_path, below):
        for name in (f".x.json.{dead}.tmp", ".x.json.1.tmp", f".x.json.{os.getpid()}.tmp", ".x.json.tmp", "x.1.tmp"):
            (folder / name).touch()
    stay = {".x.json.1.tmp", f".x.json.{os.getpid()}.tmp", ".x.json.tmp", "x.1.tmp"}
    sweep_leftovers(tmp_path / "a")
    assert {one.name for one in below.iterdir()} == stay
    assert f".x.json.{dead}.tmp" in {one.name for one in tmp_path.iterdir()}
    (tmp_path / f".y.json.{dead}.tmp").touch()
    write_json(tmp_path / "x.json", 1)
    assert {one.name for one in tmp_path.iterdir()} == {*stay, "a", "x.json", f".y.json.{dead}.tmp"} - {
        f".x.json.{os.getpid()}.tmp"
    }


def test_what_an_earlier_process_of_our_number_left_is_swept(tmp_path):
    left = tmp_path / f".x.json.{os.getpid()}.tmp"
    left.touch()
    os.utime(left, (0, 0))
    sweep_leftovers(tmp_path)
    assert not left.exists()


def _dead_process():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid
