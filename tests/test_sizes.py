"""The claims about our own size, measured: short files, shallow nesting, every public function typed and documented."""

import ast
from pathlib import Path
from statistics import median, quantiles

import lts_jax

PACKAGE = Path(lts_jax.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def test_files_are_short():
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    sizes = sorted(lines.values())
    too_long = {str(path.relative_to(PACKAGE)): size for path, size in lines.items() if size > 400}
    assert not too_long
    assert median(sizes) <= 150
    assert quantiles(sizes, n=10)[-1] <= 300


def depth(node: ast.AST) -> int:
    """Deepest chain of functions inside functions below a node, itself not counted."""
    below = [depth(child) + isinstance(child, FUNCTIONS) for child in ast.iter_child_nodes(node)]
    return max(below, default=0)


def test_functions_nest_at_most_twice():
    deep = {str(path.relative_to(PACKAGE)): depth(tree) for path, tree in TREES.items() if depth(tree) > 2}
    assert not deep


def public_functions(tree: ast.Module):
    """Module functions, and methods of public classes, whose names do not start with an underscore."""
    for node in tree.body:
        if isinstance(node, FUNCTIONS) and not node.name.startswith("_"):
            yield node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from (item for item in node.body if isinstance(item, FUNCTIONS) and not item.name.startswith("_"))


def test_public_functions_are_documented_and_typed():
    problems = []
    for path, tree in TREES.items():
        if not ast.get_docstring(tree):
            problems.append(f"{path.relative_to(PACKAGE)}: no module docstring")
        for function in public_functions(tree):
            overloads = {getattr(item, "id", "") for item in function.decorator_list}
            arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
            untyped = [item.arg for item in arguments if item.annotation is None and item.arg not in {"self", "cls"}]
            if untyped or function.returns is None:
                problems.append(f"{path.relative_to(PACKAGE)}:{function.name}: untyped {untyped}")
            if not ast.get_docstring(function) and "overload" not in overloads:
                problems.append(f"{path.relative_to(PACKAGE)}:{function.name}: no docstring")
    assert not problems, "\n".join(problems)


def test_there_are_tests_enough():
    tests = Path(__file__).parent
    num_tests = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in tests.rglob("*.py"))
    num_lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in FILES)
    assert num_tests >= 0.5 * num_lines
