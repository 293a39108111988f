"""Turns one document into text, in a sandboxed process of its own: its work folder holds the document and no more.

The first line of output is "ok" or "failed"; after it comes the text, or one line that says what is wrong.
"""

import io
import os
import warnings
import zipfile
from collections.abc import Callable

_CONVERTERS = {
    ".pdf": "PdfConverter",
    ".docx": "DocxConverter",
    ".pptx": "PptxConverter",
    ".html": "HtmlConverter",
    ".htm": "HtmlConverter",
}
_WORKBOOKS = (".xlsx", ".xlsm")
_PACKED = (".docx", *_WORKBOOKS, ".pptx", ".zip")
_MAX_MEMBERS = 10_000
_MAX_FIELD_CHARACTERS = 200


Reader = Callable[[bytes], str]


def start(path: str, suffix: str, max_characters: int, max_unpacked_bytes: int, read_workbook: Reader) -> None:
    """Read the document at `path` as one of kind `suffix` and print what is in it."""
    output = os.dup(1)
    silence = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # libraries print warnings; only the text may come back
        os.dup2(silence, descriptor)
    warnings.simplefilter("ignore")
    try:
        with open(path, "rb") as file:
            text = "ok\n" + read(file.read(), suffix, max_unpacked_bytes, read_workbook)[:max_characters]
    except ImportError as error:
        text = f"failed\n{suffix} files cannot be read here: {error.name} is not installed (extra web)"
    except MemoryError:
        text = "failed\nit needs more memory than a document may have"
    except Exception as error:
        told = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        text = "failed\n" + (
            "it wants a password" if _wants_password(error) else f"it is no readable {suffix} file: {told}"
        )
    with os.fdopen(output, "wb") as pipe:
        pipe.write(text.encode(errors="replace"))


def read(content: bytes, suffix: str, max_unpacked_bytes: int, read_workbook: Reader) -> str:
    """The text of a document.

    Raises:
        ValueError: it unpacks to more than allowed.
        Exception: whatever a library finds wrong with it.
    """
    if suffix in _PACKED:
        check_unpacked(content, max_unpacked_bytes)
    if suffix == ".zip":
        return describe_archive(content)
    if suffix in _WORKBOOKS:
        return read_workbook(content)
    if suffix in _CONVERTERS:
        from markitdown import StreamInfo, converters

        converter = getattr(converters, _CONVERTERS[suffix])()
        charset = "utf-8" if suffix in (".html", ".htm") else None
        return str(converter.convert(io.BytesIO(content), StreamInfo(extension=suffix, charset=charset)).markdown)
    return describe_image(content)


def check_unpacked(content: bytes, max_unpacked_bytes: int) -> None:
    """Refuse an archive that says it is too large; one that lies ends at the length that it told."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
    if len(members) > _MAX_MEMBERS:
        raise ValueError(f"it holds {len(members)} files; up to {_MAX_MEMBERS} are read")
    unpacked = sum(member.file_size for member in members)
    if unpacked > max_unpacked_bytes:
        raise ValueError(f"it unpacks to {unpacked} bytes; up to {max_unpacked_bytes} are read")


def describe_archive(content: bytes) -> str:
    """The members of an archive with their sizes."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        lines = [f"- {member.filename!r} ({member.file_size} bytes)" for member in archive.infolist()]
    return "\n".join([f"Archive of {len(lines)} files; a Python program can open it.", *lines])


def describe_image(content: bytes) -> str:
    """Format, size and what is written in an image's header. Its pixels are not decoded."""
    from PIL import ExifTags, Image

    with Image.open(io.BytesIO(content)) as image:
        lines = [f"Image: {image.format}, {image.width} x {image.height} pixels, mode {image.mode}"]
        lines += [f"{_one_line(name)}: {_one_line(value)}" for name, value in image.info.items() if _is_plain(value)]
        fields = Image.Exif()  # the image's own `getexif` would decode the pixels of a PNG to look behind them
        fields.load(image.info.get("exif", b""))
        lines += [f"{ExifTags.TAGS.get(tag, tag)}: {_one_line(value)}" for tag, value in fields.items()]
    return "\n".join(lines)


def _wants_password(error: BaseException | None) -> bool:
    """Whether an error, or what it came from, is that of a document which opens with a password only."""
    while error is not None:
        if "password" in f"{type(error).__name__} {error}".lower():
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float | tuple)


def _one_line(value: object) -> str:
    return " ".join(str(value).split())[:_MAX_FIELD_CHARACTERS]
