"""Which task the calls of a running rollout are of, for a router that keeps what belongs together on one server.

The calls of a task's teams begin alike, so a server that holds the beginning of one need not compute that of the next.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import blake2b

from lts_jax.errors import UserError, show

_TASK: ContextVar[str] = ContextVar("lts_jax_task", default="")
_OURS = {"authorization", "content-type", "content-length", "accept", "accept-encoding", "idempotency-key", "host"}


@contextmanager
def calls_of(task: str) -> Iterator[None]:
    """While this lasts, here and in what is started here, calls are of this task."""
    token = _TASK.set(task)
    try:
        yield
    finally:
        _TASK.reset(token)


def session_header(name: str | None) -> dict[str, str]:
    """{name: 16 hexadecimal digits that stand for the task}; nothing without a name, or a task."""
    task = _TASK.get()
    return {name: blake2b(task.encode(), digest_size=8).hexdigest()} if name and task else {}


def check_session_header(name: str | None, *, where: str) -> None:
    """Refuse what is no header's name, or a header that means something else. Raises UserError."""
    if name is not None and (not re.fullmatch(r"[A-Za-z0-9-]{1,64}", name) or name.lower() in _OURS):
        raise UserError(f"{where}: expected a header's name as x-session-id, got {show(name)}")
