"""For all tests: the same drawn examples every time, no test timed, compiled programs shared and thrown away after.

At the end it is said what was skipped and how to get it.
"""

import atexit
import contextlib
import ctypes
import gc
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("project", deadline=None, derandomize=True, database=None)
settings.load_profile("project")

if "optimization_level" not in os.environ.get("XLA_FLAGS", ""):  # compiling is most of what the suite does
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=1".strip()
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # else a worker process, or the user's choice
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="lts_jax_programs_")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: what takes long must not be left over for one process at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


MAPS = Path("/proc/self/maps")
MAX_MAPS = 6_000  # Linux gives a process 65,530; every compiled program takes several, and beyond them it is killed


@pytest.fixture(scope="module", autouse=True)
def _programs_let_go() -> Iterator[None]:
    """After a file, forget compiled programs where they are many; those that took long are found on the disk again."""
    yield
    if "jax" in sys.modules and MAPS.exists() and MAPS.read_bytes().count(b"\n") > MAX_MAPS:
        sys.modules["jax"].clear_caches()
        gc.collect()
        with contextlib.suppress(AttributeError):  # a C library that cannot give memory back
            ctypes.CDLL(None).malloc_trim(0)


REMEDIES = (  # words of a reason to skip, and what to run first
    ("no sandbox works here", "apt install bubblewrap"),
    ("Chromium", "apt install chromium"),
    ("playwright", "pip install -e '.[browser]'"),
    ("markitdown|bs4|pillow", "pip install -e '.[web]'"),
    ("parity|torch|transformers|peft", "Python 3.11, and make test without PARITY="),
    ("SmolLM2", "lts models get smollm2 --to FOLDER, and LTS_SMOLLM2=FOLDER"),
    ("local|gguf|llguidance|jinja2", "pip install -e '.[local]'"),
    ("qwen|tokenizers|safetensors|huggingface_hub", "pip install -e '.[qwen]'"),
    ("zensical", "pip install -e '.[docs]'"),
    ("extra mcp", "pip install -e '.[mcp]'"),
    ("extra pettingzoo", "pip install -e '.[pettingzoo]'"),
    ("openssl", "apt install openssl"),
    ("nbformat|nbclient|dev extra|matplotlib", "pip install -e '.[dev]'"),
)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was skipped, how often, and how to get it."""
    reasons = Counter(str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []))
    if reasons:
        terminalreporter.section("skipped")
    for reason, count in reasons.most_common():
        told = " ".join(reason.removeprefix("Skipped: ").split())[:200]
        remedy = next((f"  ->  {command}" for words, command in REMEDIES if re.search(words, reason)), "")
        terminalreporter.line(f"{count:5}  {told}{remedy}")
