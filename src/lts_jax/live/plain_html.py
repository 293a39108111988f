"""The text of a web page without any library: for documents of one's own where `markitdown` is not installed."""

from html.parser import HTMLParser

_BLOCKS = frozenset(
    ("address", "article", "aside", "blockquote", "br", "caption", "dd", "div", "dl", "dt", "figcaption", "footer",
     "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "table",
     "tr", "ul")
)  # fmt: skip
_UNSEEN = frozenset(("script", "style", "noscript", "template", "head"))


def plain_html(text: str) -> tuple[str, str]:
    """(title, text) of a page: blocks on lines of their own, cells of a table with bars between them. Never raises."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    lines = (" ".join(line.split()).removesuffix(" |") for line in "".join(reader.pieces).split("\n"))
    return " ".join("".join(reader.title).split())[:300], "\n".join(line for line in lines if line)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self.title: list[str] = []
        self._unseen = ""  # tag whose end brings text back
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a line, a cell or an unseen part."""
        if tag == "title":
            self._in_title = True
        elif tag == "body":
            self._unseen = ""  # a head that was never closed
        elif tag in _UNSEEN and not self._unseen:
            self._unseen = tag
        elif tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """End a line, a cell or an unseen part."""
        if tag == "title":
            self._in_title = False
        elif tag == self._unseen:
            self._unseen = ""
        elif tag in {"td", "th"}:
            self.pieces.append(" | ")
        elif tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        """Keep what a reader sees."""
        if self._in_title:
            self.title.append(data)
        elif not self._unseen:
            self.pieces.append(data.replace("\n", " "))
