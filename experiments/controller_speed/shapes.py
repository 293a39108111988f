"""The shapes that are timed, and how much work they are."""

from dataclasses import dataclass, field, replace

from lts_jax.models.qwen3_settings import Qwen3Settings

STEP_TOKENS = 3


@dataclass(frozen=True, slots=True)
class Shape:
    """A network and the decisions of one rollout."""

    name: str
    qwen3: Qwen3Settings
    num_decisions: int = 90  # three teams of 30 steps
    num_keys: int = 76  # of 90 steps, 85 % are admitted
    accelerator: bool = field(default=False)

    @property
    def num_weights(self) -> int:
        """Weights in the layers, which is all that a decision reads (no embedding table, two rows of it at the end)."""
        one = self.qwen3
        attention = one.width * one.head_width * (2 * one.num_heads + 2 * one.num_kv_heads)
        return one.num_layers * (attention + 3 * one.width * one.mlp_width)

    def forward_flop(self, num_tokens: int) -> float:
        """2 FLOP a weight and token; attention itself is left out, so this is a floor."""
        return 2.0 * self.num_weights * num_tokens

    @property
    def unpacked_tokens(self) -> int:
        """Tokens of one forward per decision: query, the keys so far, three of the step."""
        return sum(1 + keys + STEP_TOKENS for keys in keys_before(self))

    @property
    def packed_tokens(self) -> int:
        """Tokens when all decisions share one sequence."""
        return 1 + self.num_keys + STEP_TOKENS * self.num_decisions


def keys_before(shape: Shape) -> list[int]:
    """How many keys each decision sees: the bank grows evenly to `num_keys`."""
    return [place * shape.num_keys // shape.num_decisions for place in range(shape.num_decisions)]


_TINY = Qwen3Settings(
    width=256, num_layers=4, num_heads=4, num_kv_heads=2, head_width=64, mlp_width=768, vocabulary_size=512
)
SHAPES = {
    "tiny": Shape("tiny", _TINY),
    "full": Shape("full", replace(Qwen3Settings(), compute_dtype="bfloat16"), accelerator=True),
}
