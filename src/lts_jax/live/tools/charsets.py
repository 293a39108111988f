"""Bytes of a web page as text. Servers often tell a wrong charset, and some a harmful one."""

import codecs
import re

_META = re.compile(
    rb"""<(?:meta[^>]{0,200}?|\?xml[^>]{0,100}?)(?:charset|encoding)\s*+=\s*+["']?\s*+([A-Za-z0-9_.:-]{2,40})""", re.I
)
_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
# Those of the web. Others of Python's are no charsets, or take quadratic time (idna, punycode), or run escapes.
_KNOWN = frozenset(
    ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256",
     "cp1257", "cp1258", "cp866", "cp874", "koi8-r", "koi8-u", "mac-roman", "gb18030", "big5", "big5hkscs", "euc_jp",
     "shift_jis", "cp932", "iso2022_jp", "euc_kr", "cp949", "tis-620", *(f"iso8859-{n}" for n in range(2, 17)))
)  # fmt: skip
_READ_AS = {"ascii": "cp1252", "iso8859-1": "cp1252", "gb2312": "gb18030", "gbk": "gb18030"}  # as browsers do
_NOT_ASCII_BASED = frozenset(("utf-16", "utf-16-le", "utf-16-be", "iso2022_jp"))


def decode_text(body: bytes, told: str = "") -> str:
    """The text of a body: by its mark, else UTF-8 where it is that, else as told, as it says itself, or Windows-1252.

    Never raises; what cannot be read becomes the replacement character.
    """
    for start, name in _BYTE_ORDER_MARKS:
        if body.startswith(start):
            return body[len(start) :].decode(name, "replace")
    found = _META.search(body[:2_048])
    names = [name for name in (known_charset(told), known_charset(found[1].decode() if found else "")) if name]
    if names and names[0] in _NOT_ASCII_BASED and (told or names[0] == "iso2022_jp"):
        return body.decode(names[0], "replace")
    for name in ("utf-8", *names):
        try:
            return body.decode(name)
        except UnicodeDecodeError:
            continue
    likely = next((name for name in names if name not in _NOT_ASCII_BASED and name != "utf-8"), "")
    return body.decode(likely or ("utf-8" if "utf-8" in names else "cp1252"), "replace")


def known_charset(label: str) -> str:
    """Python's name of a charset of the web, or ""."""
    try:
        name = codecs.lookup(label.strip()).name
    except (LookupError, ValueError):
        return ""
    name = _READ_AS.get(name, name)
    return name if name in _KNOWN else ""
