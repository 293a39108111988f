"""Bytes of a page or file as text. Servers often tell a wrong charset, some a harmful one, and files none at all."""

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
# What is guessed where nothing is told: letters that are not Latin, and Windows-1252 to be chosen against them.
_GUESSED = ("gb18030", "cp932", "euc_jp", "euc_kr", "big5", "cp1251", "koi8_r", "cp1253", "cp1255", "cp1256", "cp1252")
_NUM_GUESSED_FROM = 32_768  # bytes
_NUM_LOOKED_AT = 8_192  # bytes that tell UTF-16
_MIN_FOREIGN = 0.5  # of the bytes that are not ASCII
_NOT_ASCII_BASED = frozenset(("utf-16", "utf-16-le", "utf-16-be", "iso2022_jp"))


def decode_text(body: bytes, told: str = "") -> str:
    """The text of a body: by its mark, else UTF-8 where it is that, else as told, as it says itself, or as guessed.

    A guess is Windows-1252, but where the bytes look like letters that are not Latin and `charset_normalizer` is there.

    Never raises; what cannot be read becomes the replacement character.
    """
    for start, name in _BYTE_ORDER_MARKS:
        if body.startswith(start):
            return body[len(start) :].decode(name, "replace")
    wide = utf_16_without_mark(body)
    if wide:
        return body.decode(wide, "replace")
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
    return body.decode(likely or ("utf-8" if "utf-8" in names else _guess(body)), "replace")


def _guess(body: bytes) -> str:
    """A charset for bytes of which nothing is known but that they are no UTF-8."""
    start = body[:_NUM_GUESSED_FROM]
    if len(start) < len(body):  # not in the middle of a letter
        start = start[: max(start.rfind(b"\n"), start.rfind(b" ")) + 1] or start
    if not _looks_foreign(start):
        return "cp1252"
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        return "cp1252"
    found = from_bytes(start, cp_isolation=list(_GUESSED))
    return next((each.encoding for each in found if _is_likely(each.encoding, str(each))), "cp1252")


def _looks_foreign(start: bytes) -> bool:
    """Whether most bytes above ASCII stand side by side, or are ones that Latin texts hardly use.

    Latin letters with accents stand alone among plain ones, where the guess by statistics is at its worst.
    """
    high = [place for place, byte in enumerate(start) if byte >= 0x80]
    odd = (*range(0x81, 0x85), *range(0x86, 0x91), *range(0x98, 0xA0))
    num_foreign = sum(
        start[place] in odd or start[max(place - 1, 0) : place] >= b"\x80" or start[place + 1 : place + 2] >= b"\x80"
        for place in high
    )
    return num_foreign > _MIN_FOREIGN * len(high)


def _is_likely(name: str, text: str) -> bool:
    """Whether a text has the letters of its charset: Korean ones, or Japanese ones of full width."""
    letters = [letter for letter in text if not letter.isascii() and letter.isalpha()]
    if name == "euc_kr":
        return sum("\uac00" <= letter <= "\ud7a3" for letter in letters) > 0.85 * len(letters)
    if name == "cp932":
        return sum("\uff61" <= letter <= "\uff9f" for letter in letters) < 0.3 * len(letters)
    return True


def utf_16_without_mark(body: bytes) -> str:
    """Which UTF-16 a body without a mark is in, if it is: of most letters one byte is zero, and few are controls."""
    start = body[:_NUM_LOOKED_AT]
    if len(body) % 2 or len(start) < 4 or 0 not in start:
        return ""
    for name, low, high in (("utf-16-le", start[::2], start[1::2]), ("utf-16-be", start[1::2], start[::2])):
        num_controls = sum(byte < 32 and byte not in b"\t\n\f\r" for byte in low)
        if high.count(0) >= 0.6 * len(high) and num_controls <= 0.02 * len(low):
            return name
    return ""


def known_charset(label: str) -> str:
    """Python's name of a charset of the web, or ""."""
    try:
        name = codecs.lookup(label.strip()).name
    except (LookupError, ValueError):
        return ""
    name = _READ_AS.get(name, name)
    return name if name in _KNOWN else ""
