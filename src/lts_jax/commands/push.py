"""`lts push`: a trained controller and its rollouts for a hub, with cards. Nothing is sent before `--yes`."""

import shutil
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lts_jax.errors import UserError
from lts_jax.storage import read_json
from lts_jax.systems.published import local_settings, publish
from lts_jax.systems.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class Command:
    """Publish a run on the Hugging Face hub: the controller as OWNER/NAME, its rollouts as OWNER/NAME-rollouts."""

    run: Path
    """Folder of a finished `lts train`; what was evaluated in it goes into the card."""
    to: str
    """OWNER/NAME on the hub."""
    rollouts: bool = True
    """Whether the rollouts go out too, as flat tables; texts are looked through for secrets once more."""
    private: bool = False
    """Whether repositories that do not exist yet are made for yourself alone."""
    folder: Path | None = None
    """Folder to keep what goes out; empty or absent."""
    yes: bool = False
    """Send it. Without, files are made and listed, and nothing leaves this machine."""

    def __post_init__(self) -> None:
        if self.to.count("/") != 1 or not all(self.to.split("/")):
            raise UserError(f"to: expected OWNER/NAME, got {self.to}")


def run(command: Command) -> None:
    """Make, list, and send if told to."""
    if command.yes and find_spec("huggingface_hub") is None:
        raise UserError("lts push --yes needs the extra qwen: pip install 'lts-jax[qwen]'")
    kept = command.folder or Path(tempfile.mkdtemp(prefix="lts_jax_push_"))
    try:
        files = publish(RunFolder(command.run), kept, command.to, with_rollouts=command.rollouts)
        for path in files:
            print(f"{path.stat().st_size:>12,}  {path.relative_to(kept)}")
        local = local_settings(read_json(kept / "controller" / "config.json", dict))
        if local:
            print(f"settings that name things of this machine, which go out as they are: {'; '.join(local)}")
        if command.yes:
            _send(command, kept)
        else:
            print(f"nothing was sent; --yes sends it to {command.to}" + " and -rollouts" * command.rollouts)
    finally:
        if command.folder is None:
            shutil.rmtree(kept, ignore_errors=True)


def _send(command: Command, kept: Path) -> None:
    from lts_jax.live.hub import send_folder

    said = f"lts push of {command.run.resolve().name}"
    print(send_folder(kept / "controller", command.to, "model", private=command.private, message=said))
    if command.rollouts:
        name = f"{command.to}-rollouts"
        print(send_folder(kept / "rollouts", name, "dataset", private=command.private, message=said))
