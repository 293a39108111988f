"""What a call is known by: in the journal of recorded calls, and to the endpoint that is asked.

Every call pays for its digest, and transcripts are long. A team's transcript mostly grows at its end, so the JSON of
what it began with is kept for a while and not written anew.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from json.encoder import encode_basestring_ascii as json_text
from operator import is_
from threading import Lock

from lts_jax.records import Message

_MIN_KEPT = 4  # messages; shorter transcripts are written anew
_MAX_BYTES = 2**25  # of all kept beginnings together


def call_digest(messages: Sequence[Message], seed: int, json_reply: bool, model: str, options: str = "") -> str:
    """Content hash of a call: BLAKE2b (128 bits, hexadecimal) of canonical JSON of all that the reply depends on.

    The JSON is [model, seed, json_reply, [[role, name, content], ...]] without spaces, non-ASCII escaped, and the
    options as one more item where there are any.
    """
    beginning, request = _BEGINNINGS.split(messages) if len(messages) > _MIN_KEPT else (b"", _json(messages))
    end = f",{json_text(options)}]" if options else "]"
    digest = blake2b(f"[{json_text(model)},{seed:d},{'true' if json_reply else 'false'},[".encode(), digest_size=16)
    digest.update(beginning)
    digest.update(f"{request}]{end}".encode())
    return digest.hexdigest()


class _Beginnings:
    """JSON of transcripts without their last message, which is the request. Found by the very objects they hold."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[list[Message], bytes]] = {}  # by the identity of the second message
        self._num_bytes = 0
        self._lock = Lock()

    def split(self, messages: Sequence[Message]) -> tuple[bytes, str]:
        """JSON of all messages but the last, and of the last; a comma is between them."""
        place = id(messages[1])  # the first is often the same for all teams
        kept, text = self._kept.get(place, _NOTHING)  # it holds its messages, so that no other has their identity
        if len(kept) >= len(messages) or not all(map(is_, kept, messages)):
            kept, text = _NOTHING
        new = messages[len(kept) : -1]
        if new:
            text = b"%s%s," % (text, _json(new).encode())
            self._keep(place, list(messages[:-1]), text)
        return text, _json(messages[-1:])

    def _keep(self, place: int, messages: list[Message], text: bytes) -> None:
        with self._lock:
            self._num_bytes += len(text) - len(self._kept.pop(place, _NOTHING)[1])
            self._kept[place] = messages, text
            while self._num_bytes > _MAX_BYTES:  # the ones that grew least recently go first
                self._num_bytes -= len(self._kept.pop(next(iter(self._kept)))[1])


_NOTHING: tuple[list[Message], bytes] = ([], b"")
_BEGINNINGS = _Beginnings()


def _json(messages: Sequence[Message]) -> str:
    return ",".join([f"{_speaker(each.role, each.name)}{json_text(each.content)}]" for each in messages])


@lru_cache(maxsize=256)
def _speaker(role: str, name: str) -> str:
    return f"[{json_text(role)},{json_text(name)},"
