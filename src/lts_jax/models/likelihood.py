"""How probable a decoder finds the end of a text: one batched forward pass, nothing generated.

Axis letters other than the house's: B sequences, S tokens of each, A tokens of an end, W width, V vocabulary.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lts_jax.models.lora import Weights
from lts_jax.models.qwen3 import Qwen3Settings, with_weights

BATCH = 8  # sequences of a pass, at most
STEP = 32  # sequences and ends are padded to whole multiples: few compiled programs

Ending = tuple[Sequence[int], Sequence[int]]
"""Tokens before, at least one, and the tokens whose probability is asked for, at least one."""


def log_likelihoods(settings: Qwen3Settings, weights: Weights, endings: Sequence[Ending]) -> list[float]:
    """log p(end | before) in nats, the sum over the end's tokens, of each of some texts.

    Sorted by length and passed in equal batches; results are in the order of the arguments. What a text gets
    depends, in the last bits, on which texts it is passed with: the same list gives the same numbers.

    Raises:
        ValueError: an empty beginning or end.
    """
    if any(not before or not end for before, end in endings):
        raise ValueError("log_likelihoods: expected at least one token before and one at the end")
    found = [0.0] * len(endings)
    order = sorted(range(len(endings)), key=lambda place: len(endings[place][0]) + len(endings[place][1]))
    size = -(-len(order) // -(-len(order) // BATCH)) if order else 1  # of equal passes
    for start in range(0, len(order), size):
        places = order[start : start + size]
        sums = _batch(settings, weights, [endings[place] for place in places], size)
        for place, value in zip(places, sums, strict=True):
            found[place] = value
    return found


def load_scorer(folder: Path | str) -> tuple[Qwen3Settings, Weights, Any]:
    """Shape, weights and tokenizer of a local folder.

    Raises:
        UserError: what the folder lacks.
    """
    from lts_jax.models.qwen3_settings import settings_from_json
    from lts_jax.models.tokens import load_tokenizer
    from lts_jax.models.weights import load_weights

    settings = settings_from_json(folder)
    return settings, load_weights(folder, settings), load_tokenizer(folder, extra="local")


def _batch(settings: Qwen3Settings, weights: Weights, endings: Sequence[Ending], size: int) -> list[float]:
    longest = _rounded(max(len(before) + len(end) for before, end in endings))
    widest = _rounded(max(len(end) for _, end in endings))
    token_bs = np.zeros((size, longest), np.int32)
    start_b, count_b = np.ones(size, np.int32), np.zeros(size, np.int32)
    for row, (before, end) in enumerate(endings):
        token_bs[row, : len(before) + len(end)] = [*before, *end]
        start_b[row], count_b[row] = len(before), len(end)
    sum_b = _sums(settings, widest, weights, token_bs, start_b, count_b)
    return [float(value) for value in np.asarray(sum_b)[: len(endings)]]


def _rounded(count: int) -> int:
    return -(-count // STEP) * STEP


@partial(jax.jit, static_argnums=(0, 1))
def _sums(
    settings: Qwen3Settings, widest: int, weights: Weights, token_bs: Array, start_b: Array, count_b: Array
) -> Array:
    """f32[B]: sums of log probabilities of `count_b` tokens from `start_b` on. What lies behind an end is not seen."""
    model = with_weights(settings, weights)
    num_rows, length = token_bs.shape
    position_bs = jnp.broadcast_to(jnp.arange(length), (num_rows, length))
    visible_bst = jnp.broadcast_to(jnp.tril(jnp.ones((length, length), bool)), (num_rows, length, length))
    state_bsw = model(model.embed(token_bs), position_bs, visible_bst)
    place_ba = jnp.clip(start_b[:, None] + jnp.arange(widest), 1, length - 1)  # of each token of the end
    logit_bav = model.logits(jnp.take_along_axis(state_bsw, place_ba[..., None] - 1, axis=1))
    target_ba = jnp.take_along_axis(token_bs, place_ba, axis=1)
    chosen_ba = jnp.take_along_axis(logit_bav, target_ba[..., None], axis=-1)[..., 0]
    log_p_ba = chosen_ba - jax.nn.logsumexp(logit_bav, axis=-1)
    return jnp.sum(jnp.where(jnp.arange(widest) < count_b[:, None], log_p_ba, 0.0), axis=-1)
