"""What a call is known by: in the journal of recorded calls, and to the endpoint that is asked."""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from json.encoder import encode_basestring_ascii as json_text

from lts_jax.records import Message


def call_digest(messages: Sequence[Message], seed: int, json_reply: bool, model: str, options: str = "") -> str:
    """Content hash of a call: BLAKE2b (128 bits, hexadecimal) of canonical JSON of all that the reply depends on.

    The JSON is [model, seed, json_reply, [[role, name, content], ...]] without spaces, non-ASCII escaped, and the
    options as one more item where there are any. It is put together here because every call pays for it, and a
    transcript is long.
    """
    asked = ",".join([f"{_speaker(each.role, each.name)}{json_text(each.content)}]" for each in messages])
    end = f",{json_text(options)}]" if options else "]"
    content = f"[{json_text(model)},{seed:d},{'true' if json_reply else 'false'},[{asked}]{end}"
    return blake2b(content.encode(), digest_size=16).hexdigest()


@lru_cache(maxsize=256)
def _speaker(role: str, name: str) -> str:
    return f"[{json_text(role)},{json_text(name)},"
