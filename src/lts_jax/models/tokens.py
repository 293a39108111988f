"""The tokenizer of a local Hugging Face folder, and the two tokens that answer an admission question."""

from pathlib import Path
from typing import Any

from lts_jax.errors import UserError

ANSWERS = ("NO", "YES")
"""Exact strings of the two answers, in the order of the actions: 0 rejects, 1 admits."""


def load_tokenizer(folder: Path | str, *, extra: str = "qwen") -> Any:
    """The `tokenizers.Tokenizer` in `folder`, with neither padding nor truncation. `extra` installs what reads it.

    Raises:
        UserError: no `tokenizer.json`, or not a tokenizer.
    """
    path = Path(folder) / "tokenizer.json"
    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError:
        raise UserError(f"reading a tokenizer needs the extra {extra}: pip install 'lts-jax[{extra}]'") from None
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected the tokenizer of a Hugging Face folder")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise UserError(f"{path}: expected a tokenizer, found none ({' '.join(str(error).split())})") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def answer_tokens(
    tokenizer: Any, answers: tuple[str, str] = ANSWERS, *, where: Path | str = "tokenizer.json"
) -> tuple[int, int]:
    """Token ids of (NO, YES).

    Args:
        tokenizer: as loaded by `load_tokenizer`.
        answers: the strings for 0 = reject and 1 = admit.
        where: file to name in an error.

    Raises:
        UserError: an answer is not exactly one token, or both are the same.
    """
    ids = [_single_token(tokenizer, answer, where) for answer in answers]
    if ids[0] == ids[1]:
        raise UserError(
            f"{where}: expected different tokens for {answers[0]!r} and {answers[1]!r}, found {ids[0]} twice"
        )
    return ids[0], ids[1]


def _single_token(tokenizer: Any, answer: str, where: Path | str) -> int:
    found = tokenizer.encode(answer, add_special_tokens=False)
    if len(found.ids) != 1 or tokenizer.decode(found.ids).strip() != answer:
        what = f"the tokens {', '.join(map(repr, found.tokens))}" if found.ids else "no token"
        raise UserError(f"{where}: expected {answer!r} to be one token of its own, found {what}")
    return found.ids[0]
