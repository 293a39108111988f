"""Simulator parameters as a JSON file: one object, field names of `SimulatorParams`."""

from pathlib import Path

from lts_jax.environments.teams.settings import SimulatorParams
from lts_jax.plain import from_plain, to_plain
from lts_jax.storage import read_json, write_document


def write_params(path: Path, params: SimulatorParams) -> None:
    """Write plain numbers."""
    write_document(path, to_plain(params))


def read_params(path: Path) -> SimulatorParams:
    """Read what `write_params` wrote; fields that the file leaves out keep their defaults.

    Raises:
        UserError: no such file, not JSON, an unknown field, or a value that is no number.
    """
    params: SimulatorParams = from_plain(SimulatorParams, read_json(path), str(path))
    return params
