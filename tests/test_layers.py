"""Imports point one way, text and arrays meet in one room, and importing stays light."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lts_jax

PACKAGE = Path(lts_jax.__file__).parent

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
TREE = README.split("<!-- rooms -->")[1].split("<!-- end of rooms -->")[0]
FLOORS = tuple(tuple(re.findall(r"[a-z]+", line)) for line in re.findall(r"^ ?\d+  (.+)$", TREE, re.MULTILINE))
"""The README's tree. A room imports rooms of lower floors only; rooms of one floor do not know each other."""

LEVELS = {name: floor for floor, names in enumerate(FLOORS) for name in names}
ARRAY_ROOMS = ("trajectory", "credit", "models", "learning", "environments", "lab")
TEXT_ROOMS = ("records", "wording", "prompts", "redact", "tasks", "llm", "memory", "teams", "admission", "rollouts")
NEUTRAL = (
    "errors",
    "bounds",
    "plain",
    "actions",
    "seeds",
    "storage",
    "programs",
    "loading",
    "parts",
)  # of neither side
COMPANIONS = ("reports", "live", "logs", "adapters", "systems")  # the core does not know them
SMALLEST = ("errors", "bounds", "plain", "seeds", "actions", "records", "wording", "loading")  # others of floor 0 may


def imported_modules(path: Path, top_level_only: bool = False) -> set[str]:
    """Dotted names of the modules a file imports; functions' own imports are left out if asked."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
            if node.module == "lts_jax":
                names |= {f"lts_jax.{alias.name}" for alias in node.names}
    return names


def string_constants(path: Path) -> list[str]:
    """Every string that a file writes out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def room(path: Path) -> str:
    """First part of a module's path below the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(path for path in PACKAGE.rglob("*.py") if room(path) != "__init__")


def test_every_room_has_a_floor():
    assert {room(path) for path in FILES} <= set(LEVELS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_lower_floors(path):
    own = room(path)
    for name in imported_modules(path):
        if not name.startswith("lts_jax."):
            continue
        other = name.split(".")[1]
        if other in {own, "__version__"}:
            continue
        allowed = LEVELS[other] < LEVELS[own] or (LEVELS[own] == 0 and other in SMALLEST)
        assert allowed, f"{own} (floor {LEVELS[own]}) imports {name} (floor {LEVELS[other]})"


def loaded_by(room_name: str) -> set[str]:
    """First parts of all modules in `sys.modules`, ours without `lts_jax.`, after every file of a room is imported."""
    names = [module_name(path) for path in FILES if room(path) == room_name]
    code = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        "print(*{name.split('.')[1] if name.startswith('lts_jax.') else name.split('.')[0] for name in sys.modules})"
    )
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def module_name(path: Path) -> str:
    """Dotted name of a file of the package."""
    return ".".join(("lts_jax", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


@pytest.mark.parametrize("room_name", ARRAY_ROOMS)
def test_an_array_room_loads_no_text_room(room_name):
    assert not loaded_by(room_name) & {*TEXT_ROOMS, "bridge"}


@pytest.mark.parametrize("room_name", [*TEXT_ROOMS, *NEUTRAL])
def test_a_text_room_loads_neither_jax_nor_an_array_room(room_name):
    assert not loaded_by(room_name) & {"jax", "flax", "optax", "orbax", *ARRAY_ROOMS, "bridge"}


def test_the_core_imports_no_companion():
    companions = {name for name in COMPANIONS if name in LEVELS}
    for path in FILES:
        if LEVELS[room(path)] < min(LEVELS[name] for name in companions):
            rooms = {name.split(".")[1] for name in imported_modules(path) if name.startswith("lts_jax.")}
            assert not rooms & companions, f"{path} imports {rooms & companions}"


def test_the_models_never_import_the_tasks():
    """The simulated model answers from the messages alone; with the tasks at hand it could look the answers up."""
    for path in FILES:
        if room(path) == "llm":
            tasks = {name for name in imported_modules(path) if name.split(".")[:2] == ["lts_jax", "tasks"]}
            assert not tasks, f"{path} imports {tasks}: a stand-in for a language model must not see reference answers"
            by_name = [name for name in string_constants(path) if name.startswith("lts_jax.tasks")]
            assert not by_name, f"{path} names {by_name}, as an import at run time would"


def test_importing_the_package_is_light():
    heavy = ("jax", "flax", "openai", "faiss", "datasets", "pandas", "pyarrow", "matplotlib", "scipy")
    code = f"import sys, lts_jax, lts_jax.cli; print([name for name in {heavy!r} if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def test_teams_import_where_jax_cannot():
    code = (
        "import sys; sys.modules['jax'] = None\n"
        "import lts_jax.teams.parallel, lts_jax.memory.reading, lts_jax.admission.rules, lts_jax.rollouts.collect"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
