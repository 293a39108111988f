"""Imports point one way, text and arrays meet at two files only, and importing stays light. From the syntax trees."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lts_jax

PACKAGE = Path(lts_jax.__file__).parent

LEVELS = {
    "records": 0, "trajectory": 0, "prompts": 0, "seeds": 0, "storage": 0, "errors": 0, "plain": 0, "redact": 0,
    "programs": 0,
    "tasks": 1, "llm": 1, "credit": 1, "models": 1,
    "memory": 2, "teams": 2, "controller": 2,
    "rollouts": 3, "learning": 3,
    "simulator": 4, "evaluation": 4, "autogen": 4, "systems": 5, "sweeps": 6, "cli": 7, "commands": 7,
}  # fmt: skip
WITHOUT_JAX = {
    "records",
    "prompts",
    "seeds",
    "storage",
    "errors",
    "plain",
    "redact",
    "programs",
    "tasks",
    "llm",
    "memory",
    "teams",
}
WITHOUT_TEXT = {"credit", "models", "learning", "simulator"}
TEXT_ROOMS = {"tasks", "llm", "teams", "memory", "prompts"}
SMALLEST = {"errors", "plain", "seeds", "records"}  # level 0 rooms that other level 0 rooms may import


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


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_lower_levels(path):
    own = room(path)
    for name in imported_modules(path):
        if not name.startswith("lts_jax."):
            continue
        other = name.split(".")[1]
        if other in {own, "__version__"}:
            continue
        allowed = LEVELS[other] < LEVELS[own] or (LEVELS[own] == 0 and other in SMALLEST)
        assert allowed, f"{own} (level {LEVELS[own]}) imports {name} (level {LEVELS[other]})"


def test_the_text_side_never_imports_jax():
    # The MiniLM encoder's network lives in models/; the text side reaches it by a late import.
    for path in FILES:
        if room(path) in WITHOUT_JAX:
            heavy = {name.split(".")[0] for name in imported_modules(path)} & {"jax", "flax", "optax", "orbax"}
            assert not heavy, f"{path} imports {heavy}"


def test_the_array_side_never_imports_text():
    for path in FILES:
        if room(path) in WITHOUT_TEXT:
            rooms = {name.split(".")[1] for name in imported_modules(path) if name.startswith("lts_jax.")}
            assert not rooms & TEXT_ROOMS, f"{path} imports {rooms & TEXT_ROOMS}"


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
        "import lts_jax.teams.parallel, lts_jax.memory.reading, lts_jax.llm.chat, lts_jax.tasks"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
