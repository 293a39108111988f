"""The converter's own process: reads documents from standard input, writes what is in them to standard output.

One document after the other, each as a line of JSON and the bytes that it announces; so are the replies.
"""

import contextlib
import io
import json
import os
import resource
import sys
import warnings
from typing import IO, Any

from lts_jax.plain import to_plain
from lts_jax.teams.tools.charsets import decode_text
from lts_jax.teams.tools.html_reading import read_html

_HTML_TYPES = {"text/html", "application/xhtml+xml"}
_PLAIN_TYPES = {"application/json", "application/xml", "application/javascript", "application/x-yaml"}


def main(memory_bytes: int) -> None:
    """Serve until the other side closes."""
    for limit, value in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 2**26)):
        resource.setrlimit(limit, (value, value))
    warnings.simplefilter("ignore")
    given, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no reply
    convert = _open_markitdown()
    while line := given.readline():
        asked = json.loads(line)
        _reply(replies, _answer(convert, asked, given.read(asked["num_bytes"])))


def _answer(convert: Any, asked: dict[str, Any], body: bytes) -> dict[str, Any]:
    try:
        return _converted(convert, asked, body)
    except (MemoryError, RecursionError) as error:
        return {"problem": f"the document is too large or too deep ({type(error).__name__})"}
    except Exception as error:
        told = " ".join(f"{type(error).__name__} {error}".split())
        return {"problem": f"the document cannot be read: {told}"[:300]}


def _converted(convert: Any, asked: dict[str, Any], body: bytes) -> dict[str, Any]:
    kind, cap = asked["content_type"], asked["max_characters"]
    if kind in _HTML_TYPES or (not kind and body[:512].lstrip().lower().startswith((b"<!doctype html", b"<html"))):
        read = read_html(decode_text(body, asked["charset"]), asked["url"])
        text = convert(read.html.encode(errors="replace"), "text/html", "utf-8", ".html")
        return {"title": read.title, "text": text[:cap], "links": read.links, "forms": to_plain(read.forms)}
    if (kind.startswith("text/") and kind != "text/csv") or kind in _PLAIN_TYPES or kind.endswith(("+json", "+xml")):
        return {"title": "", "text": decode_text(body, asked["charset"])[:cap], "links": [], "forms": []}
    charset = asked["charset"] or ("utf-8" if kind.startswith("text/") else None)
    return {"title": "", "text": convert(body, kind, charset, asked["extension"])[:cap], "links": [], "forms": []}


def _open_markitdown() -> Any:
    from markitdown import MarkItDown, StreamInfo

    markitdown = MarkItDown(enable_plugins=False)

    def convert(body: bytes, content_type: str, charset: str | None, extension: str) -> str:
        told = StreamInfo(mimetype=content_type or None, charset=charset, extension=extension or None)
        with contextlib.redirect_stdout(sys.stderr):
            return str(markitdown.convert_stream(io.BytesIO(body), stream_info=told).markdown)

    return convert


def _reply(replies: IO[bytes], answer: dict[str, Any]) -> None:
    data = json.dumps(answer).encode()
    replies.write(json.dumps({"num_bytes": len(data)}).encode() + b"\n" + data)
    replies.flush()
