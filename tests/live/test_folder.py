"""A folder of documents as teams use it: searched, visited, opened, listed; what is left out; what is refused."""

import asyncio
import inspect
import io
import zipfile

import pytest

from lts_jax.errors import UserError
from lts_jax.live import folder_reading
from lts_jax.live.folder import FolderTools, make_library, open_library, search
from lts_jax.live.folder_reading import Document, read_folder
from lts_jax.live.plain_html import plain_html
from lts_jax.records import ToolResult

PAGE = "<html><head><title>Heron</title><script>no()</script></head><body><h1>Herons</h1><p>They &amp; eels"
PAGE += "<table><tr><th>month</th><th>count</th></tr><tr><td>May</td><td>12</td></tr></table></body></html>"
# 10 lines of 27 characters, 90 of 28 and 7 of 29 are 2,993: viewports of up to 3,000 hold 107, 103, 103 and 88 lines
LONG = "".join(f"Line {n} of the long report.\n" for n in range(400)) + "The weir broke in 1904.\n"


@pytest.fixture
def docs(tmp_path):
    """A folder with a document of each kind that needs no extra, things to leave out, and links that lead out."""
    folder = tmp_path / "docs"
    (folder / "deep").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("hidden")
    (folder / "otter notes.md").write_text("# Otters\nAn otter eats fish.\n")
    (folder / "deep" / "ponds.csv").write_bytes("pond,ducks\nnörth,4\n".encode("cp1252"))
    (folder / "report.txt").write_text(LONG)
    (folder / "picture.png").write_bytes(b"\x89PNG\x00\x00")
    (folder / "empty.txt").write_text("  \n")
    (folder / "data").write_bytes(bytes(range(256)))
    (tmp_path / "secret.txt").write_text("outside")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "away").symlink_to(tmp_path)
    return folder


def test_documents_are_read_and_what_cannot_be_is_counted_once(docs):
    with pytest.warns(UserWarning, match=r"3 of 6 files cannot be read \(the first: data: it is of no kind") as said:
        documents = read_folder(str(docs))
        assert read_folder(str(docs)) is documents  # once a process
    assert len(said) == 1
    assert [(each.name, each.text) for each in documents] == [
        ("deep/ponds.csv", "pond,ducks\nnörth,4\n"),
        ("otter notes.md", "# Otters\nAn otter eats fish.\n"),
        ("report.txt", LONG),
    ]


def test_html_needs_no_extra(tmp_path, monkeypatch):
    (tmp_path / "heron.html").write_text(PAGE)
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.4")
    monkeypatch.setattr(folder_reading, "find_spec", lambda name: None)
    with pytest.warns(UserWarning, match=r"report.pdf: needs pip install 'lts-jax\[web\]'"):
        [document] = read_folder(str(tmp_path))
    assert document == Document("heron.html", "Heron", "Herons\nThey & eels\nmonth | count\nMay | 12")
    assert plain_html("a<head>b<body>c<script>d") == ("", "ac")  # broken as it is


def test_other_kinds_are_read_with_the_extra(tmp_path):
    pytest.importorskip("markitdown", reason="needs markitdown, of the extra `web`")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("[Content_Types].xml", CONTENT_TYPES)
        archive.writestr("_rels/.rels", RELATIONS)
        archive.writestr("word/document.xml", WORDS)
    (tmp_path / "letter.docx").write_bytes(packed.getvalue())
    (tmp_path / "heron.html").write_text(PAGE)
    found = {each.name: each for each in read_folder(str(tmp_path))}
    assert "The lock keeper is Ada." in found["letter.docx"].text
    assert found["heron.html"].title == "Heron" and "| May | 12 |" in found["heron.html"].text


@pytest.mark.parametrize("kind", ["gone", "file", "empty", "unreadable"])
def test_a_folder_without_documents_is_refused(tmp_path, kind):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "unreadable").mkdir()
    (tmp_path / "unreadable" / "x.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match=rf"^tools.folder: .*{kind}: ") as refused:
        open_library(str(tmp_path / kind))
    assert "\n" not in str(refused.value)


def test_limits_are_told(tmp_path, monkeypatch):
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text("some words")
    monkeypatch.setattr(folder_reading, "MAX_CHARACTERS", 25)
    with pytest.raises(UserError, match="at most 25 characters of text"):
        read_folder(str(tmp_path))
    monkeypatch.setattr(folder_reading, "MAX_FILES", 2)
    with pytest.raises(UserError, match="at most 2 files"):
        read_folder(str(tmp_path))


LIBRARY = make_library(
    [
        Document("otter notes.md", "Otters", "An otter eats fish.\n\nIt sleeps."),
        Document("report.txt", "report.txt", LONG),
        Document("deep/100%.csv", "100%.csv", "pond,ducks\nnorth,4"),
    ]
)


def used(tool, *, others=lambda tool, given: ToolResult(f"other {tool}"), web=False, **given):
    return one(FolderTools(LIBRARY, others, web, web), tool, **given)


def one(tools, tool, **given):
    async def call():
        returned = tools.use_tool(tool, given)
        return await returned if inspect.isawaitable(returned) else returned

    return asyncio.run(call())


def test_a_search_lists_each_document_once_with_its_best_viewport():
    assert search(LIBRARY, "What does an OTTER eat?")[0] == (
        "1. Otters\n   <folder/otter%20notes.md>\n   An otter eats fish."
    )
    [found, *_] = search(LIBRARY, "weir broke")
    assert found.startswith("1. report.txt\n   <folder/report.txt>\n   (viewport 4 of 4) The weir broke in 1904.")
    assert used("web_search", query="zebra") == ToolResult("No results found for: zebra", True, "web_search")


def test_documents_are_paged_and_searched_like_pages():
    first = used("visit_url", url="folder/report.txt")
    assert first.text.startswith("report.txt\n<folder/report.txt>\n\nLine 0 of") and first.source == "folder/report.txt"
    assert first.text.endswith("[viewport 1 of 4]")
    assert "broke in 1904." in used("open_file", name="report.txt", page=4).text
    assert used("visit_url", url="folder/report.txt", page="5").text == "There is no viewport 5; there are 4"
    assert used("find_on_page", url="<folder/report.txt>", text="WEIR").text.endswith(
        "(viewport 4) The weir broke in 1904."
    )
    assert used("find_on_page", url="folder/report.txt", text="zebra").failed


@pytest.mark.parametrize("asked", ["folder/otter%20notes.md", "folder/otter notes.md", "otter notes.md#top", "./x"])
def test_a_document_goes_by_every_spelling_of_its_name(asked):
    assert used("visit_url", url=asked).failed == (asked == "./x")
    assert not used("visit_url", url="folder/deep/100%.csv").failed


def test_a_call_without_an_address_means_the_document_looked_at():
    tools = FolderTools(LIBRARY, lambda tool, given: ToolResult("other"))
    assert one(tools, "visit_url", page=2).failed
    one(tools, "visit_url", url="folder/report.txt")
    assert "[viewport 2 of 4]" in one(tools, "visit_url", page=2).text


def test_what_is_not_in_the_folder_goes_to_the_other_tools_or_is_named():
    told = used("visit_url", url="folder/reprot.txt")
    assert told.failed and told.text.endswith("There is no document at folder/reprot.txt; near it: folder/report.txt")
    assert used("visit_url", url="https://example.org").failed
    assert used("visit_url", url="https://example.org", web=True).text == "other visit_url"
    assert used("run_python", code="1").text == "other run_python"
    assert used("web_search", query="otter", web=True).text.endswith("fish.\nother web_search")
    assert used("web_search", query="zebra", web=True).text == "other web_search"
    assert used("list_files").text.split("\n") == [
        "folder/otter%20notes.md (31 characters)",
        f"folder/report.txt ({len(LONG):,} characters)",
        "folder/deep/100%25.csv (18 characters)",
        "other list_files",
    ]
    nothing = used("list_files", pattern="*.pdf", others=lambda tool, given: ToolResult("none", True))
    assert nothing == ToolResult("No file matches '*.pdf'.", True, "list_files")


CONTENT_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="word/document.xml"/></Relationships>'
)
WORDS = (
    '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>'
    "The lock keeper is Ada.</w:t></w:r></w:p></w:body></w:document>"
)
