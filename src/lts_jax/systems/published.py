"""A run as two folders for a hub, the controller as safetensors and rollouts as flat tables; a run made of the first.

HUB/controller/  controller.safetensors, config.json, parts.json, metrics.jsonl, report.json, README.md (model card)
HUB/rollouts/    data/TABLE.parquet, README.md (data card), croissant.json

Every text is looked through for secrets once more on its way out.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lts_jax.errors import UserError
from lts_jax.evaluation.tables import COLUMNS, tables
from lts_jax.learning.checkpoint import named_leaves, save
from lts_jax.models.policy_network import Params
from lts_jax.redact import environment_secrets, redact_record
from lts_jax.storage import (
    line_of,
    read_json,
    read_json_lines,
    replacing,
    write_bytes,
    write_document,
    write_json,
    write_parquet,
    write_text,
)
from lts_jax.systems.cards import croissant, data_card, model_card
from lts_jax.systems.lts import trained_params
from lts_jax.systems.run_folder import RunFolder, config_digest, read_settings
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.train_settings import TrainSettings

WEIGHTS = "controller.safetensors"
_OWN_CODE = re.compile(r"\.py:|^[A-Za-z_][\w.]*:[A-Za-z_]\w*(\(|$)")


def publish(run: RunFolder, to: Path, name: str, *, with_rollouts: bool = True) -> list[Path]:
    """Make both folders under `to`; the files made.

    Args:
        run: trained to its end.
        to: an empty or absent folder.
        name: OWNER/NAME, for the cards.
        with_rollouts: whether the rollouts go out too.

    Raises:
        UserError: one line: an unfinished run, a folder that holds files, a library that is missing.
    """
    if to.exists() and any(to.iterdir()):
        raise UserError(f"{to}: expected an empty folder, found {next(iter(sorted(to.iterdir()))).name} in it")
    parts = make_parts(read_settings(run.path, TrainSettings))
    params = trained_params(run, parts)
    secrets = environment_secrets(os.environ)
    report = read_json(run.report_json, dict) if run.report_json.exists() else {}
    documents: dict[str, Any] = {"config.json": read_json(run.config, dict)}
    documents |= {"parts.json": read_json(run.parts, dict)} if run.parts.exists() else {}
    documents |= {"report.json": report} if report else {}
    folder = to / "controller"
    _write_params(folder / WEIGHTS, params)
    for file, content in documents.items():
        write_document(folder / file, redact_record(content, secrets))
    if run.metrics.exists():
        _copy_lines(run.metrics, folder / run.metrics.name)
    write_text(folder / "README.md", redact_record(model_card(name, documents["config.json"], report), secrets))
    if with_rollouts:
        created = str(documents["config.json"].get("created", ""))
        _write_tables(run, to / "rollouts", (name, created), report, secrets)
    return sorted(path for path in to.rglob("*") if path.is_file())


def local_settings(config: Mapping[str, Any]) -> list[str]:
    """Settings of a run that name files of this machine or code of the user's own, as `name = value`."""
    return [
        f"{place} = {text}"
        for place, text in _texts(config.get("train", {}))
        if text.startswith(("/", "~", "./", "../")) or "=/" in text or "=~" in text or _OWN_CODE.search(text)
    ]


def adopt(folder: Path, run: Path, *, trust_code: bool = False) -> RunFolder:
    """A run folder of a published controller, which `lts evaluate` takes as one that was trained here.

    Args:
        folder: with the files of HUB/controller.
        run: to be made.
        trust_code: whether settings may name code of a file of this machine, which is then run.

    Raises:
        UserError: one line: files missing, other parameters than the settings make, settings that name code, a run
            folder that is there already.
    """
    target = RunFolder(run)
    if run.exists() and any(run.iterdir()):
        raise UserError(f"{run}: expected an empty folder, found files in it")
    for file in (WEIGHTS, "config.json"):
        if not (folder / file).is_file():
            raise UserError(f"{folder / file}: no such file; expected a controller as `lts push` makes it")
    config = read_json(folder / "config.json", dict)
    code = [one for one in local_settings(config) if _OWN_CODE.search(one.partition(" = ")[2])]
    if code and not trust_code:
        raise UserError(f"{folder}: its settings name code ({code[0]}); give --trust-code if you have it and trust it")
    write_document(target.config, config)
    try:
        settings = read_settings(run, TrainSettings)
        parts = make_parts(settings)
        fresh = parts.fresh_state(jax.random.key(settings.seed))
        state = replace(fresh, params=_read_params(folder / WEIGHTS, fresh.params))
    except UserError:
        target.config.unlink()
        raise
    cursor = {"iteration": settings.num_iterations}
    save(target.checkpoints, state, cursor, config_digest(settings), base_digest=parts.base_digest)
    write_document(target.parts, dict(parts.names))
    if (folder / target.metrics.name).is_file():
        _copy_lines(folder / target.metrics.name, target.metrics)
    return target


def _copy_lines(source: Path, target: Path) -> None:
    """The lines of a metrics file, each seen to be what was written."""
    write_bytes(target, b"".join(map(line_of, read_json_lines(source))))


def _write_params(path: Path, params: Params) -> None:
    try:
        from safetensors.numpy import save_file
    except ModuleNotFoundError:
        raise UserError("lts push needs the extra qwen: pip install 'lts-jax[qwen]'") from None
    arrays = {name: np.ascontiguousarray(leaf) for name, leaf in named_leaves(params).items()}
    with replacing(path) as temporary:
        save_file(arrays, temporary, metadata={"format": "lts_jax"})


def _read_params(path: Path, like: Params) -> Params:
    from lts_jax.models.weights_files import open_tensors

    wanted, structure = named_leaves(like), jax.tree.structure(like)
    with open_tensors({path: None}) as tensors:
        if {*tensors} != {*wanted}:
            odd = sorted({*tensors} ^ {*wanted})
            raise UserError(f"{path}: expected the parameters that its settings make, different: {', '.join(odd[:3])}")
        found = [tensors[name].file.get_tensor(name) for name in wanted]
    for (name, leaf), array in zip(wanted.items(), found, strict=True):
        if array.shape != leaf.shape or not np.isfinite(array).all():
            raise UserError(f"{path}: {name}: expected finite numbers of shape {leaf.shape}, found {array.shape}")
    arrays = [jax.numpy.asarray(array, leaf.dtype) for array, leaf in zip(found, wanted.values(), strict=True)]
    return jax.tree.unflatten(structure, arrays)


def _write_tables(
    run: RunFolder,
    folder: Path,
    named: tuple[str, str],
    report: Mapping[str, Any],
    secrets: tuple[tuple[str, str], ...],
) -> None:
    import pyarrow

    sizes = {}
    for table, frame in tables(run.path).items():
        rows = redact_record(frame.to_dict("records"), secrets)
        sizes[table] = len(rows)
        if rows:
            write_parquet(folder / "data" / f"{table}.parquet", pyarrow.Table.from_pylist(rows))
    sizes = {table: count for table, count in sizes.items() if count}
    files = {table: folder / "data" / f"{table}.parquet" for table in sizes}
    write_text(folder / "README.md", data_card(named[0], sizes, report))
    write_json(folder / "croissant.json", croissant(*named, files, {table: COLUMNS[table] for table in sizes}))


def _texts(settings: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Every text of plain settings with its dotted name."""
    if isinstance(settings, str):
        yield place, settings
    elif isinstance(settings, Mapping):
        for key, one in settings.items():
            yield from _texts(one, f"{place}.{key}".lstrip("."))
    elif isinstance(settings, list | tuple):
        for number, one in enumerate(settings):
            yield from _texts(one, f"{place}[{number}]")
