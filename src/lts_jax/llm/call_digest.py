"""What a call is known by: in the journal of recorded calls, and to the endpoint that is asked."""

import json
from collections.abc import Sequence
from hashlib import blake2b

from lts_jax.records import Message


def call_digest(messages: Sequence[Message], seed: int, json_reply: bool, model: str, options: str = "") -> str:
    """Content hash of a call: BLAKE2b (128 bits, hexadecimal) of canonical JSON of all that the reply depends on."""
    asked = [[message.role, message.name, message.content] for message in messages]
    content = [model, seed, json_reply, asked, *([options] if options else [])]
    return blake2b(json.dumps(content, separators=(",", ":")).encode(), digest_size=16).hexdigest()
