"""HTML made ready for conversion to text: what nobody sees is dropped, links and forms get numbers. Needs bs4.

Runs inside the converter's process, where a hostile document can waste nothing but that process's time.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from lts_jax.live.tools.addresses import Refused, join
from lts_jax.live.tools.page_text import FEW_CHARACTERS, Field, Form

_MAX_LINKS = 1_000
_MAX_FORMS = 20
_MAX_FIELDS = 60
_MAX_OPTIONS = 200
_MAX_FRAMES = 20
_FRAMES = ("frame", "iframe", "embed", "object")  # other documents, shown inside this one
_DOTS = ("0", "1", "0px", "1px")
_UNSEEN = ("script", "style", "template", "svg", "frame", "iframe", "object", "canvas", "head", "dialog")
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])", re.I)
_REFRESH = re.compile(r"\s*+\d*+\.?\d*+\s*+[;,]\s*+(?:url\s*+=\s*+)?['\"]?([^'\"]+)", re.I)
_BUTTONS = {"submit", "button", "reset", "image", "file"}


@dataclass(slots=True)
class ReadHtml:
    """The document's title, its body as HTML, the links in order of their numbers, and its forms."""

    title: str = ""
    html: str = ""
    links: list[str] = field(default_factory=list)
    forms: list[Form] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)  # of the links, by address


def read_html(text: str, url: str) -> ReadHtml:
    """Read a document that was found at `url`."""
    from bs4 import BeautifulSoup, Comment

    soup = BeautifulSoup(text, _parser())
    read = ReadHtml()
    if soup.title is not None:
        read.title = " ".join(soup.title.get_text().split())[:300]
    base = soup.find("base", href=True)
    base_url = _absolute(url, str(base["href"])) if base is not None else ""
    _show_refresh(soup)
    _give_body(soup)
    for tag in soup.find_all(_FRAMES)[:_MAX_FRAMES]:
        _show_frame(soup, tag, base_url or url)
    for comment in soup.find_all(string=lambda each: isinstance(each, Comment)):
        comment.extract()
    for tag in soup.find_all(_is_unseen):
        tag.decompose()
    _choose_noscript(soup)
    for tag in soup.find_all("form")[:_MAX_FORMS]:
        _number_form(soup, tag, base_url or url, read)
    for tag in soup.find_all("a", href=True):
        _number_link(tag, base_url or url, read)
    for tag in soup.find_all("img"):
        tag.replace_with(f"[image: {alt[:200]}]" if (alt := str(tag.get("alt") or "").strip()) else "")
    read.html = str(soup.body or soup)
    return read


def _show_refresh(soup: Any) -> None:
    """A page that sends on by itself says where to, as a link."""
    for tag in soup.find_all("meta", attrs={"http-equiv": re.compile("^refresh$", re.I)}, limit=1):
        found = _REFRESH.match(str(tag.get("content") or ""))
        if found is not None and soup.body is not None:
            note = soup.new_tag("p")
            link = soup.new_tag("a", href=found[1].strip())
            link.string = "This page sends on"
            note.append(link)
            soup.body.insert(0, note)


def _give_body(soup: Any) -> None:
    """A page of frames has a frameset where others have a body: what is in it is shown first."""
    outermost = [tag for tag in soup.find_all("frameset") if tag.find_parent("frameset") is None]
    if not outermost:
        return
    if soup.body is None:
        (soup.html or soup).append(soup.new_tag("body"))
    for tag in reversed(outermost):
        tag.name = "div"
        soup.body.insert(0, tag.extract())
    for tag in soup.find_all("frameset"):
        tag.name = "div"


def _show_frame(soup: Any, tag: Any, base_url: str) -> None:
    """A document within the document is a link to it, or its text where it stands in the tag itself."""
    reference = str(tag.get("src") or tag.get("data") or "").strip()
    is_dot = str(tag.get("width") or "").strip() in _DOTS  # counts visitors
    if is_dot or _is_unseen_itself(tag) or any(map(_is_unseen_itself, tag.parents)):
        reference = ""
    elif tag.get("srcdoc"):
        from bs4 import BeautifulSoup

        tag.insert_before(BeautifulSoup(str(tag["srcdoc"]), "html.parser"))
        reference = ""
    if reference and _absolute(base_url, reference):
        link = soup.new_tag("a", href=reference)
        link.string = f"[frame: {' '.join(str(tag.get('title') or tag.get('name') or 'untitled').split())[:100]}]"
        tag.insert_before(link)
    if tag.name == "embed":  # it has no end, so that parsers put what follows into it
        tag.unwrap()


def _choose_noscript(soup: Any) -> None:
    """What stands there for readers without scripts is shown where the rest says hardly a word."""
    found = soup.find_all("noscript")
    num_characters = len(" ".join((soup.body or soup).get_text(" ").split()))
    num_without = num_characters - sum(len(" ".join(tag.get_text(" ").split())) for tag in found)
    for tag in found:
        if num_without < FEW_CHARACTERS:
            tag.unwrap()
        else:
            tag.decompose()


def _parser() -> str:
    try:
        import lxml  # noqa: F401  (mends broken markup as browsers do, and limits depth)
    except ImportError:
        return "html.parser"
    return "lxml"


def _is_unseen(tag: Any) -> bool:
    return tag.name in _UNSEEN or _is_unseen_itself(tag)


def _is_unseen_itself(tag: Any) -> bool:
    style = tag.attrs.get("style") or ""
    return "hidden" in tag.attrs or bool(_HIDDEN_STYLE.search(str(style)))


def _absolute(base_url: str, reference: str) -> str:
    """An absolute http or https address, or ""."""
    try:
        joined = join(base_url, reference)
    except Refused:
        return ""
    return joined if joined.startswith(("http://", "https://")) else ""


def _number_link(tag: Any, base_url: str, read: ReadHtml) -> None:
    reference = str(tag["href"]).strip()
    address = "" if reference.startswith("#") else _absolute(base_url, reference)
    number = read.numbers.get(address, 0)
    if address and not number and len(read.links) < _MAX_LINKS:
        read.links.append(address)
        number = read.numbers[address] = len(read.links)
    if number:
        tag.append(f" [L{number}]")
    tag.unwrap()


def _number_form(soup: Any, tag: Any, base_url: str, read: ReadHtml) -> None:
    action = _absolute(base_url, str(tag.get("action") or base_url))
    if not action:
        return
    fields: dict[str, Field] = {}
    for control in tag.find_all(["input", "select", "textarea"])[:_MAX_FIELDS]:
        name = str(control.get("name") or "")[:100]
        made = _field(control, name) if name else None
        if made is None:
            continue
        known = fields.get(name)
        fields[name] = made if known is None or made.kind != "radio" else _merge(known, made)
    method = "post" if str(tag.get("method") or "").lower() == "post" else "get"
    read.forms.append(Form(method, action, tuple(fields.values())))
    shown = ", ".join(_describe(each) for each in fields.values() if each.kind != "hidden")
    note = soup.new_tag("p")
    note.string = f"[form {len(read.forms)}: {shown or 'no fields'}]"
    tag.insert_after(note)


def _field(control: Any, name: str) -> Field | None:
    if control.name == "textarea":
        return Field(name, "text", control.get_text()[:2_000])
    if control.name == "select":
        found = control.find_all("option")[:_MAX_OPTIONS]
        options = tuple(str(each.get("value", each.get_text().strip()))[:200] for each in found)
        chosen = next((text for each, text in zip(found, options, strict=True) if each.has_attr("selected")), "")
        return Field(name, "select", chosen or (options[0] if options else ""), options)
    kind = str(control.get("type") or "text").lower()
    if kind in _BUTTONS:
        return None
    value = str(control.get("value") or "")[:2_000]
    if kind in {"checkbox", "radio"}:
        offered = value or "on"
        options = (offered,) if kind == "radio" else ()
        return Field(name, kind, offered if control.has_attr("checked") else "", options)
    return Field(name, kind, value)


def _merge(known: Field, made: Field) -> Field:
    return Field(known.name, known.kind, made.value or known.value, (*known.options, *made.options))


def _describe(each: Field) -> str:
    if each.options:
        offered = ", ".join(each.options[:12]) + (", ..." if len(each.options) > 12 else "")
        return f"{each.name} (one of {offered})"
    return f"{each.name} ({each.kind})"
