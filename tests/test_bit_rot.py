"""Bits that change on a disk are found, wherever they are read back; files without digests are read as they are."""

import json
import random

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from lts_jax.errors import UserError
from lts_jax.llm.recorded import ReplayModel
from lts_jax.memory.stored_vectors import StoredEncoder
from lts_jax.storage import (
    append_json_line,
    line_of,
    parse_json,
    read_json,
    read_json_lines,
    read_parquet,
    write_document,
    write_parquet,
)

RECORD = {"name": "Mill pond", "score": 0.25, "rows": [1, 2.5, None], "on": True}
LINES = [{"iteration": number, "loss": 0.1 * number, "text": "pond\u2028 \x85"} for number in range(3)]
TABLE = pyarrow.table({"task": ["a", "b", "c"] * 20, "credit": [0.5, -1.0, 2.25] * 20})


def flips(path, num_flips):
    """The file with one bit changed, for many bits; all of them where it is small."""
    content = path.read_bytes()
    places = range(8 * len(content))
    for place in places if len(places) <= num_flips else sorted(random.Random(5).sample(places, num_flips)):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        yield place
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("write", "read", "expected"),
    [
        (lambda path: write_document(path, RECORD), read_json, RECORD),
        (lambda path: [append_json_line(path, line) for line in LINES], read_json_lines, LINES),
        (lambda path: write_parquet(path, TABLE), lambda path: read_parquet(path).to_pydict(), TABLE.to_pydict()),
    ],
    ids=["document", "lines", "parquet"],
)
def test_no_flipped_bit_is_read_as_something_else(tmp_path, write, read, expected):
    path = tmp_path / "file"
    write(path)
    num_found = 0
    for place in flips(path, 4000):
        try:
            found = read(path)
        except UserError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            num_found += 1
            continue
        assert found == expected, place
    assert num_found > 300
    assert read(path) == expected


def test_a_lost_line_end_is_no_kill(tmp_path):
    path = tmp_path / "lines.jsonl"
    for line in LINES:
        append_json_line(path, line)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"\x0b")
    with pytest.raises(UserError, match="line 3 is not what was written"):
        read_json_lines(path)
    path.write_bytes(whole[:-1])
    assert read_json_lines(path) == LINES[:2]
    path.write_bytes(whole[:-30])
    assert read_json_lines(path) == LINES[:2]


def test_files_of_runs_without_digests_are_read_as_they_are(tmp_path):
    (tmp_path / "old.json").write_text(json.dumps(RECORD))
    assert read_json(tmp_path / "old.json") == RECORD
    (tmp_path / "old.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES[:2]))
    append_json_line(tmp_path / "old.jsonl", LINES[2])
    assert read_json_lines(tmp_path / "old.jsonl") == LINES
    pyarrow.parquet.write_table(TABLE, tmp_path / "old.parquet")
    assert read_parquet(tmp_path / "old.parquet") == TABLE


def test_a_line_is_json_that_ends_in_its_digest():
    assert json.loads(line_of({"a": 1}))["a"] == 1
    assert line_of({"a": 1}) == b'{"a": 1, "line_digest": "988a6fd20ef48257"}\n'
    assert line_of({}) == b'{"line_digest": "a22eaa0fead0d23a"}\n'


def test_equal_tables_are_equal_bytes_that_others_read(tmp_path):
    for name in "ab":
        write_parquet(tmp_path / name, TABLE)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert pyarrow.parquet.read_table(tmp_path / "a", page_checksum_verification=True).to_pydict() == TABLE.to_pydict()
    assert read_parquet(tmp_path / "a").schema.metadata is None


def test_a_document_that_was_edited_says_what_to_do(tmp_path):
    write_document(tmp_path / "world.json", RECORD)
    text = (tmp_path / "world.json").read_text()
    (tmp_path / "world.json").write_text(text.replace("0.25", "0.75"))
    with pytest.raises(UserError, match=r"not what was written \(if you changed it, take its file_digest out\)"):
        read_json(tmp_path / "world.json")
    edited = json.loads(text) | {"score": 0.75}
    del edited["file_digest"]
    (tmp_path / "world.json").write_text(json.dumps(edited))
    assert read_json(tmp_path / "world.json") == RECORD | {"score": 0.75}


def test_a_stored_vector_that_changed_is_made_anew(tmp_path):
    class Ones:
        name, dim, asked = "ones", 4, 0

        def encode(self, texts):
            self.asked += len(texts)
            return np.ones((len(texts), 4), np.float32)

    path, inner = tmp_path / "vectors.sqlite", Ones()
    assert StoredEncoder(inner, path).encode(["x", "y"]).sum() == 8.0
    content = path.read_bytes()
    place = content.index(np.ones(4, "<f4").tobytes())
    path.write_bytes(content[:place] + b"\xff" + content[place + 1 :])
    assert StoredEncoder(inner, path).encode(["x", "y"]).tolist() == [[1.0] * 4] * 2
    assert inner.asked == 3
    StoredEncoder(inner, path).encode(["x", "y"])
    assert inner.asked == 3


def test_a_journal_with_a_flipped_bit_is_refused(tmp_path):
    line = {"call": "c", "asked_model": "m", "reply": "42", "prompt_tokens": 1, "completion_tokens": 1, "model": "m",
            "attempts": 1, "seconds": 0.5}  # fmt: skip
    append_json_line(tmp_path / "calls.jsonl", line)
    ReplayModel(tmp_path)
    content = (tmp_path / "calls.jsonl").read_bytes()
    (tmp_path / "calls.jsonl").write_bytes(content.replace(b'"42"', b'"43"'))
    with pytest.raises(UserError, match="line 1 is not a recorded call"):
        ReplayModel(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 5000 + "]" * 5000, "x: not JSON that can be read (it nests more than 100 deep)"),
        ('{"a":' * 150 + "1" + "}" * 150, "x: not JSON that can be read (it nests more than 100 deep)"),
        ("[" + "9" * 5000 + "]", "x: not JSON (Exceeds the limit"),
        ('["\\ud800"]', "x: holds half of a surrogate pair, which is no text"),
        (b"\xff", "x: not JSON ('utf-8' codec can't decode byte 0xff"),
        ("{", "x: not JSON (Expecting property name"),
        ("[1]", "x: expected an object, got [1]"),
        (f"[{'1, ' * 5000}1]", "x: expected an object, got [1, 1,"),
    ],
)
def test_what_is_no_readable_json_is_one_line(text, said):
    with pytest.raises(UserError) as refused:
        parse_json(text, "x", dict)
    assert str(refused.value).startswith(said) and len(str(refused.value)) < 300 and "\n" not in str(refused.value)


def test_pairs_of_surrogates_and_moderate_depth_are_json():
    assert parse_json('["\\ud83d\\ude00"]', "x", list) == ["\U0001f600"]
    assert parse_json("[" * 99 + "]" * 99, "x")
    assert parse_json('["\\ud800"]', "x", any_text=True) == ["\ud800"]
