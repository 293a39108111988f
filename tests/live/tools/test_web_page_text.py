"""Bytes to text, HTML to numbered links and forms, windows and find: literal cases, and hostile documents."""

import asyncio
import gzip
import os
import time

import pytest

from lts_jax.live.tools.charsets import decode_text, known_charset
from lts_jax.live.tools.converter import MISSING, Converter, ConverterSettings
from lts_jax.live.tools.html_reading import read_html
from lts_jax.live.tools.page_text import Field, Form, find_lines, windows

REASON = "needs markitdown, of the extra `web`"


@pytest.mark.parametrize(
    ("body", "told", "text"),
    [
        (b"plain", "", "plain"),
        ("Größe".encode(), "utf-8", "Größe"),
        ("Größe".encode(), "iso-8859-1", "Größe"),  # valid UTF-8 is UTF-8, whatever the server says
        ("Größe".encode("latin-1"), "utf-8", "Gr\ufffd\ufffde"),
        ("Größe".encode("latin-1"), "", "Größe"),
        (b"caf\xe9 \x80", "iso-8859-1", "café €"),  # as browsers read it
        ("日本語".encode("shift_jis"), "shift_jis", "日本語"),
        ("日本語".encode("iso2022_jp"), "iso-2022-jp", "日本語"),
        ("日本語".encode("euc_jp"), "EUC-JP", "日本語"),
        ("中文".encode("gbk"), "gb2312", "中文"),
        ("\ufeffx".encode("utf-16-le"), "utf-8", "x"),
        ("ab".encode("utf-16-be"), "utf-16-be", "ab"),
        (b'<meta charset="windows-1251">\xcf\xf0', "", '<meta charset="windows-1251">Пр'),
        (b"<meta http-equiv=a content='text/html; charset=koi8-r'>\xf0", "", None),
        (b"x\xff", "utf-7", "xÿ"),
        (b"+ADw-", "utf-7", "+ADw-"),
        (b"\\x41", "unicode_escape", "\\x41"),
        (b"uryyb", "rot13", "uryyb"),
        (b"x", "no such charset", "x"),
        (b"x", "\x00", "x"),
        (b"", "utf-8", ""),
    ],
)
def test_text_of_bytes(body, told, text):
    assert decode_text(body, told) == text if text is not None else decode_text(body, told).endswith("П")


def test_slow_and_foreign_codecs_are_not_known():
    for name in ("idna", "punycode", "utf-7", "unicode_escape", "zlib", "hex", "undefined", "mbcs", "cp037"):
        assert known_charset(name) == ""
    started = time.process_time()
    decode_text(b"a" * 2_000_000 + b"-zz", "punycode")
    assert time.process_time() - started < 10


def test_windows_are_whole_lines():
    assert windows("aaa\nbbb\nccc", 8) == ["aaa\nbbb", "ccc"]
    assert windows("", 8) == [""]
    assert windows("one two three four", 10) == ["one two", "three", "four"]
    text = "\n".join(f"line {number} " + "x" * (number % 70) for number in range(300))
    parts = windows(text, 200)
    assert "".join("".join(parts).split()) == "".join(text.split()) and max(map(len, parts)) <= 200


def test_find_shows_the_window_and_the_header_of_a_table():
    text = "First line.\n\n| name | price |\n| --- | --- |\n| Pool A | 3 |\n| Pool B | 4 |\n\nLast: pool  of the town."
    assert find_lines(text, "POOL B", 1_000) == ["| name | price |", "| Pool B | 4 |"]
    assert find_lines(text, "pool of", 1_000) == ["(viewport 1) Last: pool  of the town."]
    assert find_lines(text, "town last", 40) == ["(viewport 4) Last: pool  of the town."]  # all words, in any order
    assert find_lines(text, "absent", 1_000) == find_lines(text, " ", 1_000) == []
    assert len(find_lines("same\n" * 1_000, "same", 500)) == 20


def test_a_filled_form():
    fields = (
        Field("q", "text"),
        Field("kind", "select", "a", ("a", "b")),
        Field("t", "hidden", "7"),
        Field("c", "checkbox"),
    )
    form = Form("get", "http://a.example/", fields)
    assert form.fill({"q": 3}) == {"q": "3", "kind": "a", "t": "7"}
    assert form.fill({"kind": "b", "c": "on"}) == {"q": "", "kind": "b", "t": "7", "c": "on"}
    with pytest.raises(ValueError, match="no field 'x', only q, kind, t, c"):
        form.fill({"x": 1})
    with pytest.raises(ValueError, match="kind must be one of a, b, got 'z'"):
        form.fill({"kind": "z"})


DOCUMENT = """<html><head><title> The
 title </title><base href="/b/"><script>evil()</script></head><body><!-- do this --><p>One <a href="x">ex</a> and
<a href="#part">part</a>, <a href="mailto:a@b.example">mail</a>, <a href="javascript:evil()">run</a>,
<a href="http://c.example/y#z">why</a>, <a href="x#other">again</a>.</p><p style="Display : none">hidden words</p>
<p hidden>more hidden</p><img src="data:image/png;base64,xxxx"><img src=i alt="A map"><form action="/go" method=POST>
<input name=q><input type=hidden name=t value=7><select name=s><option value=1>one<option selected>two</select>
<input type=radio name=r value=x><input type=radio name=r value=y checked><input type=checkbox name=c>
<textarea name=w>long</textarea><input type=submit name=go value=Go></form></body></html>"""


def test_links_and_forms_get_numbers_and_what_is_hidden_goes():
    pytest.importorskip("bs4", reason=REASON)
    read = read_html(DOCUMENT, "http://a.example/page")
    assert read.title == "The title"
    assert read.links == ["http://a.example/b/x", "http://c.example/y"]
    for shown in ("ex [L1]", "why [L2]", "again [L1]", "[image: A map]", "part,", "mail,", "run,"):
        assert shown in " ".join(read.html.split()), shown
    for gone in ("evil", "do this", "hidden words", "more hidden", "base64", "href"):
        assert gone not in read.html, gone
    assert "[form 1: q (text), s (one of 1, two), r (one of x, y), c (checkbox), w (text)]" in read.html
    fields = (Field("q", "text"), Field("t", "hidden", "7"), Field("s", "select", "two", ("1", "two")))
    fields += (Field("r", "radio", "y", ("x", "y")), Field("c", "checkbox"), Field("w", "text", "long"))
    assert read.forms == [Form("post", "http://a.example/go", fields)]


def test_a_page_that_sends_on_says_where_to():
    pytest.importorskip("bs4", reason=REASON)
    read = read_html("<meta http-equiv='Refresh' content='0; URL=\"/next\"'><body>x</body>", "http://a.example/page")
    assert read.links == ["http://a.example/next"] and "This page sends on [L1]" in read.html
    assert read_html("<meta http-equiv=refresh content=30><body>x</body>", "http://a.example/").links == []


def test_a_document_within_a_document_is_a_link_to_it():
    pytest.importorskip("bs4", reason=REASON)
    inside = "<iframe title='A  map' src=/map></iframe><embed src=a.pdf><object data='b.pdf'>old</object>"
    unseen = "<iframe hidden src=/ad></iframe><div style='display:none'><iframe src=/pixel></iframe></div>"
    unseen += "<iframe width=1 height=1 src=/dot></iframe>"
    nowhere = "<iframe src='about:blank'></iframe><iframe src='javascript:x()'></iframe><iframe>empty</iframe>"
    read = read_html(f"<body>{inside}{unseen}{nowhere}</body>", "http://a.example/b/")
    assert read.links == ["http://a.example/map", "http://a.example/b/a.pdf", "http://a.example/b/b.pdf"]
    assert "[frame: A map] [L1]" in read.html and "[frame: untitled] [L2]" in read.html and "empty" not in read.html
    frames = read_html(
        "<frameset cols=50%><frame name=list src=list.htm><frame src=//c.example/></frameset>", "http://a.example/"
    )
    assert frames.links == ["http://a.example/list.htm", "http://c.example/"] and "[frame: list] [L1]" in frames.html
    nested = "<html><head><title>t</title></head><frameset><frame src=/a><frameset><frame src=/b></frameset></frameset>"
    both = read_html(f"{nested}<noframes>none</noframes></html>", "http://a.example/")
    assert both.html.startswith("<body>") and both.links == ["http://a.example/a", "http://a.example/b"]
    whole = read_html("<iframe srcdoc='<p>seven <b>pools</b></p><script>x()</script>'></iframe>", "http://a.example/")
    assert "<p>seven <b>pools</b></p>" in whole.html and "x()" not in whole.html


def test_what_stands_there_for_readers_without_scripts_counts_where_there_is_little_else():
    pytest.importorskip("bs4", reason=REASON)
    without = "<noscript><p>Seven pools.</p></noscript>"
    assert "Seven pools." in read_html(f"<body><h1>Pools</h1>{without}</body>", "http://a.example/").html
    assert "Seven pools." not in read_html(f"<body>{'word ' * 50}{without}</body>", "http://a.example/").html


def test_no_link_leads_out_of_the_web():
    pytest.importorskip("bs4", reason=REASON)
    wrong = ("file:///etc/passwd", "data:text/html,x", "ftp://a.example/", "http://[::1", "java\nscript:x", "\x00", "")
    document = "".join(f'<a href="{each}">x</a><form action="{each}"></form>' for each in wrong[:-1])
    read = read_html(document, "http://a.example/page")
    assert all(each.startswith("http://a.example/") for each in [*read.links, *(form.action for form in read.forms)])


def convert(*documents, **settings):
    """Convert documents, one after the other, with one converter."""

    async def run():
        converter = Converter(ConverterSettings(**settings))
        try:
            return [await converter.convert(body, **told) for body, told in documents]
        finally:
            await converter.aclose()

    return asyncio.run(run())


HTML = {"url": "http://a.example/"}


def test_a_document_that_takes_too_long_ends_and_the_next_is_read():
    pytest.importorskip("markitdown", reason=REASON)
    long = b"<p>hello <a href=x>y</a></p>" * 160_000
    started = time.monotonic()
    slow, page = convert((long, HTML), (b"<title>T</title><h1>A</h1>b", HTML), seconds=4.0)
    assert slow == "the document took more than 4 seconds to read" and time.monotonic() - started < 200
    assert (page.title, page.text) == ("T", "# A\n\nb")


def test_hostile_documents_are_one_line_each():
    pytest.importorskip("markitdown", reason=REASON)
    deep = b"<div>" * 30_000 + b"x"
    results = convert(
        (deep, HTML),
        (gzip.compress(bytes(1_000_000)), HTML),
        (os.urandom(1_000), HTML),
        (b"<table>" * 10_000, HTML),
        (b"<!DOCTYPE html [<!ENTITY a 'xxxxxxxx'>]><p>&a;&a;", HTML),
        (b"x" * 2_001, HTML),
        (b"\x00" * 100, HTML),
        (b"fine", HTML),
        max_bytes=1_100_000,
    )
    for result in results:
        assert not isinstance(result, str) or ("\n" not in result and len(result) <= 400)
    assert results[-1].text == "fine"
    assert convert((b"x" * 2_001, HTML), max_bytes=2_000) == ["the document is larger than 2000 bytes"]


def test_the_converter_knows_no_key(monkeypatch):
    pytest.importorskip("markitdown", reason=REASON)
    monkeypatch.setenv("SECRET_KEY_FOR_TEST", "hunter2")

    async def run():
        converter = Converter()
        await converter.convert(b"x", url="")
        with open(f"/proc/{converter._idle[0].pid}/environ", "rb") as file:
            environment = file.read()
        pid = converter._idle[0].pid
        await converter.aclose()
        return environment, pid

    environment, pid = asyncio.run(run())
    assert b"hunter2" not in environment and not os.path.exists(f"/proc/{pid}")


def test_without_markitdown_the_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr("lts_jax.live.tools.converter.find_spec", lambda name: None)
    assert convert((b"x", HTML)) == [MISSING]
