"""`lts pull`: a published controller as a run folder, to be evaluated and compared as one that was trained here."""

import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import tyro

from lts_jax.errors import UserError
from lts_jax.systems.published import adopt


@dataclass(frozen=True, slots=True)
class Command:
    """Make a run folder of a controller that `lts push` published."""

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="OWNER/NAME")]
    """Repository of the hub, or a folder that holds what was published."""
    run: Path
    """Run folder to make."""
    revision: str | None = None
    """Branch, tag or commit; the newest if not given."""
    trust_code: bool = False
    """Take settings that name code in files of yours (mine.py:function), which is then run."""


def run(command: Command) -> None:
    """Fetch, check, make, and say what to do with it."""
    if Path(command.name).is_dir():
        adopt(Path(command.name), command.run, trust_code=command.trust_code)
    else:
        if find_spec("huggingface_hub") is None:
            raise UserError("lts pull needs the extra qwen: pip install 'lts-jax[qwen]'")
        from lts_jax.live.hub import fetch_repository

        with tempfile.TemporaryDirectory(prefix="lts_jax_pull_") as scratch:
            fetch_repository(
                command.name,
                "model",
                ["*.json", "*.jsonl", "*.safetensors"],
                revision=command.revision,
                folder=Path(scratch),
            )
            adopt(Path(scratch), command.run, trust_code=command.trust_code)
    print(f"{command.run}: try `lts evaluate --run {command.run}`")
