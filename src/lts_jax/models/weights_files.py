"""Safetensors files of a Hugging Face folder: which there are, what is in them; refuses what is not as expected."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from lts_jax.errors import UserError
from lts_jax.storage import read_json

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
DTYPES = ("F32", "F16", "BF16")


class Source(NamedTuple):
    """Where a tensor is."""

    path: Path
    file: Any  # an open safetensors file


def checkpoint_files(folder: Path) -> dict[Path, set[str] | None]:
    """The weight files of a folder, with the tensors that its index puts into each (None: no index).

    Raises:
        UserError: neither the single file nor an index, or a shard of the index is missing.
    """
    index, single = folder / INDEX, folder / WEIGHTS
    if not index.is_file():
        if not single.is_file():
            pickled = sorted(each.name for each in folder.glob("pytorch_model*.bin")) if folder.is_dir() else []
            old = f"; {pickled[0]} is not read: save the model again with safe_serialization=True" if pickled else ""
            raise UserError(f"{single}: no such file; expected it, or shards with {INDEX}{old}")
        return {single: None}
    plan = read_json(index)
    shard_of = plan.get("weight_map") if isinstance(plan, dict) else None
    if not isinstance(shard_of, dict) or not shard_of:
        raise UserError(f"{index}: expected a field weight_map from tensors to files, found none")
    files = {folder / str(shard): {name for name in shard_of if shard_of[name] == shard} for shard in shard_of.values()}
    for path, names in files.items():
        if path.parent != folder or not path.is_file():
            raise UserError(f"{path}: no such file; expected this shard of {len(names)} tensors, as {INDEX} says")
    return dict(files)


@contextmanager
def open_tensors(files: Mapping[Path, set[str] | None], *, extra: str = "qwen") -> Iterator[Mapping[str, Source]]:
    """Every tensor of the files, by name, open but not read. `extra` installs what reads them.

    Raises:
        UserError: a file is not safetensors, is cut short, or holds other tensors than its index says.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ModuleNotFoundError:
        raise UserError(f"reading weights needs the extra {extra}: pip install 'lts-jax[{extra}]'") from None
    with ExitStack() as opened:
        tensors: dict[str, Source] = {}
        for path, names in files.items():
            try:
                file = opened.enter_context(safe_open(path, framework="numpy"))
            except (SafetensorError, OSError) as error:
                problem = " ".join(str(error).split())
                raise UserError(f"{path}: expected a whole safetensors file, found another ({problem})") from None
            found = set(file.keys())
            if names is not None and found != names:
                raise UserError(f"{path}: expected {len(names)} tensors, as {INDEX} says, {_difference(found, names)}")
            tensors |= dict.fromkeys(found, Source(path, file))
        yield tensors


def check_tensor(tensors: Mapping[str, Source], name: str, shape: Sequence[int], whole: Path) -> None:
    """Refuse a tensor that is absent, of another shape, or not of `DTYPES`; `whole` is the file to name when absent.

    Raises:
        UserError: one line with file, tensor, expected, found.
    """
    if name not in tensors:
        raise UserError(f"{whole}: expected tensor {name} of shape {list(shape)}, found none")
    path, view = tensors[name].path, tensors[name].file.get_slice(name)
    if list(view.get_shape()) != list(shape):
        raise UserError(f"{path}: tensor {name}: expected shape {list(shape)}, found {list(view.get_shape())}")
    if view.get_dtype() not in DTYPES:
        raise UserError(f"{path}: tensor {name}: expected type {', '.join(DTYPES)}, found {view.get_dtype()}")


def _difference(found: set[str], expected: set[str]) -> str:
    missing = sorted(expected - found)
    return f"found no {missing[0]}" if missing else f"found also {min(found - expected)}"
