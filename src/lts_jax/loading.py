"""Functions from a user's file or from an installed module, by name, with errors of one line."""

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Any

from lts_jax.errors import UserError, describe, show


def load_function(target: str, *, where: str) -> Callable[..., Any]:
    """The function that `mine.py:function` or `package.module:function` names. A file is run once, until it changes.

    Raises:
        UserError: one line that begins with `where`: no such file or module, an exception while it is run, nothing of
            that name in it, or something that cannot be called.
    """
    place, _, name = target.rpartition(":")
    module = load_module(place, where=where)
    found = getattr(module, name, None)
    if found is None:
        own = [
            key
            for key, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", "") == module.__name__
        ]
        near = difflib.get_close_matches(name, own, n=3, cutoff=0.5) or own[:5]
        raise UserError(f"{where}: {place} has no function {show(name)}{'; it has ' + ', '.join(near) if near else ''}")
    if not callable(found):
        raise UserError(f"{where}: {target}: expected a function, got a value of type {type(found).__name__}")
    return found


def load_module(place: str, *, where: str) -> ModuleType:
    """The module of a `.py` file or of a dotted name, with what lies beside the file importable while it is run.

    Raises:
        UserError: one line that begins with `where`.
    """
    try:
        return _load_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except FileNotFoundError:
        raise UserError(f"{where}: {place}: no such file") from None
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        missing = (
            isinstance(error, ModuleNotFoundError) and not place.endswith(".py") and place.startswith(str(error.name))
        )
        raise UserError(
            f"{where}: no module {show(place)}"
            if missing
            else f"{where}: {place}: importing it raises {describe(error)}"
        ) from error


def _load_file(path: Path) -> ModuleType:
    source = path.read_bytes()
    whole = path.resolve()
    digest = blake2b(str(whole).encode() + b"\0" + source, digest_size=8).hexdigest()
    name = f"{path.stem}_{digest}"  # another content is another module; the same one keeps its functions' identity
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, whole)
    assert spec is not None and spec.loader is not None  # a .py file always has both
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(whole.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(str(whole.parent))
    return module
