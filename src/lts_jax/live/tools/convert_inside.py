"""The converter's own process: reads HTML from standard input, writes what is in it to standard output.

One document after the other, each as a line of JSON and the bytes that it announces; so are the replies.
"""

import io
import json
import os
import resource
import sys
import warnings
from collections.abc import Callable
from typing import IO, Any

from lts_jax.live.tools.charsets import decode_text
from lts_jax.live.tools.html_reading import read_html
from lts_jax.plain import to_plain


def main(memory_bytes: int) -> None:
    """Serve until the other side closes."""
    for limit, value in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        resource.setrlimit(limit, (value, value))
    warnings.simplefilter("ignore")
    given, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no reply
    to_markdown = _open_markitdown()
    while line := given.readline():
        asked = json.loads(line)
        _reply(replies, _answer(to_markdown, asked, given.read(asked["num_bytes"])))


def _answer(to_markdown: Callable[[str], str], asked: dict[str, Any], body: bytes) -> dict[str, Any]:
    try:
        read = read_html(decode_text(body, asked["charset"]), asked["url"])
        text = to_markdown(read.html)[: asked["max_characters"]]
        return {"title": read.title, "text": text, "links": read.links, "forms": to_plain(read.forms)}
    except (MemoryError, RecursionError) as error:
        return {"problem": f"the document is too large or too deep ({type(error).__name__})"}
    except Exception as error:
        told = " ".join(f"{type(error).__name__} {error}".split())
        return {"problem": f"the document cannot be read: {told}"[:300]}


def _open_markitdown() -> Callable[[str], str]:
    from markitdown import StreamInfo
    from markitdown.converters import HtmlConverter

    converter, told = HtmlConverter(), StreamInfo(mimetype="text/html", charset="utf-8", extension=".html")

    def to_markdown(html: str) -> str:
        return str(converter.convert(io.BytesIO(html.encode(errors="replace")), told).markdown).strip()

    return to_markdown


def _reply(replies: IO[bytes], answer: dict[str, Any]) -> None:
    data = json.dumps(answer).encode()
    replies.write(json.dumps({"num_bytes": len(data)}).encode() + b"\n" + data)
    replies.flush()
