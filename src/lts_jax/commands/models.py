"""`lts models`: fetch a Qwen3 checkpoint from the Hugging Face hub, for users who have a network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from lts_jax.errors import UserError

FILES = ("config.json", "tokenizer.json", "model.safetensors", "model.safetensors.index.json", "model-*.safetensors")


@dataclass(frozen=True, slots=True)
class Command:
    """Fetch a dense Qwen3 and check that it can be used as a controller.."""

    action: tyro.conf.Positional[Literal["get"]]
    """What to do."""
    repository: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="REPO")]
    """Repository of the hub, as OWNER/NAME; for example Qwen/Qwen3-0.6B (1.5 GB)."""
    to: Path
    """Folder that the files go to; an interrupted command goes on where it stopped."""
    revision: str | None = None
    """Branch, tag or commit; the newest if not given."""


def run(command: Command) -> None:
    """Fetch, check, and say what was fetched."""
    _fetch(command)
    from lts_jax.models.lora import num_parameters
    from lts_jax.models.qwen3 import abstract_weights, settings_from_json
    from lts_jax.models.tokens import answer_tokens, load_tokenizer
    from lts_jax.models.weights import check_weights, digest

    settings = settings_from_json(command.to)
    check_weights(command.to, settings)
    no, yes = answer_tokens(load_tokenizer(command.to), where=command.to / "tokenizer.json")
    print(
        f"{command.to}: {num_parameters(abstract_weights(settings)):,} parameters in {settings.num_layers} layers of "
        f"width {settings.width}; NO is token {no}, YES is {yes}; sha256 {digest(command.to)}"
    )


def _fetch(command: Command) -> None:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError
    except ModuleNotFoundError:
        raise UserError("lts models get needs the extra qwen: pip install 'lts-jax[qwen]'") from None
    try:
        snapshot_download(
            command.repository, revision=command.revision, local_dir=command.to, allow_patterns=list(FILES)
        )
    except (EntryNotFoundError, HfHubHTTPError, HFValidationError, ConnectionError, TimeoutError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"{command.repository}: expected to fetch it from the hub, which failed ({first_line.rstrip('.')})"
        ) from None
