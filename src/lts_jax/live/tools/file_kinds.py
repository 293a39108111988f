"""What a file is: by its first bytes, which are seldom wrong, and only then by what it is called.

Kinds are suffixes, with their dot, in lower case.
"""

import io
import re
import zipfile
from pathlib import PurePosixPath

from lts_jax.live.tools.charsets import utf_16_without_mark

_NUM_LOOKED_AT = 8_192  # first bytes that tell a text from other files
_MAX_CONTROL_FRACTION = 0.02
_PDF_WITHIN = 1_024  # readers of PDF take what stands before it for a mail's or a server's head
_STARTS = (
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"GIF87a", ".gif"),
    (b"GIF89a", ".gif"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
)
_OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # a compound file: Office before 2007, or Office with a password
_OFFICE_FOLDERS = (("xl/", ".xlsx"), ("word/", ".docx"), ("ppt/", ".pptx"))
_FROM_OLD_OFFICE = {".xls", ".doc", ".ppt", ".msg", ".msi", ".vsd", ".mpp", ".pub", ".xlsb"}
_BINARY = {".xlsx", ".xlsm", ".xls", ".docx", ".doc", ".pptx", ".ppt"}
_ASIDE = r"(?:[\s\ufeff]|(?><!--.*?-->)|<\?xml\b[^>]*+>)*+"  # never given back, so that no page can hold us up
_PAGE = re.compile(rf"{_ASIDE}<(?:!doctype\s+html|html)\b", re.I | re.S)
_PART_OF_PAGE = re.compile(
    rf"{_ASIDE}<(?:!doctype\s+html|html|head|body|title|meta|script|style|table|frameset|iframe|div|h[1-6]|font|p|br|a)\b",
    re.I | re.S,
)


def kind_of(content: bytes, name: str) -> str:
    """The kind of a file, as the suffix that it should have: ".pdf", ".xlsx", ".zip"; that of its name by default.

    ".locked" stands for an Office file that wants a password, and "" for what has neither known bytes nor a suffix.
    """
    suffix = PurePosixPath(name).suffix.lower()
    known = next((kind for start, kind in _STARTS if content.startswith(start)), "")
    if known or content.startswith((b"PK\x03\x04", b"PK\x05\x06", _OLD_OFFICE)):
        return known or _kind_of_container(content, suffix)
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return ".webp"
    if content.startswith(b"BM") and not is_text(content):
        return ".bmp"
    if _is_pdf(content):
        return ".pdf"
    if suffix in _BINARY and content.strip() and is_text(content):  # exports of web pages are often called workbooks
        return ".html" if looks_like_html(content[:_NUM_LOOKED_AT].decode("latin-1"), is_part=True) else ".txt"
    if suffix == ".pdf" and is_text(content) and looks_like_html(content[:_NUM_LOOKED_AT].decode("latin-1")):
        return ".html"
    return suffix


def is_text(content: bytes) -> bool:
    """Whether bytes look like text of some charset: UTF-16, or next to no control characters."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or utf_16_without_mark(content):
        return True
    start = content[:_NUM_LOOKED_AT]
    num_controls = sum(byte < 32 and byte not in b"\t\n\f\r\x1b" for byte in start)
    return 0 not in start and num_controls <= _MAX_CONTROL_FRACTION * len(start)


def looks_like_html(start: str, *, is_part: bool = False) -> bool:
    """Whether a text opens as a web page does, after comments; with `is_part` also as an element of one."""
    return (_PART_OF_PAGE.match(start) if is_part else _PAGE.match(start)) is not None


def _is_pdf(content: bytes) -> bool:
    place = content[:_PDF_WITHIN].find(b"%PDF-")
    if place < 0:
        return False
    before = content[:place].removeprefix(b"\xef\xbb\xbf").strip(b"\0 \t\r\n\f")
    return not before or (content[place - 1 : place] in (b"\n", b"\r") and b"%%EOF" in content[-2_048:])


def _kind_of_container(content: bytes, suffix: str) -> str:
    """The kind of an archive, or of a compound file, by what is in it."""
    if content.startswith(_OLD_OFFICE):
        if "EncryptedPackage".encode("utf-16-le") in content:
            return ".locked"
        return suffix if suffix in _FROM_OLD_OFFICE else ".xls" if "Workbook".encode("utf-16-le") in content else ".doc"
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return suffix or ".zip"
    if "[Content_Types].xml" in names:
        return next(
            (kind for folder, kind in _OFFICE_FOLDERS if any(name.startswith(folder) for name in names)), ".zip"
        )
    return suffix if suffix in (".docx", ".pptx", ".xlsx") else ".zip"
