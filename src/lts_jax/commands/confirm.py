"""Asking before anything is spent."""

import sys

from lts_jax.errors import UserError


def confirm(told: str, *, yes: bool) -> None:
    """Print what it will cost and ask whether to go on; `yes` goes on without asking.

    Raises:
        UserError: the answer is no, or nobody is there to answer.
    """
    print(told, flush=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError("nothing was spent: standard input is no terminal to ask on; give --yes to go on")
    try:
        answer = input("Go on? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in {"y", "yes"}:
        raise UserError("nothing was spent")
