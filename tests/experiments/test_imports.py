"""Every study and notebook imports what is there: names that move must take them along."""

import ast
import importlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [*sorted(ROOT.glob("experiments/*/*.py")), *sorted(ROOT.glob("notebooks/*.ipynb"))]


def source_of(path: Path) -> str:
    """The Python of a file, of a notebook all its code cells; what is for the notebook's host does nothing."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return text
    cells = (cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code")
    lines = (line for cell in cells for line in "".join(cell["source"]).splitlines())
    return "\n".join(re.sub(r"^(\s*)[%!].*", r"\1pass", line) for line in lines)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_study_imports_is_there(path):
    for node in ast.walk(ast.parse(source_of(path))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lts_jax"):
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
