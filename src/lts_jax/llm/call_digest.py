"""What a call is known by: in the journal of recorded calls, and to the endpoint that is asked.

Every call pays for its digest, and transcripts are long. A team's transcript mostly grows at its end, so the state of
the hash after what it began with is kept for a while, and only what is new is hashed.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from json.encoder import encode_basestring_ascii as json_text
from operator import is_
from threading import Lock

from lts_jax.records import Message

_MIN_KEPT = 4  # messages; shorter transcripts are hashed anew
_MAX_CHARACTERS = 2**25  # of all messages that kept beginnings hold


def call_digest(messages: Sequence[Message], seed: int, json_reply: bool, model: str, options: str = "") -> str:
    """Content hash of a call: BLAKE2b (128 bits, hexadecimal) of canonical JSON of all that the reply depends on.

    The JSON is [[[role, name, content], ...], model, seed, json_reply] without spaces, non-ASCII escaped, and the
    options as one more item where there are any.
    """
    if len(messages) > _MIN_KEPT:
        digest, request = _BEGINNINGS.hash_of(messages), _json(messages[-1:])
    else:
        digest, request = _start(), _json(messages)
    more = f",{json_text(options)}" if options else ""
    digest.update(f"{request}],{json_text(model)},{seed:d},{'true' if json_reply else 'false'}{more}]".encode())
    return digest.hexdigest()


class _Beginnings:
    """Hashes of transcripts without their last message, which is the request. Found by the very objects they hold."""

    def __init__(self) -> None:
        self._kept: dict[int, _Beginning] = {}  # by the identity of the second message; the first is often common
        self._num_characters = 0
        self._lock = Lock()

    def hash_of(self, messages: Sequence[Message]) -> blake2b:
        """The hash of all messages but the last, with a comma behind each; the caller's own."""
        place = id(messages[1])
        kept = self._kept.get(place)  # it holds its messages, so that no other has their identity
        if kept is None or len(kept[0]) >= len(messages) or not all(map(is_, kept[0], messages)):
            kept = ([], _start(), 0)
        known, digest, num_characters = kept
        digest = digest.copy()
        new = messages[len(known) : -1]
        if new:
            digest.update(f"{_json(new)},".encode())
            self._keep(place, (list(messages[:-1]), digest.copy(), num_characters + sum(len(m.content) for m in new)))
        return digest

    def _keep(self, place: int, beginning: "_Beginning") -> None:
        with self._lock:
            old = self._kept.pop(place, None)
            self._num_characters += beginning[2] - (old[2] if old else 0)
            self._kept[place] = beginning
            while self._num_characters > _MAX_CHARACTERS:  # the ones that grew least recently go first
                self._num_characters -= self._kept.pop(next(iter(self._kept)))[2]


_Beginning = tuple[list[Message], blake2b, int]  # messages, their hash, the characters of their contents
_BEGINNINGS = _Beginnings()


def _start() -> blake2b:
    return blake2b(b"[[", digest_size=16)


def _json(messages: Sequence[Message]) -> str:
    return ",".join([f"{_speaker(each.role, each.name)}{json_text(each.content)}]" for each in messages])


@lru_cache(maxsize=256)
def _speaker(role: str, name: str) -> str:
    return f"[{json_text(role)},{json_text(name)},"
