"""Where compiled programs are kept between runs, so that a second start need not compile."""

import os
import platform
from collections.abc import MutableMapping
from hashlib import blake2b
from pathlib import Path

MAX_BYTES = 2**30
MIN_COMPILE_SECONDS = 0.2


def keep_programs(environment: MutableMapping[str, str] = os.environ) -> None:
    """Have JAX, which must not be imported yet, keep what it compiles below the user's cache folder.

    Sets `JAX_COMPILATION_CACHE_DIR` and its limits in the environment where the user has not. `JAX_ENABLE_COMPILATION_
    CACHE=false` turns it off. Programs are kept by kind of processor: those of another may not run here.
    """
    if "JAX_COMPILATION_CACHE_DIR" in environment:
        return
    home = environment.get("XDG_CACHE_HOME") or str(Path(environment.get("HOME") or "~").expanduser() / ".cache")
    environment["JAX_COMPILATION_CACHE_DIR"] = str(Path(home) / "lts_jax" / f"programs-{_processor()}")
    environment.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", str(MIN_COMPILE_SECONDS))
    environment.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(MAX_BYTES))  # the least recently used go first


def _processor() -> str:
    """Digest of what the processor can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        told = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        told = platform.processor()
    return blake2b(f"{platform.machine()} {told}".encode(), digest_size=4).hexdigest()
