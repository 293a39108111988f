"""The file tools of a team: listing, paging, finding, and documents of every kind, good and hostile."""

import asyncio
import importlib.util
import io
import struct
import time
import zipfile
import zlib

import pytest

from lts_jax.live.tools.file_kinds import is_text
from lts_jax.live.tools.file_reading import ReadingSettings
from lts_jax.live.tools.file_reading_inside import check_unpacked, describe_archive
from lts_jax.live.tools.files import FileSettings, FileTools
from lts_jax.live.tools.sandbox_settings import SandboxSettings

needs_markitdown = pytest.mark.skipif(not importlib.util.find_spec("markitdown"), reason="markitdown is not installed")
needs_pillow = pytest.mark.skipif(not importlib.util.find_spec("PIL"), reason="pillow is not installed")


def opened(root, name, page=1, find="", **settings):
    return asyncio.run(FileTools(root, FileSettings(**settings)).open_file(name, page, find))


def listed(root, pattern="", **settings):
    return asyncio.run(FileTools(root, FileSettings(**settings)).list_files(pattern))


def test_a_listing(tmp_path):
    (tmp_path / "b.csv").write_text("x" * 1234)
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "A.TXT").write_text("a")
    (tmp_path / "odd\nname").write_text("")
    (tmp_path / "out").symlink_to("/etc/passwd")
    result = listed(tmp_path)
    assert result.text == "b.csv (1,234 bytes)\ninner/A.TXT (1 bytes)\nodd\\nname (0 bytes)"
    assert (result.failed, result.tool, result.source) == (False, "list_files", "")
    assert listed(tmp_path, "*.csv").text == "b.csv (1,234 bytes)"
    assert listed(tmp_path, "a.txt").text == "inner/A.TXT (1 bytes)"
    assert listed(tmp_path, "pdf").text == "No file matches 'pdf'."
    assert listed(tmp_path, num_listed=1).text == "b.csv (1,234 bytes)\n[more than 1 files; give a pattern]"


def test_without_files(tmp_path):
    assert listed(None).text == listed(tmp_path).text == "There are no files."
    assert listed(None).failed and listed(tmp_path).failed
    assert opened(None, "a").text == "a was not opened: there are no files"
    assert listed(tmp_path / "missing").text == "The files cannot be listed: No such file or directory"


def test_a_text_by_windows(tmp_path):
    (tmp_path / "t.txt").write_text("".join(f"line {n:03d} {'x' * 40}\n" for n in range(6)))
    first = opened(tmp_path, "t.txt", window_characters=160)
    assert (
        first.text == f"File: t.txt\n\nline 000 {'x' * 40}\nline 001 {'x' * 40}\nline 002 {'x' * 40}\n[viewport 1 of 2]"
    )
    assert (first.failed, first.tool, first.source) == (False, "open_file", "t.txt")
    assert opened(tmp_path, "./t.txt", "2", window_characters=160).text.endswith(f"005 {'x' * 40}\n[viewport 2 of 2]")
    for page in (0, 3, -1, "x", 10**30, 1.5):
        result = opened(tmp_path, "t.txt", page, window_characters=160)
        assert result.failed
        assert f"it has no viewport '{str(page)[:20]}', only 1 to 2" in result.text
    assert opened(tmp_path, "t.txt", None).text.endswith("x")


def test_find(tmp_path):
    (tmp_path / "t.txt").write_text("".join(f"line {n:03d} {'x' * 40}\n" for n in range(6)))
    found = opened(tmp_path, "t.txt", find="LINE 004", window_characters=160)
    assert found.text == f"File: t.txt\n\n(viewport 2) line 004 {'x' * 40}"
    assert "no line of it holds 'zebra'" in opened(tmp_path, "t.txt", find="zebra").text


@pytest.mark.parametrize("name", [None, "", 5, ["a"], {}, "../up.txt", "/etc/passwd", "a\0b", "missing.txt", "\ud800"])
def test_wrong_names_are_results(tmp_path, name):
    (tmp_path / "here.txt").write_text("x")
    result = opened(tmp_path, name)
    assert result.failed
    assert "was not opened: " in result.text
    assert ("At hand: here.txt" in result.text) == (name in (5, ["a"], {}, "missing.txt"))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"plain", "plain"),
        ("naïve ☃".encode(), "naïve ☃"),
        ("naïve".encode("cp1252"), "naïve"),
        ("\ufeffmarked".encode(), "marked"),
        ("\ufeffwide ☃".encode("utf-16-le"), "wide ☃"),
        (b'{"a": 1}', '{"a": 1}'),
    ],
)
def test_texts_of_many_charsets(tmp_path, content, text):
    (tmp_path / "some.data").write_bytes(content)
    assert opened(tmp_path, "some.data").text == f"File: some.data\n\n{text}"


def test_what_is_no_text(tmp_path):
    assert not is_text(b"\x7fELF\x01\x00")
    assert not is_text(bytes(range(1, 32)) * 10)
    assert is_text(b"")
    (tmp_path / "song.mp3").write_bytes(b"ID3\x00\x01")
    said = "song.mp3 was not opened: no reader for files of kind .mp3; a Python program can open it"
    assert opened(tmp_path, "song.mp3").text == said
    (tmp_path / "empty.txt").write_text(" \n")
    assert opened(tmp_path, "empty.txt").text == "empty.txt was not opened: it holds no text"


def test_wrong_settings():
    with pytest.raises(ValueError, match="window_characters: expected at least 100"):
        FileSettings(window_characters=5)
    with pytest.raises(ValueError, match="expected at least 1"):
        FileSettings(num_listed=0)
    with pytest.raises(ValueError, match="expected numbers above 0"):
        ReadingSettings(seconds=0)
    with pytest.raises(ValueError, match="memory_bytes: expected at least"):
        ReadingSettings(memory_bytes=1)


def make_pdf(words):
    """A PDF of one page, written by hand."""
    stream = b"BT /F1 24 Tf 72 700 Td (" + words + b") Tj ET"
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(out)
    return out + b"xref\n0 6\n0000000000 65535 f \n" + table + end


def make_docx(words):
    """The least Word file that readers take."""
    name = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    types = "http://schemas.openxmlformats.org/package/2006/content-types"
    relations = "http://schemas.openxmlformats.org/package/2006/relationships"
    document = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
    main = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    xml = '<?xml version="1.0" encoding="UTF-8"?>'
    return zipped(
        {
            "[Content_Types].xml": f'{xml}<Types xmlns="{types}"><Default Extension="rels" ContentType='
            f'"application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" '
            f'ContentType="{main}"/></Types>',
            "_rels/.rels": f'{xml}<Relationships xmlns="{relations}"><Relationship Id="r1" Type="{document}" '
            f'Target="word/document.xml"/></Relationships>',
            "word/document.xml": f'{xml}<w:document xmlns:w="{name}"><w:body><w:p><w:r><w:t>{words}</w:t></w:r></w:p>'
            f"</w:body></w:document>",
        }
    )


def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def make_png(width, height, text=b""):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    told = chunk(b"tEXt", b"Comment\0" + text) if text else b""
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 7))
    return b"\x89PNG\r\n\x1a\n" + header + told + pixels + chunk(b"IEND", b"")


@needs_markitdown
def test_documents_of_every_kind(tmp_path):
    from openpyxl import Workbook
    from pptx import Presentation

    book = Workbook()
    book.active.append(["city", "pools"])
    book.active.append(["Ulm", 7])
    book.save(tmp_path / "table.xlsx")
    slides = Presentation()
    slides.slides.add_slide(slides.slide_layouts[5]).shapes.title.text = "Pools of Ulm"
    slides.save(tmp_path / "talk.pptx")
    (tmp_path / "page.html").write_text("<h1>Pools</h1><p>Seven of <a href='/x'>them</a></p><script>no()</script>")
    (tmp_path / "paper.PDF").write_bytes(make_pdf(b"Seven pools"))
    (tmp_path / "letter.docx").write_bytes(make_docx("Dear pool"))
    (tmp_path / "photo.png").write_bytes(make_png(640, 480, b"made by hand"))
    (tmp_path / "box.zip").write_bytes(zipped({"in/a.csv": "1,2\n"}))

    async def all_of_them():
        tools = FileTools(tmp_path)
        names = ("table.xlsx", "talk.pptx", "page.html", "paper.PDF", "letter.docx", "photo.png", "box.zip")
        return {name: (await tools.open_file(name)).text.split("\n\n", 1)[1] for name in names}

    texts = asyncio.run(all_of_them())
    assert "| city | pools |" in texts["table.xlsx"]
    assert "| Ulm | 7 |" in texts["table.xlsx"]
    assert "# Pools of Ulm" in texts["talk.pptx"]
    assert texts["page.html"] == "# Pools\n\nSeven of [them](/x)"
    assert "Seven pools" in texts["paper.PDF"]
    assert texts["letter.docx"] == "Dear pool"
    assert texts["photo.png"] == "Image: PNG, 640 x 480 pixels, mode RGB\nComment: made by hand"
    assert texts["box.zip"] == "Archive of 1 files; a Python program can open it.\n- 'in/a.csv' (4 bytes)"


@needs_pillow
def test_an_image_that_claims_to_be_huge_is_only_described(tmp_path):
    (tmp_path / "big.png").write_bytes(make_png(13_000, 13_000))
    assert "PNG, 13000 x 13000 pixels" in opened(tmp_path, "big.png").text


@needs_markitdown
def test_a_page_in_an_older_charset(tmp_path):
    page = "<html><head><meta charset='windows-1252'></head><body><p>Zürich café</p></body></html>"
    (tmp_path / "old.htm").write_bytes(page.encode("cp1252"))
    assert opened(tmp_path, "old.htm").text == "File: old.htm\n\nZürich café"


@needs_pillow
def test_what_a_camera_wrote_is_told(tmp_path):
    from PIL import Image

    told = Image.Exif()
    told[0x010F], told[0x0132] = "Maker\nof cameras", "2024:05:01 10:00:00"
    Image.new("RGB", (3, 2)).save(tmp_path / "shot.jpg", exif=told)
    lines = opened(tmp_path, "shot.jpg").text.splitlines()
    assert lines[2] == "Image: JPEG, 3 x 2 pixels, mode RGB"
    assert {"Make: Maker of cameras", "DateTime: 2024:05:01 10:00:00"} <= set(lines)


@needs_markitdown
@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("a.pdf", b"%PDF-1.4"),
        ("a.docx", b""),
        ("a.xlsx", b"PK\x03\x04"),
        ("a.pptx", b""),
        ("a.png", b""),
        ("a.zip", b""),
    ],
)
def test_broken_documents_are_one_line(tmp_path, name, start):
    (tmp_path / name).write_bytes(start + b"\n\x00\xff not at all")
    result = opened(tmp_path, name)
    assert result.failed
    assert "\n" not in result.text
    assert result.text.startswith(f"{name} was not opened: it is no readable .{name[2:]} file")


def test_a_bomb_in_a_document_is_refused_before_it_unpacks(tmp_path):
    (tmp_path / "bomb.docx").write_bytes(zipped({"word/document.xml": b"0" * (40 << 20)}))
    reading = ReadingSettings(unpacked_bytes=32 << 20)
    result = opened(tmp_path, "bomb.docx", reading=reading)
    assert result.failed
    assert "it unpacks to 41943040 bytes; up to 33554432 are read" in result.text
    with pytest.raises(ValueError, match="it holds 10001 files"):
        check_unpacked(zipped({str(n): b"" for n in range(10_001)}), 1 << 30)
    assert describe_archive(zipped({"a\nb": b""})).endswith("- 'a\\nb' (0 bytes)")


@needs_markitdown
def test_a_document_that_needs_too_much_memory_or_time_is_stopped(tmp_path):
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    laughs = f'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY e0 "ha">{entities}]><d>&e11;</d>'
    members = zipfile.ZipFile(io.BytesIO(make_docx("x")))
    parts = {name: members.read(name) for name in members.namelist()} | {"word/document.xml": laughs}
    (tmp_path / "laughs.docx").write_bytes(zipped(parts))
    (tmp_path / "deep.html").write_text("<div>" * 200_000)
    for name in ("laughs.docx", "deep.html"):
        started = time.monotonic()
        result = opened(tmp_path, name, reading=ReadingSettings(seconds=4, memory_bytes=1 << 30))
        assert result.failed, name
        assert "\n" not in result.text
        assert time.monotonic() - started < 120


def test_a_missing_library_is_one_line(tmp_path):
    """Read by an interpreter without our packages, which also must not need our compiled code."""
    import shutil
    import subprocess

    bare = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    asked = [bare or "no-such-python", "-I", "-c", "import markitdown"]
    if bare is None or subprocess.run(asked, capture_output=True, check=False).returncode == 0:
        pytest.skip("no interpreter without markitdown")
    (tmp_path / "a.html").write_text("<p>x</p>")
    tools = FileTools(tmp_path, sandbox=SandboxSettings(python=bare))
    result = asyncio.run(tools.open_file("a.html"))
    assert result.text == (
        "a.html was not opened: .html files cannot be read here: markitdown is not installed (extra web)"
    )


def test_a_text_is_converted_once_and_few_are_kept(tmp_path, monkeypatch):
    from lts_jax.live.tools import files

    asked = []

    async def counted(content, name, settings, sandbox):
        asked.append(name)
        return content.decode()

    monkeypatch.setattr(files, "read_document", counted)
    for name in "abc":
        (tmp_path / name).write_text(f"text of {name}")

    async def use():
        tools = FileTools(tmp_path, FileSettings(num_kept=2))
        for name in "aabcba":
            await tools.open_file(name)
        (tmp_path / "a").write_text("changed")
        return await tools.open_file("a")

    assert asyncio.run(use()).text.endswith("changed")
    assert asked == ["a", "b", "c", "a", "a"]
