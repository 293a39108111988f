"""Checkpoints that are whole or refused: Orbax for the arrays, a manifest of digests as the mark of completion.

A checkpoint is a folder `state_00000012` (Orbax, v1 API, readable without our code) and, beside it,
`state_00000012.json`: cursor, config digest, and BLAKE2b digests of every file and every array. The manifest is written
last and atomically, so a folder without one is an unfinished save; and bits that changed on disk, which Orbax reads
without complaint, are found.
"""

import json
import re
import shutil
import warnings
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from lts_jax.errors import UserError
from lts_jax.storage import parse_json, write_json

NUM_KEPT = 2
MANIFEST_VERSION = 1
SPARE_BYTES = 2 * 2**20  # metadata of a checkpoint, and a margin

State = TypeVar("State")

_MANIFEST_NAME = re.compile(r"state_(\d{8})\.json")


class CorruptCheckpoint(UserError):
    """A checkpoint is damaged or incomplete: one line that says which, and what is wrong."""


def save(folder: Path, state: Any, cursor: Mapping[str, Any], config_digest: str, *, base_digest: str = "") -> int:
    """Write one checkpoint; returns its number. Blocks until it is durable. Only the newest two are kept.

    Where one program runs as several processes, all of them come here with the same state; the first one writes.

    Args:
        folder: of the run's checkpoints; made if absent. One writer at a time.
        state: any pytree of arrays, typed random keys included.
        cursor: JSON values: where in the data and in the loop the run stands.
        config_digest: of the configuration; `restore` refuses another one.
        base_digest: of frozen weights that the state was trained over and does not hold; `restore` refuses others.

    Raises:
        UserError: no space, or the files cannot be written. Earlier checkpoints stay as they are.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    number = max(_numbers(folder), default=0) + 1
    arrays = {name: _plain(leaf) for name, leaf in named_leaves(state).items()}
    is_writer = jax.process_index() == 0
    if is_writer:
        _sweep(folder)
        _need_space(folder, 2 * sum(array.nbytes for array in arrays.values()) + SPARE_BYTES)
    try:
        _orbax().save(_state_path(folder, number).absolute(), arrays)
    except Exception as error:  # Orbax raises whatever its storage layer does
        _sweep(folder)
        problem = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{folder}: the checkpoint could not be written ({problem})") from None
    if not is_writer:
        return number
    manifest = {
        "version": MANIFEST_VERSION,
        "number": number,
        "config_digest": config_digest,
        "cursor": dict(cursor),
        "arrays": {name: _description(array) for name, array in arrays.items()},
        "files": _file_digests(_state_path(folder, number)),
    } | ({"base_digest": base_digest} if base_digest else {})
    write_json(_manifest_path(folder, number), manifest | {"digest": _manifest_digest(manifest)})
    tidy(folder)
    return number


def tidy(folder: Path) -> None:
    """Remove what killed saves have left, and all checkpoints but the newest two. No other process may save here."""
    folder = Path(folder)
    if folder.is_dir():
        for old in sorted(_numbers(folder))[:-NUM_KEPT]:
            _remove(folder, old)
        _sweep(folder)


def _need_space(folder: Path, num_bytes: int) -> None:
    # Asked for before, since Orbax answers a full disk with hundreds of lines from its background threads.
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise UserError(f"{folder}: a checkpoint needs {num_bytes / 1e6:.0f} MB, {free / 1e6:.0f} MB are free")


def latest(folder: Path) -> int | None:
    """Number of the newest completed checkpoint, or None. Says nothing of its health."""
    return max(_numbers(Path(folder)), default=None)


def newest_healthy(folder: Path) -> dict[str, Any] | None:
    """The cursor of the newest checkpoint whose files are what was written, or None."""
    folder = Path(folder)
    for number in sorted(_numbers(folder), reverse=True):
        try:
            manifest = _read_manifest(_manifest_path(folder, number))
        except CorruptCheckpoint:
            continue
        if _file_digests(_state_path(folder, number)) == manifest["files"]:
            return manifest["cursor"]
    return None


def restore(
    folder: Path, like: State, *, config_digest: str | None = None, base_digest: str = ""
) -> tuple[State, dict[str, Any]]:
    """The newest healthy checkpoint: (state, cursor). A damaged one is passed over with a warning.

    Args:
        folder: as given to `save`.
        like: a state of the same structure, shapes and types; its values are not used.
        config_digest: expected one; None accepts any.
        base_digest: of the frozen weights that `like` stands on; empty where it stands alone.

    Raises:
        UserError: there is no checkpoint, or it belongs to another configuration or another base.
        CorruptCheckpoint: there are checkpoints and none is healthy.
    """
    numbers = sorted(_numbers(Path(folder)), reverse=True)
    if not numbers:
        raise UserError(f"{folder}: no checkpoint here")
    damage: CorruptCheckpoint | None = None
    for number in numbers:
        try:
            return restore_number(folder, number, like, config_digest=config_digest, base_digest=base_digest)
        except CorruptCheckpoint as error:
            warnings.warn(f"passing over a damaged checkpoint: {error}", RuntimeWarning, stacklevel=2)
            damage = error
    raise CorruptCheckpoint(f"{folder}: no healthy checkpoint; the last problem: {damage}")


def restore_number(
    folder: Path, number: int, like: State, *, config_digest: str | None = None, base_digest: str = ""
) -> tuple[State, dict[str, Any]]:
    """One checkpoint by number, verified array by array; see `restore`.

    Raises:
        CorruptCheckpoint: it is damaged.
        UserError: it belongs to another configuration or another base.
    """
    path = _state_path(Path(folder), number)
    manifest = _read_manifest(_manifest_path(Path(folder), number))
    if config_digest is not None and manifest["config_digest"] != config_digest:
        raise UserError(
            f"{path}: written by configuration {manifest['config_digest']}, expected {config_digest}; "
            "use the settings of that run, or another run folder"
        )
    if manifest.get("base_digest", "") != base_digest:
        trained_over, given = _named_base(manifest.get("base_digest", "")), _named_base(base_digest)
        raise UserError(f"{path}: trained over {trained_over}, now over {given}; give it the base it was trained over")
    if _file_digests(path) != manifest["files"]:  # before Orbax sees them: it logs at length, or reads on
        raise CorruptCheckpoint(f"{path}: cannot be read, its files are not what was written")
    named = {name: _plain(leaf) for name, leaf in named_leaves(like).items()}
    wanted = {name: (list(array.shape), str(array.dtype)) for name, array in named.items()}
    stored = {name: (entry["shape"], entry["dtype"]) for name, entry in manifest["arrays"].items()}
    if wanted != stored:
        different = sorted(name for name in wanted | stored if wanted.get(name) != stored.get(name))
        raise UserError(f"{path}: another network or optimiser wrote this; different: {', '.join(different[:3])}")
    try:
        # Asked for as NumPy arrays: no devices or shardings are involved.
        arrays = {name: np.asarray(array) for name, array in _orbax().load(path.absolute(), named).items()}
    except Exception as error:  # Orbax raises many kinds
        reason = str(error).partition("\n")[0][:200]
        raise CorruptCheckpoint(f"{path}: cannot be read ({type(error).__name__}: {reason})") from error
    for name, array in arrays.items():
        if _description(array) != manifest["arrays"][name]:
            raise CorruptCheckpoint(f"{path}: {name} is not what was written")
    leaves, structure = jax.tree.flatten(like)
    restored = [_like(arrays[name], leaf) for name, leaf in zip(named_leaves(like), leaves, strict=True)]
    return jax.tree.unflatten(structure, restored), manifest["cursor"]


def _named_base(digest: str) -> str:
    return f"frozen weights of sha256 {digest}" if digest else "no frozen weights"


def _orbax() -> Any:
    from orbax.checkpoint import v1

    return v1


def named_leaves(tree: Any) -> dict[str, Any]:
    """The leaves of a pytree by their dotted names, in the order of `jax.tree.leaves`."""
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in _with_paths(tree)}


def _with_paths(tree: Any) -> list[tuple[Any, Any]]:
    return jax.tree_util.tree_flatten_with_path(tree)[0]


def _plain(leaf: Any) -> np.ndarray:
    if _is_prng_key(leaf):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


def _like(array: np.ndarray, leaf: Any) -> jax.Array:
    if _is_prng_key(leaf):
        return jax.random.wrap_key_data(jax.numpy.asarray(array), impl=jax.random.key_impl(leaf))
    return jax.numpy.asarray(array)


def _is_prng_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _description(array: np.ndarray) -> dict[str, Any]:
    digest = blake2b(np.ascontiguousarray(array).tobytes(), digest_size=16).hexdigest()
    return {"shape": list(array.shape), "dtype": str(array.dtype), "digest": digest}


def _file_digests(path: Path) -> dict[str, str]:
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): blake2b(file.read_bytes(), digest_size=16).hexdigest() for file in files}


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = parse_json(path.read_bytes(), "")
        digest = manifest.pop("digest")
        healthy = digest == _manifest_digest(manifest)
    except (OSError, ValueError, AttributeError, KeyError) as error:
        raise CorruptCheckpoint(f"{path}: cannot be read ({type(error).__name__})") from error
    if not healthy:
        raise CorruptCheckpoint(f"{path}: is not what was written")
    if manifest["version"] != MANIFEST_VERSION:
        raise UserError(f"{path}: checkpoint version {manifest['version']}, expected {MANIFEST_VERSION}")
    return manifest


def _manifest_digest(manifest: Mapping[str, Any]) -> str:
    return blake2b(json.dumps(manifest, sort_keys=True).encode(), digest_size=16).hexdigest()


def _numbers(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return [int(match[1]) for path in folder.iterdir() if (match := _MANIFEST_NAME.fullmatch(path.name))]


def _state_path(folder: Path, number: int) -> Path:
    return folder / f"state_{number:08d}"


def _manifest_path(folder: Path, number: int) -> Path:
    return folder / f"state_{number:08d}.json"


def _sweep(folder: Path) -> None:
    """Remove what killed saves left: array folders and temporary names without a manifest."""
    whole = {_state_path(folder, number).name for number in _numbers(folder)}
    for path in folder.iterdir():
        if path.is_dir() and path.name.startswith("state_") and path.name not in whole:
            shutil.rmtree(path, ignore_errors=True)
        elif path.name.startswith(".state_") and path.name.endswith(".tmp"):
            path.unlink(missing_ok=True)


def _remove(folder: Path, number: int) -> None:
    # The manifest goes first: what is left without one counts as unfinished.
    _manifest_path(folder, number).unlink(missing_ok=True)
    shutil.rmtree(_state_path(folder, number), ignore_errors=True)
