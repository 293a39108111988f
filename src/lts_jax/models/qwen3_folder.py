"""The paper's controller from a local checkpoint: Qwen3 with LoRA, divided over devices where there is a mesh."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jax import Array

from lts_jax.errors import UserError
from lts_jax.models.key_cosines import check_inputs, check_visibility
from lts_jax.models.lora import LoraSettings
from lts_jax.models.policy_network import Params, PolicyNetwork

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from lts_jax.models.lora import Adapters
    from lts_jax.models.policy_network import Frozen
    from lts_jax.models.qwen3_settings import Qwen3Settings


@dataclass(frozen=True, slots=True)
class Qwen3ControllerSettings:
    """The paper's controller: a frozen Qwen3 (0.6B there), LoRA, and three linear maps of text embeddings."""

    folder: str | None = None  # config.json, safetensors, tokenizer.json; `lts models get` or `tiny` makes one
    adapter: str | None = None  # folder of adapters in PEFT's files, to start from; the maps of texts start anew
    compute_dtype: Literal["float32", "bfloat16"] = "float32"  # of the base and its arithmetic
    remat: bool = False  # compute blocks again in the backward pass: slower, less memory
    lora: LoraSettings = field(default_factory=LoraSettings)
    projection_bias: bool = False  # in W_q, W_m, W_s; the paper does not say
    key_window: int = 96  # a decision sees the newest this many keys; updates need at least all keys of a rollout
    inputs: Literal["paper", "cosines"] = "paper"  # "cosines": one more soft token, how near the step is to the keys
    key_visibility: Literal["causal", "own"] = "causal"  # "own": a key sees the query and itself; for edited memories

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        check_inputs("qwen3", self.inputs)
        check_visibility("qwen3", self.key_visibility)
        if self.key_window < 1:
            raise UserError(f"qwen3.key_window: expected at least 1, got {self.key_window}")
        if self.compute_dtype not in ("float32", "bfloat16"):
            raise UserError(f'qwen3.compute_dtype: expected "float32" or "bfloat16", got {self.compute_dtype!r}')


@dataclass(frozen=True, slots=True)
class MeshSettings:
    """Devices that training is divided over: `data` times `model` of those there are. One by one is one device."""

    data: int = 1  # parts that the tasks of an update are divided into
    model: int = 1  # parts that each matrix of Qwen3 is cut into
    stall_seconds: float = 1800.0  # of many processes: one that did nothing for so long ends, with all others; ours

    def __post_init__(self) -> None:
        """Refuse what is no number of devices."""
        for name in ("data", "model"):
            if getattr(self, name) < 1:
                raise UserError(f"mesh.{name}: expected at least 1, got {getattr(self, name)}")
        if not self.stall_seconds > 0:
            raise UserError(f"mesh.stall_seconds: expected more than 0, got {self.stall_seconds}")


def make_mesh(settings: MeshSettings) -> "Mesh | None":
    """The devices as a mesh of axes "data" and "model"; None for a single one.

    Raises:
        UserError: more devices than there are.
    """
    if settings.data == settings.model == 1:
        return None
    from lts_jax.models.qwen3_mesh import device_mesh

    return device_mesh(settings.data, settings.model)


def base_digest(network: PolicyNetwork) -> str:
    """Of the frozen weights that a network stands on and its answer tokens, as checkpoints record it; empty without."""
    return network.frozen.digest if network.frozen is not None else ""


@lru_cache(maxsize=4)
def qwen3(
    embedding_width: int,
    *,
    settings: Qwen3ControllerSettings = Qwen3ControllerSettings(),
    mesh: MeshSettings = MeshSettings(),
) -> PolicyNetwork:
    """Qwen3 with LoRA over frozen text embeddings: the paper's controller (LTS, arXiv 2602.05965). Set by `--qwen3.*`.

    Raises:
        UserError: a checkpoint that is not there, or whatever it lacks; adapters that do not fit it; a base that the
            mesh cannot divide.
    """
    if settings.folder is None:
        raise UserError(
            "qwen3.folder: expected the folder of a Qwen3 checkpoint, got none; `lts models get Qwen/Qwen3-0.6B --to "
            "FOLDER` fetches one, `lts models tiny FOLDER` makes a small random one"
        )
    from lts_jax.models.policy_network import Frozen
    from lts_jax.models.qwen3_controller import qwen3_controller
    from lts_jax.models.qwen3_soft_tokens import ControllerSettings
    from lts_jax.models.tokens import answer_tokens, load_tokenizer

    folder = Path(settings.folder)
    shape, frozen = _base(folder, settings.compute_dtype, settings.remat, mesh)
    own = ControllerSettings(
        answer_ids=answer_tokens(load_tokenizer(folder), where=folder / "tokenizer.json"),
        embedding_width=embedding_width,
        projection_bias=settings.projection_bias,
        key_window=settings.key_window,
        inputs=settings.inputs,
        key_visibility=settings.key_visibility,
    )
    no, yes = own.answer_ids  # with other answers the same weights say something else
    network = qwen3_controller(own, shape, settings.lora, Frozen(frozen.arrays, f"{frozen.digest}, NO {no}, YES {yes}"))
    if settings.adapter is None:
        return network
    from lts_jax.models.lora_files import load_adapters

    adapters = load_adapters(settings.adapter, shape, settings.lora)[1]
    return replace(network, init=partial(_init_from, network.init, adapters))


def _init_from(init: Callable[[Array], Params], adapters: "Adapters", prng_key: Array) -> Params:
    """Fresh parameters with these adapters in place of new ones."""
    return init(prng_key) | {"adapters": adapters}


@lru_cache(maxsize=2)
def _base(
    folder: Path, compute_dtype: Literal["float32", "bfloat16"], remat: bool, mesh: MeshSettings
) -> "tuple[Qwen3Settings, Frozen]":
    from lts_jax.models.policy_network import Frozen
    from lts_jax.models.qwen3 import settings_from_json
    from lts_jax.models.qwen3_mesh import place
    from lts_jax.models.weights import digest, load_weights

    shape = settings_from_json(folder, compute_dtype=compute_dtype, remat=remat)
    weights, devices = load_weights(folder, shape), make_mesh(mesh)
    return shape, Frozen(weights if devices is None else place(weights, shape, devices), digest(folder))
