"""What a resolver gives each extra alone, on each Python that we support: `python constraints/resolve.py`.

Needs `uv` (pip install uv) and a package index; installs nothing. Prints a table and writes it into README.md beside
this file. Exits with 1 where an extra cannot be resolved, or where one of its own requirements got
less than its lower bound, which is how a resolver falls back to an ancient release when a new one does not fit.
"""

import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

FOLDER = Path(__file__).resolve().parent
PROJECT = FOLDER.parent / "pyproject.toml"
PYTHONS = {"3.11": "3.11.9", "3.12": "3.12.9", "3.13": "3.13.5"}
"""What stands in the table, and what uv is asked for: some packages leave out the first releases of a Python."""
OWN = "lts-jax"
MADE_WITH_PINS = ("cpu", "dev")  # what `make demo` and `make test` install
MARK, END = "<!-- resolved -->\n", "<!-- end of resolved -->\n"


@dataclass(frozen=True)
class Resolved:
    """What one extra got on one Python: versions by name, or why nothing fits."""

    extra: str
    python: str
    versions: dict[str, str]
    problem: str = ""


def read_project() -> dict[str, Any]:
    """The table `project` of pyproject.toml."""
    project: dict[str, Any] = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    return project


def requirements_of(extra: str, python: str) -> list[Requirement]:
    """What an extra asks for on a Python; of another extra of ours it takes what that one asks for."""
    found = []
    for text in read_project()["optional-dependencies"][extra]:
        one = Requirement(text)
        if one.marker is not None and not one.marker.evaluate({"python_version": python}):
            continue
        if canonicalize_name(one.name) == OWN:
            found += [inner for name in sorted(one.extras) for inner in requirements_of(name, python)]
        else:
            found.append(one)
    return found


def lower_bound(one: Requirement) -> Version | None:
    """The least version that a requirement admits, where it says so by >= or ==."""
    bounds = [Version(part.version) for part in one.specifier if part.operator in (">=", "==", "~=")]
    return max(bounds, default=None)


def resolve(extra: str, python: str, *, pinned: bool = False) -> Resolved:
    """Ask uv for one extra, with our exact versions as constraints where `pinned`."""
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", str(PROJECT), "--extra", extra),
        *("--python-version", PYTHONS[python], "--quiet", "--no-header", "--no-annotate"),
        *(("--constraint", str(FOLDER / f"python{python}.txt")) if pinned else ()),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        return Resolved(extra, python, {}, " ".join(done.stderr.split()) or f"uv ended with {done.returncode}")
    lines = [line.split(";")[0].strip() for line in done.stdout.splitlines()]
    pairs = [line.split("==", 1) for line in lines if "==" in line]
    return Resolved(extra, python, {canonicalize_name(name.split("[")[0]): version for name, version in pairs})


def shortfalls(found: Resolved) -> list[str]:
    """One line for everything that is wrong with what an extra got; empty where all is well."""
    where = f"{found.extra} on {found.python}"
    if found.problem:
        return [f"{where}: {found.problem}"]
    lines = []
    for one in requirements_of(found.extra, found.python):
        got, bound = found.versions.get(canonicalize_name(one.name)), lower_bound(one)
        if bound is None:
            continue
        if got is None or Version(got) < bound:
            lines.append(f"{where}: {one.name} got {got or 'nothing'}, its lower bound is {bound}")
    return lines


def table(found: list[Resolved]) -> str:
    """Extra by Python; a cell has the versions of the extra's own requirements, "the same" those of the first one."""
    by_place = {(one.extra, one.python): one for one in found}
    lines = ["| extra | " + " | ".join(PYTHONS) + " |", "|---" * (1 + len(PYTHONS)) + "|"]
    for extra in dict.fromkeys(one.extra for one in found):
        cells = [_cell(by_place[extra, python]) for python in PYTHONS]
        shown = [cells[0], *("the same" if cell == cells[0] else cell for cell in cells[1:])]
        lines.append(f"| `{extra}` | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def _cell(found: Resolved) -> str:
    if found.problem:
        return "cannot be resolved"
    names = dict.fromkeys(canonicalize_name(one.name) for one in requirements_of(found.extra, found.python))
    return ", ".join(f"{name} {found.versions.get(name, '?')}" for name in names) or "nothing of its own"


def main() -> int:
    """Resolve everything, write the table, and say what is wrong."""
    extras = list(read_project()["optional-dependencies"])
    places = [(extra, python) for extra in extras for python in PYTHONS]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda place: resolve(*place), places))
        pinned = list(pool.map(lambda place: resolve(*place, pinned=True), places))
    text = table(found) + "\n" + _apart(pinned)
    print(text)
    page = FOLDER / "README.md"
    before, rest = page.read_text(encoding="utf-8").split(MARK)
    page.write_text(before + MARK + text + END + rest.split(END)[1], encoding="utf-8")
    wrong = [line for one in found for line in shortfalls(one)]
    wrong += [line for one in pinned if one.extra in MADE_WITH_PINS for line in shortfalls(one)]
    print("\n".join(wrong) or "all extras resolve, none below its bounds")
    return 1 if wrong else 0


def _apart(pinned: list[Resolved]) -> str:
    """Which extras do not fit our exact versions, where, and why."""
    problems: dict[tuple[str, str], list[str]] = {}
    for one in pinned:
        if one.problem:
            reason = one.problem.partition("Because ")[2].partition(", we can conclude")[0] or one.problem
            problems.setdefault((one.extra, reason), []).append(one.python)
    lines = [f"- `{extra}` ({', '.join(some)}): {reason}" for (extra, reason), some in problems.items()]
    return (
        "With our exact versions all of these resolve too"
        + (", but for:\n\n" if lines else ".\n")
        + "".join(f"{line}\n" for line in lines)
    )


if __name__ == "__main__":
    sys.exit(main())
