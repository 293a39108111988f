"""The parts of a Qwen3 controller: its settings, its trained parameters, soft tokens in, answer logits out."""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.errors import UserError
from lts_jax.models.key_cosines import NUM_COSINES, check_inputs, check_visibility, largest_cosines
from lts_jax.models.lora import LoraSettings, init_adapters, matmul_precision
from lts_jax.models.policy_network import Joined, Params
from lts_jax.models.qwen3 import Qwen3, Qwen3Settings, with_weights

STEP_TOKENS = 3
KINDS = ("query", "key", "step")


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """What the controller adds to Qwen3 and its adapters."""

    answer_ids: tuple[int, int]  # tokens (NO, YES), in the order of the actions
    embedding_width: int = 1024  # D, of the text encoder
    projection_bias: bool = False  # in W_q, W_m, W_s; the paper does not say
    key_window: int = 96  # a decision sees the newest this many keys; K = 3 teams of 30 steps make at most 90
    inputs: Literal["paper", "cosines"] = "paper"  # "cosines": one more soft token, how near the step is to the keys
    key_visibility: Literal["causal", "own"] = "causal"  # "own": a key sees the query and itself, so that it can end

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        for name in ("embedding_width", "key_window"):
            if getattr(self, name) < 1:
                raise UserError(f"ControllerSettings.{name}: expected at least 1, got {getattr(self, name)}")
        if len(set(self.answer_ids)) != 2 or min(self.answer_ids) < 0:
            raise UserError(f"ControllerSettings.answer_ids: expected two different tokens, got {self.answer_ids}")
        check_inputs("ControllerSettings", self.inputs)
        check_visibility("ControllerSettings", self.key_visibility)


@dataclass(frozen=True, slots=True)
class Shape:
    """All settings of a controller: its own, the base's, the adapters'."""

    controller: ControllerSettings
    qwen3: Qwen3Settings
    lora: LoraSettings

    @property
    def has_cosines(self) -> bool:
        """Whether the largest cosines to the keys are read as well."""
        return self.controller.inputs == "cosines"

    @property
    def keys_see_keys(self) -> bool:
        """Whether a key sees the keys before it, as in any causal model; then none of them can end."""
        return self.controller.key_visibility == "causal"

    @property
    def num_step_tokens(self) -> int:
        """Soft tokens of one step: instruction, summary, output, and before them the cosines where they are read."""
        return STEP_TOKENS + self.has_cosines


def init(shape: Shape, prng_key: Array) -> Params:
    """Trained parameters, f32: adapters that change nothing yet, and projections that keep the size of their input."""
    adapters_key, *projection_keys = jax.random.split(prng_key, 1 + len(KINDS))
    inputs, outputs = shape.controller.embedding_width, shape.qwen3.width

    def projection(own_key: Array, inputs: int = inputs) -> dict[str, Array]:
        kernel = {"kernel": jax.random.normal(own_key, (inputs, outputs)) * inputs**-0.5}
        return kernel | ({"bias": jnp.zeros(outputs)} if shape.controller.projection_bias else {})

    projections = {kind: projection(own_key) for kind, own_key in zip(KINDS, projection_keys, strict=True)}
    if shape.has_cosines:  # its own key, so that the others are those of the paper's inputs
        projections["cosines"] = projection(jax.random.fold_in(prng_key, len(KINDS)), NUM_COSINES)
    return {"adapters": init_adapters(shape.qwen3, shape.lora, adapters_key), "projections": projections}


def context_visibility(shape: Shape, num_tokens: int) -> Array:
    """bool[S, S] of [query; keys]: who sees whom. Causal, or every key the query and itself."""
    if shape.keys_see_keys:
        return jnp.tril(jnp.ones((num_tokens, num_tokens), bool))
    place_s = jnp.arange(num_tokens)
    return (place_s[:, None] == place_s) | (place_s == 0)


def step_tokens(shape: Shape, params: Joined, key_rnd: Array, visible_rcn: Array, step_rc3d: Array) -> Array:
    """[R, C P, W]: the soft tokens of C decisions a row, P each; of the keys, only cosines are taken.

    Args:
        shape: of the controller.
        params: trained and frozen.
        key_rnd: f32[R, N, D].
        visible_rcn: bool[R, C, N], the keys that each decision sees.
        step_rc3d: f32[R, C, 3, D] instruction, summary, output.
    """
    num_rows, num_decisions = step_rc3d.shape[:2]
    flat_rsd = step_rc3d.reshape(num_rows, num_decisions * STEP_TOKENS, -1)
    token_rsw = soft_tokens(shape, params, "step", flat_rsd)
    if not shape.has_cosines:
        return token_rsw
    # Its components have no unit length to make up for: soft_tokens multiplies by the root of the embedding's width.
    cosine_rc3 = largest_cosines(key_rnd, visible_rcn, step_rc3d) * shape.controller.embedding_width**-0.5
    cosine_rcw = soft_tokens(shape, params, "cosines", cosine_rc3)
    own_rcpw = token_rsw.reshape(num_rows, num_decisions, STEP_TOKENS, -1)
    joined_rcpw = jnp.concatenate([cosine_rcw[:, :, None], own_rcpw], axis=2)
    return joined_rcpw.reshape(num_rows, num_decisions * shape.num_step_tokens, -1)


def soft_tokens(shape: Shape, params: Joined, kind: str, vector_rsd: Array) -> Array:
    """[R, S, W] in the compute type: embeddings f32[R, S, D] through the linear map of their kind."""
    projection = params.trained["projections"][kind]
    dtype = jnp.dtype(shape.qwen3.compute_dtype)
    # Embeddings have unit length; this gives their components unit variance, so soft tokens start at scale one.
    flat_xd = vector_rsd.reshape(-1, vector_rsd.shape[-1]) * shape.controller.embedding_width**0.5
    token_xw = jnp.dot(
        flat_xd.astype(dtype),
        projection["kernel"].astype(dtype),
        precision=matmul_precision(dtype),
        preferred_element_type=jnp.float32,
    )
    if "bias" in projection:
        token_xw = token_xw + projection["bias"]
    return token_xw.astype(dtype).reshape(*vector_rsd.shape[:-1], token_xw.shape[-1])


def base(shape: Shape, params: Joined) -> Qwen3:
    """The frozen network, its weights taken from the arguments.

    Raises:
        ValueError: trained parameters without the frozen ones.
    """
    if not isinstance(params, Joined):
        raise ValueError("expected parameters joined with the frozen arrays (PolicyNetwork.join), got the trained ones")
    return with_weights(shape.qwen3, params.frozen)


def answer_logits(shape: Shape, network: Qwen3, state: Array) -> Array:
    """f32[..., 2] of (NO, YES) from states [..., W] after the final norm."""
    return network.logits(state, jnp.array(shape.controller.answer_ids))
