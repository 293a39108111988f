"""`lts models`: fetch a Qwen3 checkpoint from the Hugging Face hub, or write a tiny random one without a network."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import tyro

from lts_jax.errors import UserError

FILES = ("config.json", "tokenizer.json", "model.safetensors", "model.safetensors.index.json", "model-*.safetensors")


@dataclass(frozen=True, slots=True)
class Command:
    """Fetch a dense Qwen3 and check that it can be used as a controller; or write a tiny random one to try with."""

    action: tyro.conf.Positional[Literal["get", "tiny"]]
    """`get REPO --to FOLDER` fetches; `tiny FOLDER` writes two layers of random weights."""
    repository: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="REPO")]
    """Repository of the hub, as OWNER/NAME; for example Qwen/Qwen3-0.6B (1.5 GB). For `tiny` the folder to make."""
    to: Path | None = None
    """Folder that the files go to; an interrupted command goes on where it stopped."""
    revision: str | None = None
    """Branch, tag or commit; the newest if not given."""


def run(command: Command) -> None:
    """Fetch or write, check, and say what is there."""
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
        _fetch(command, folder)
    from lts_jax.models.lora import num_parameters
    from lts_jax.models.qwen3 import abstract_weights, settings_from_json
    from lts_jax.models.tokens import answer_tokens, load_tokenizer
    from lts_jax.models.weights import check_weights, digest

    settings = settings_from_json(folder)
    check_weights(folder, settings)
    no, yes = answer_tokens(load_tokenizer(folder), where=folder / "tokenizer.json")
    print(
        f"{folder}: {num_parameters(abstract_weights(settings)):,} parameters in {settings.num_layers} layers of "
        f"width {settings.width}; NO is token {no}, YES is {yes}; sha256 {digest(folder)}"
    )


def _fetch(command: Command, folder: Path) -> None:
    if find_spec("huggingface_hub") is None:
        raise UserError("lts models get needs the extra qwen: pip install 'lts-jax[qwen]'")
    from lts_jax.live.hub import fetch_repository

    fetch_repository(command.repository, "model", FILES, revision=command.revision, folder=folder)
