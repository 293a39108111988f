"""The next token from logits: greedy, or drawn at a temperature from the most probable ones."""

from dataclasses import dataclass

import numpy as np

from lts_jax.errors import UserError


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a reply is drawn and where it ends."""

    temperature: float = 0.2  # 0 takes the most probable token; .2 and .9 are what SmolLM2's authors advise
    top_p: float = 0.9  # of the probability: the fewest tokens that hold so much are drawn from
    max_tokens: int = 512  # of a reply; fewer where the context ends
    stop: tuple[str, ...] = ()  # texts that end a reply, themselves left out

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature <= 2.0:
            raise UserError(f"temperature: expected from 0 to 2, got {self.temperature}")
        if not 0.0 < self.top_p <= 1.0:
            raise UserError(f"top_p: expected more than 0 and at most 1, got {self.top_p}")
        if self.max_tokens < 1:
            raise UserError(f"max_tokens: expected at least 1, got {self.max_tokens}")
        if not all(self.stop):
            raise UserError("stop: expected texts of at least one character, got an empty one")


def draw_token(logit_v: np.ndarray, sampling: Sampling, generator: np.random.Generator) -> int:
    """One token. A drawn one takes one uniform number u: the first whose cumulated probability exceeds u.

    Args:
        logit_v: f32[V]; minus infinity is never drawn.
        sampling: temperature and top_p.
        generator: of this reply, seeded by its request.
    """
    if sampling.temperature == 0.0:
        return int(logit_v.argmax())
    uniform = generator.random()
    scaled = (logit_v - logit_v.max()).astype(np.float64) / sampling.temperature
    weight = np.exp(scaled)
    weight /= weight.sum()
    order = np.flatnonzero(weight > 1e-12 * weight.max())  # the others together change nothing
    order = order[np.argsort(-weight[order], kind="stable")]
    cumulated = np.cumsum(weight[order])
    kept = cumulated[: int(np.searchsorted(cumulated, sampling.top_p)) + 1]
    return int(order[min(int(np.searchsorted(kept, uniform * kept[-1], side="right")), len(kept) - 1)])
