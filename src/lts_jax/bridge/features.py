"""What the controller's network reads of a request: texts become vectors here, each text once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jax import Array

from lts_jax.admission.policy import AdmissionRequest
from lts_jax.memory.encoded_texts import EncodedTexts


@dataclass(frozen=True, slots=True)
class DecisionFeatures:
    """The controller's inputs of one decision."""

    query_d: np.ndarray  # f32[D]
    key_nd: np.ndarray  # f32[N, D], unpadded
    step_sd: np.ndarray  # f32[3, D] instruction, summary, output
    alive_n: np.ndarray | None = None  # bool[N], which of the keys have not ended; None where none has
    target_draw: float = 0.0  # uniform number in [0, 1) by which an edit chooses its entry


def decision_features(request: AdmissionRequest, texts: EncodedTexts, *, key_window: int) -> DecisionFeatures:
    """Vectors of a request. Of more than `key_window` keys the newest are kept."""
    start = max(0, len(request.keys) - key_window)
    keys, step = request.keys[start:], request.step
    ended = [entry - start for entry in request.ended if entry >= start]
    alive = np.ones(len(keys), bool) if ended else None
    if alive is not None:
        alive[ended] = False
    first = texts.encode([request.question, step.instruction, step.summary, step.output])
    return DecisionFeatures(query_d=first[0], key_nd=texts.encode(keys), step_sd=first[1:], alive_n=alive)


class PaddedDecisions(NamedTuple):
    """A batch of decisions as arrays; keys from `num_keys_b` on are padding."""

    query_bd: Array | np.ndarray
    key_bnd: Array | np.ndarray
    num_keys_b: Array | np.ndarray
    step_bsd: Array | np.ndarray
    alive_bn: Array | np.ndarray | None = None  # keys that have not ended; None where nobody asks


def padded(features: Sequence[DecisionFeatures], num_entries: int, size: int, *, lives: bool) -> PaddedDecisions:
    """At most `size` decisions as arrays of so many rows, with or without which keys live."""
    width = features[0].query_d.shape[-1]
    query, step = np.zeros((size, width), np.float32), np.zeros((size, 3, width), np.float32)
    key, num_keys = np.zeros((size, num_entries, width), np.float32), np.zeros(size, np.int32)
    alive = np.zeros((size, num_entries), bool) if lives else None
    for row, each in enumerate(features):
        query[row], step[row], num_keys[row] = each.query_d, each.step_sd, len(each.key_nd)
        key[row, : num_keys[row]] = each.key_nd
        if alive is not None:
            alive[row, : num_keys[row]] = True if each.alive_n is None else each.alive_n
    return PaddedDecisions(query, key, num_keys, step, alive)
