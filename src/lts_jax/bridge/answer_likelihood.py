"""How probable an answer is under a small language model, given pairs before its question: a teacher and a measure.

Texts are scored in blocks, and a finished block is a file, so that a run that is killed goes on with the next one and
ends with the same numbers.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from lts_jax.errors import UserError
from lts_jax.memory.pool import Pair, prompt_with
from lts_jax.models.likelihood import load_scorer, log_likelihoods
from lts_jax.storage import read_json, write_document

START = "<|endoftext|>"  # before a text, where the tokenizer has it: a document begins


@dataclass(frozen=True, slots=True)
class Asked:
    """An answer whose probability is asked for, and the prompt before it."""

    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Likelihood:
    """log p of an answer in nats, and how many tokens it has."""

    log_p: float
    num_tokens: int

    @property
    def bits_per_token(self) -> float:
        """-log2 p / tokens."""
        return -self.log_p / (self.num_tokens * math.log(2))


@dataclass
class AnswerScorer:
    """A language model of a local folder that reads and does not write. `blocks` keeps what it has read, by content."""

    folder: Path
    blocks: Path | None = None
    num_read_tokens: int = 0  # in this process; what a block file holds is not read again
    _model: Any = field(default=None, repr=False)
    _known: dict[Asked, Likelihood] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not Path(self.folder).is_dir():
            raise UserError(f"{self.folder}: no such folder; `lts models get smollm2 --to FOLDER` makes one")

    def score(self, asked: Sequence[Asked]) -> list[Likelihood]:
        """One block: each prompt and answer once, whatever the order. Raises what `load_scorer` raises."""
        new = [one for one in dict.fromkeys(asked) if one not in self._known]
        if new:
            self._known.update(zip(new, self._block(new), strict=True))
        return [self._known[one] for one in asked]

    def _block(self, asked: Sequence[Asked]) -> list[Likelihood]:
        path = None if self.blocks is None else self.blocks / f"{_digest(asked)}.json"
        if path is not None and path.exists():
            return [Likelihood(*row) for row in read_json(path, dict)["likelihoods"]]
        if self._model is None:
            self._model = load_scorer(self.folder)
        settings, weights, tokenizer = self._model
        start = tokenizer.token_to_id(START)

        def tokens(text: str) -> list[int]:
            return list(tokenizer.encode(text, add_special_tokens=False).ids)

        ends = [tokens(f" {one.answer}") for one in asked]
        befores = [([] if start is None else [start]) + tokens(one.prompt) for one in asked]
        log_ps = log_likelihoods(settings, weights, list(zip(befores, ends, strict=True)))
        found = [Likelihood(log_p, len(end)) for log_p, end in zip(log_ps, ends, strict=True)]
        self.num_read_tokens += sum(map(len, befores)) + sum(map(len, ends))
        if path is not None:
            write_document(path, {"likelihoods": [[one.log_p, one.num_tokens] for one in found]})
        return found


def with_shots(pair: Pair, shots: Sequence[Pair]) -> Asked:
    """A pair's answer after its question, with shots before it."""
    return Asked(prompt_with(shots, pair.question), pair.answer)


def _digest(asked: Sequence[Asked]) -> str:
    content = json.dumps([[one.prompt, one.answer] for one in asked])
    return blake2b(content.encode(), digest_size=12).hexdigest()
