"""`lts serve-model`: a language model of a local folder as an OpenAI-compatible endpoint."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from lts_jax.errors import UserError


@dataclass(frozen=True, slots=True)
class Command:
    """Serve a Llama or Qwen3 from a folder over HTTP: POST /v1/chat/completions (streams, JSON mode, schemas), GET
    /v1/models, and POST /v1/embeddings with a text encoder."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder of the model; `lts models get smollm2 --to smollm2` makes one."""
    host: str = "127.0.0.1"
    port: int = 8001
    """Port to listen on; 0 takes a free one."""
    encoder: str | None = None
    """Text encoder for embeddings, as minilm(folder=minilm); none where it is not given."""
    temperature: float = 0.2
    """Of replies whose request names none."""
    max_completion_tokens: int = 512
    """Of replies whose request names none."""
    max_rows: int = 8
    """Replies under way at one time; other requests wait."""
    max_places: int = 8_192
    """Tokens whose keys and values are kept, and most tokens of a prompt with its reply."""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise UserError(f"port: expected from 0 to 65535, got {self.port}")


def run(command: Command) -> None:
    """Serve until interrupted.

    Raises:
        UserError: no such folder, or whatever it lacks.
    """
    from lts_jax.bridge.local_model import LocalModel, LocalSettings
    from lts_jax.llm.serving import ChatServer, serve_forever
    from lts_jax.memory.encoder_parts import make_encoder

    if not command.folder.is_dir():
        raise UserError(f"{command.folder}: no such folder; `lts models get smollm2 --to smollm2` makes one")
    encoder = None if command.encoder is None else make_encoder(command.encoder)
    settings = LocalSettings(
        str(command.folder),
        temperature=command.temperature,
        max_completion_tokens=command.max_completion_tokens,
        max_rows=command.max_rows,
        max_places=command.max_places,
    )
    model = LocalModel(settings)

    def tell(server: ChatServer) -> None:
        print(f"serving {model.name} at {server.base_url} (stop with Ctrl-C)", flush=True)

    asyncio.run(serve_forever(model, host=command.host, port=command.port, on_ready=tell, encoder=encoder))
