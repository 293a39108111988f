"""What the controller's network reads of a request: texts become vectors here, each text once."""

from dataclasses import dataclass

import numpy as np

from lts_jax.admission.policy import AdmissionRequest
from lts_jax.memory.encoded_texts import EncodedTexts


@dataclass(frozen=True, slots=True)
class DecisionFeatures:
    """The controller's inputs of one decision."""

    query_d: np.ndarray  # f32[D]
    key_nd: np.ndarray  # f32[N, D], unpadded
    step_sd: np.ndarray  # f32[3, D] instruction, summary, output
    alive_n: np.ndarray | None = None  # bool[N], which of the keys have not ended; None where none has


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
