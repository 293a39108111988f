"""Answers that a small language model writes after prompts: the most probable token each time, until a line ends."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from lts_jax.bridge.answer_likelihood import START
from lts_jax.models.decoding import empty_row, extend_rows, load_decoder
from lts_jax.models.qwen3_settings import settings_from_json
from lts_jax.models.tokens import load_tokenizer
from lts_jax.storage import read_json, write_document

ENDS = (START, "<|im_end|>")
STEP = 64  # prompts are padded to whole multiples: few compiled programs


@dataclass
class AnswerWriter:
    """A language model of a local folder that writes. `blocks` keeps what it has written, by content."""

    folder: Path
    blocks: Path | None = None
    max_tokens: int = 48
    _model: Any = field(default=None, repr=False)

    def write(self, prompts: Sequence[str]) -> list[str]:
        """One block: an answer to each prompt, its first line, in at most `max_tokens`; rows go on together.

        Raises:
            UserError: what the folder lacks.
        """
        if not prompts:
            return []
        path = None if self.blocks is None else self.blocks / f"{_digest(prompts, self.max_tokens)}.json"
        if path is not None and path.exists():
            return list(read_json(path, dict)["answers"])
        if self._model is None:
            settings = settings_from_json(self.folder)
            self._model = settings, load_decoder(self.folder, settings), load_tokenizer(self.folder, extra="local")
        found = [text.strip() for text in self._lines(prompts)]
        if path is not None:
            write_document(path, {"answers": found})
        return found

    def _lines(self, prompts: Sequence[str]) -> list[str]:
        settings, weights, tokenizer = self._model
        start = tokenizer.token_to_id(START)
        told = [
            ([] if start is None else [start]) + list(tokenizer.encode(prompt, add_special_tokens=False).ids)
            for prompt in prompts
        ]
        width = -(-max(map(len, told)) // STEP) * STEP
        rows = [empty_row(settings, width + STEP * -(-self.max_tokens // STEP)) for _ in told]
        logit_bv = np.concatenate(
            [extend_rows(settings, weights, [row], [one], width) for row, one in zip(rows, told, strict=True)]
        )
        ends = {tokenizer.token_to_id(end) for end in ENDS}
        drawn: list[list[int]] = [[] for _ in told]
        is_open = [True] * len(told)
        for _ in range(self.max_tokens):
            next_b = logit_bv.argmax(-1).tolist()
            for place, token in enumerate(next_b):
                if is_open[place] and token in ends:
                    is_open[place] = False
                elif is_open[place]:
                    drawn[place].append(token)
                    is_open[place] = "\n" not in tokenizer.decode(drawn[place]).lstrip()
            if not any(is_open):
                break
            logit_bv = extend_rows(settings, weights, rows, [[token] for token in next_b], 1)
        return [tokenizer.decode(tokens).strip().split("\n")[0] for tokens in drawn]


def _digest(prompts: Sequence[str], max_tokens: int) -> str:
    return blake2b(json.dumps([max_tokens, *prompts]).encode(), digest_size=12).hexdigest()
