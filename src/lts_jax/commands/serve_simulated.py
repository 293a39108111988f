"""`lts serve-simulated`: the simulated language model as an OpenAI-compatible endpoint."""

import asyncio
from dataclasses import dataclass

from lts_jax.errors import UserError
from lts_jax.llm.serving import ChatServer, serve_forever
from lts_jax.llm.simulated import SimulatedModel, make_weaknesses


@dataclass(frozen=True, slots=True)
class Command:
    """Serve the simulated language model over HTTP: POST /v1/chat/completions and GET /v1/models."""

    host: str = "127.0.0.1"
    port: int = 8000
    """Port to listen on; 0 takes a free one."""
    weaknesses: str = "omission"
    """Of the simulated model: omission, commission, small, or one of them changed, as omission(misreads=0.1)."""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise UserError(f"port: expected from 0 to 65535, got {self.port}")


def run(command: Command) -> None:
    """Serve until interrupted."""
    model = SimulatedModel(make_weaknesses(command.weaknesses))
    asyncio.run(serve_forever(model, host=command.host, port=command.port, on_ready=_tell))


def _tell(server: ChatServer) -> None:
    print(f"serving the simulated model at {server.base_url} (stop with Ctrl-C)", flush=True)
