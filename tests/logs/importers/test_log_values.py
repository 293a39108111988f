"""Files of logs as JSON values: marks, encodings, values in a row, half lines; and texts that look failed."""

import json

import pytest

from lts_jax.errors import UserError
from lts_jax.logs.importers.files import AUTOGEN, looks_failed, message_text, read_logs, without_termination
from lts_jax.logs.importers.log_values import read_log

ODD = "a\u2028b\x85c\u2029d\x0ce"


def read(tmp_path, content):
    file = tmp_path / "log.json"
    file.write_bytes(content)
    log = read_log(file)
    return log.value, log.notes


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_every_unicode_with_and_without_its_mark(tmp_path, encoding):
    for text in ('{"a": "é☃"}', '{\n  "a": "é☃"\n}\n'):
        assert read(tmp_path, text.encode(encoding)) == ({"a": "é☃"}, ())


def test_bytes_that_are_no_utf_8_are_replaced_and_noted(tmp_path):
    value, notes = read(tmp_path, b'{"a": "caf\xe9"}')
    assert value == {"a": "caf\ufffd"} and notes == (
        "bytes that are no UTF-8 were replaced, the first of them byte 10",
    )
    with pytest.raises(UserError, match=r"log\.json: expected UTF-8 or UTF-16, and it is neither \(byte 2\)$"):
        read(tmp_path, b"\xff\xfe\x00\xd8")


def test_only_a_line_feed_ends_a_line(tmp_path):
    lines = [json.dumps({"a": ODD, "n": number}, ensure_ascii=False) for number in (1, 2)]
    for text in (
        "\n".join(lines),
        "\r\n".join(lines) + "\r\n",
        "starting\n" + "\n".join(f"12:00 INFO {x}" for x in lines),
    ):
        assert read(tmp_path, text.encode()) == ([{"a": ODD, "n": 1}, {"a": ODD, "n": 2}], ())


def test_values_one_after_the_other_are_one_list(tmp_path):
    one, two = json.dumps({"a": 1}, indent=2), json.dumps([{"b": 2}, 3])
    assert read(tmp_path, f"{one}\n\n{two} {one}".encode()) == ([{"a": 1}, {"b": 2}, 3, {"a": 1}], ())


def test_a_half_line_is_left_out_and_noted(tmp_path):
    whole = '{"a": 1}'
    assert read(tmp_path, f'{whole}\n{{"a": "x\n{whole}\n'.encode()) == (
        [{"a": 1}, {"a": 1}],
        ("lines that are no whole JSON were left out: line 2",),
    )
    value, notes = read(tmp_path, "\n".join(['"tail": 2}', whole, "a line of words", *['{"b": '] * 6]).encode())
    assert value == [{"a": 1}] and notes == (
        "lines that are no whole JSON were left out: line 1, 4, 5, 6, 7 and 2 more",
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a JSON file"),
        (b"words", "not a JSON file"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'[{"a": 1}, {"a"', "not a JSON file"),
        (b"1" * 5_000, "not a JSON file"),
    ],
)
def test_what_is_no_log_is_one_line(tmp_path, content, words):
    with pytest.raises(UserError, match=words) as error:
        read(tmp_path, content)
    assert "\n" not in str(error.value) and "log.json" in str(error.value)


def test_a_message_that_is_nested_too_deeply_is_one_line(tmp_path):
    (tmp_path / "deep.json").write_text('[{"source": "user", "type": "TextMessage"}]')

    def parse(log):
        return parse(log)

    with pytest.raises(UserError, match=r"deep\.json: not a log: .*nested too deeply") as error:
        read_logs(tmp_path, AUTOGEN, parse, skip_bad=False)
    assert "\n" not in str(error.value)


def test_texts_of_messages():
    assert message_text({"value": 1893, "unit": "hérons"}) == '{"value": 1893, "unit": "hérons"}'
    assert (
        message_text([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:"}}, "b"])
        == "a\nb"
    )
    assert message_text([{"data": "iVBORw0"}, {"text": "c"}]) == "c"
    assert message_text("\ud800 half") == "\ufffd half"
    assert message_text({}) == message_text(None) == message_text([]) == ""


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        ("exitcode: 1 (execution failed)\nCode output: x", True),
        ("exitcode: 0 (execution succeeded)\nCode output: exit code 1", False),
        ("exitcode: -11", True),
        ("Exit code: 127", True),
        ("The script ran, then exited with an error (POSIX exit code: 2)\nIts output was:", True),
        ("The script ran, then exited with Unix exit code: 0\nIts output was:", False),
        ("Process finished with exit code 1", True),
        ("Command failed with exit status 1", True),
        ("exitcode: 10 is not 0", True),
        ("A page on how programs end: exit code 1 is a failure.", False),
        ("All is well.", False),
        ("", True),
    ],
)
def test_a_program_that_ended_with_a_failure_looks_failed(text, failed):
    assert looks_failed(text) == failed


@pytest.mark.parametrize(
    ("text", "rest", "is_done"),
    [
        ("1893 TERMINATE", "1893", True),
        ("TERMINATE", "", True),
        ("It is 4.\n\n**TERMINATE**.", "It is 4.", True),
        ("Reply TERMINATE when done", "Reply TERMINATE when done", False),
        ("EXTERMINATE", "EXTERMINATE", False),
        ("terminate", "terminate", False),
    ],
)
def test_the_word_of_the_end(text, rest, is_done):
    assert without_termination(text) == (rest, is_done)
