"""The slow half of the study, in files of its own: one per scheme, and one for the coin."""

import time
from typing import Any

from config import WORLDS, Config
from judged import OwnPolicies, admissions_told, under_coin
from trained import train_scheme, train_value

from lts_jax.plain import to_plain
from lts_jax.storage import read_json, write_json


def finite(value: Any) -> Any:
    """JSON has no NaN: None instead."""
    if isinstance(value, dict):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not -1e300 < value < 1e300 else value


def part_of(scheme: str, config: Config, own: OwnPolicies) -> dict[str, Any]:
    """Rows of a scheme's selection and of its reported runs, and its fidelity under its own policies."""
    path = config.parts / f"{scheme}.json"
    if not path.exists():
        started, burnt = time.monotonic(), time.process_time()
        selection, rows, params = train_scheme(scheme, config)
        judged = own.judge(scheme, params[next(iter(WORLDS))])
        part = {"selection": selection, "rows": rows, "own": [to_plain(one) for one in judged]}
        write_json(path, finite(part))
        print(
            f"{scheme}: {time.monotonic() - started:.0f} s, {time.process_time() - burnt:.0f} s of a core", flush=True
        )
    return read_json(path)  # type: ignore[no-any-return]


def value_part_of(name: str, num_iterations: int, config: Config) -> dict[str, Any]:
    """The same of `admission_value`; its worth of a decision is a prediction and no credit, so fidelity has no rows."""
    path = config.parts / f"{name.replace(', ', '_')}.json"
    if not path.exists():
        started, burnt = time.monotonic(), time.process_time()
        selection, rows = train_value(num_iterations, config)
        named = [[{"credit": name, **row} for row in several] for several in (selection, rows)]
        write_json(path, finite({"selection": named[0], "rows": named[1], "own": []}))
        print(f"{name}: {time.monotonic() - started:.0f} s, {time.process_time() - burnt:.0f} s of a core", flush=True)
    return read_json(path)  # type: ignore[no-any-return]


def coin_of(config: Config) -> dict[str, Any]:
    """Fidelity of every scheme under random(0.5), and what admissions did there."""
    path = config.parts / "coin.json"
    if not path.exists():
        started, burnt = time.monotonic(), time.process_time()
        samples, judged = under_coin(config)
        write_json(path, finite({"told": admissions_told(samples), "fidelity": [to_plain(one) for one in judged]}))
        print(f"coin: {time.monotonic() - started:.0f} s, {time.process_time() - burnt:.0f} s of a core", flush=True)
    return read_json(path)  # type: ignore[no-any-return]
