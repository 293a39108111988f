"""What a file is by its first bytes, and in which charset a text without a mark is."""

import io
import zipfile

import pytest

from lts_jax.live.tools.charsets import decode_text
from lts_jax.live.tools.file_kinds import is_text, kind_of, looks_like_html

OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100)


def packed(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "name", "kind"),
    [
        (b"%PDF-1.7\n", "report.html", ".pdf"),
        (b"\xef\xbb\xbf\r\n%PDF-1.7\n", "x", ".pdf"),
        (b"X-Mailer: y\r\n%PDF-1.4\n1 0 obj\n%%EOF\n", "x.txt", ".pdf"),
        (b"A PDF begins with\n%PDF-1.4 and a number.\n", "notes.txt", ".txt"),
        (packed("[Content_Types].xml", "xl/workbook.xml"), "old.xls", ".xlsx"),
        (packed("[Content_Types].xml", "word/document.xml"), "letter.zip", ".docx"),
        (packed("[Content_Types].xml", "ppt/presentation.xml"), "document", ".pptx"),
        (packed("in/a.csv"), "document", ".zip"),
        (b"PK\x03\x04 cut short", "a.xlsx", ".xlsx"),
        (OLD_OFFICE + "EncryptedPackage".encode("utf-16-le"), "a.xlsx", ".locked"),
        (OLD_OFFICE + "Workbook".encode("utf-16-le"), "a", ".xls"),
        (OLD_OFFICE, "a.msg", ".msg"),
        (b"<html><table><tr><td>1</td></tr></table></html>", "export.xls", ".html"),
        (b"<table><tr><td>1</td></tr></table>", "export.xls", ".html"),
        (b"town\tpools\nUlm\t7\n", "export.xls", ".txt"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "paper.pdf", ".html"),
        (b"\x89PNG\r\n\x1a\n...", "photo.jpg", ".png"),
        (b"\xff\xd8\xff\xe0", "photo", ".jpg"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "photo.png", ".webp"),
        (b"BM: a text of two letters", "notes.txt", ".txt"),
        (b"plain", "a.CSV", ".csv"),
        (b"plain", "a", ""),
        (b"", "a.xlsx", ".xlsx"),
    ],
)
def test_first_bytes_count_before_the_name(content, name, kind):
    assert kind_of(content, name) == kind


@pytest.mark.parametrize(
    ("start", "is_page", "is_part"),
    [
        ("<!DOCTYPE HTML><p>", True, True),
        ("\ufeff <!-- saved <from> --> <!-- twice -->\n<HTML lang=en>", True, True),
        ("<?xml version='1.0'?><!-- x --><html xmlns='y'>", True, True),
        ("<head><title>T", False, True),
        ("<body>", False, True),
        ("<rss><channel>", False, False),
        ("<?xml version='1.0'?><feed>", False, False),
        ("<header-of-mine>", False, False),
        ("{}", False, False),
    ],
)
def test_a_page_is_told_by_how_it_opens(start, is_page, is_part):
    assert (looks_like_html(start), looks_like_html(start, is_part=True)) == (is_page, is_part)


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        ("今天天气很好，我们去公园看苍鹭。", "gb18030"),
        ("名称,数量\n苍鹭,1893\n", "gb18030"),
        ("アオサギの数は1893羽でした。去年の冬に湖で数えました。", "shift_jis"),
        ("名前,数\nアオサギ,1893\n", "euc_jp"),
        ("왜가리의 수는 1893마리였다.", "euc_kr"),
        ("名稱,數量\n蒼鷺,1893\n", "big5"),
        ("蒼鷺的數目是1893隻，去年冬天在湖邊數過。", "big5"),
        ("Имя;Число\nЦапля;1893\n", "cp1251"),
        ("Количество цапель в прошлом году составило 1893.", "koi8-r"),
        ("Zürich;12\nGenève;13\n", "cp1252"),
        ("He said “herons” – it’s 5€", "cp1252"),
        ("Über Größe: früh, spät, süß", "cp1252"),
    ],
)
def test_a_text_that_tells_no_charset_is_read_by_its_letters(text, charset):
    pytest.importorskip("charset_normalizer", reason="comes with markitdown, of the extra `web`")
    assert decode_text(text.encode(charset)) == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_wide_text_needs_no_mark(encoding):
    content = "town,pools\nZürich,7\n".encode(encoding)
    assert is_text(content) and decode_text(content) == "town,pools\nZürich,7\n"
    assert not is_text(content + b"\0\0\0") and not is_text(bytes(100)) and not is_text(b"\x01\0\x02\x03" * 30)
