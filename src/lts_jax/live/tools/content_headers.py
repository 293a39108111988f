"""What headers tell of a reply's content, as the web writes them: types given twice, names in three spellings."""

import re
from email.message import Message

_TYPE = re.compile(r"\s*+([\w!#$&^.+-]++/[\w!#$&^.+-]++)(?:[;,\s]|$)")
_CHARSET = re.compile(r"""(?<=[;,\s])charset\s*+=\s*+["']?\s*+([^"';,\s]++)""", re.IGNORECASE)
_MAX_NAME = 200


def read_content_type(header: str) -> str:
    """The first type of a Content-Type header, lower case, without parameters; "" where it names none."""
    found = (_TYPE.match(part) for part in header.split(","))
    return next((each[1].lower() for each in found if each is not None), "")


def read_charset(header: str) -> str:
    """The first charset of a Content-Type header, lower case, or ""."""
    found = _CHARSET.search(header)
    return found[1].lower()[:40] if found is not None else ""


def read_file_name(header: str) -> str:
    """The file name of a Content-Disposition header, without a path, or ""."""
    message = Message()
    try:
        message["Content-Disposition"] = header
        name = message.get_filename() or ""
    except (ValueError, LookupError):  # a charset that is none
        return ""
    return str(name).replace("\\", "/").rpartition("/")[2].strip()[:_MAX_NAME]
