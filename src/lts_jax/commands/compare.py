"""`lts compare`: runs side by side: what differs, how they learned, and what came of it, paired over common tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from lts_jax.commands.report import stored_evaluation
from lts_jax.errors import UserError
from lts_jax.records import Rollout
from lts_jax.reports.side_by_side import SeenRun, SideBySide, side_by_side, side_by_side_json
from lts_jax.reports.side_by_side_page import side_by_side_html, side_by_side_text
from lts_jax.storage import read_json, read_json_lines, write_document, write_text
from lts_jax.systems.comparison import REFERENCE, own_line
from lts_jax.systems.run_folder import RunFolder, read_parts, read_settings
from lts_jax.systems.train_settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Command:
    """Put two or more runs beside each other; the first is what the others are compared with."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders."""
    line: str | None = None
    """Which line of each evaluation is compared, such as all; by default each run's own trained controller."""
    out: Path = Path("runs/compare")
    """Folder that gets compare.html and compare.json."""


def run(command: Command) -> None:
    """Read, write the page and the data, print the tables."""
    found = compare_runs(command.runs, line=command.line)
    print(write_comparison(found, command.out))


def compare_runs(paths: Sequence[Path], *, line: str | None = None) -> SideBySide:
    """What lies in these run folders, side by side.

    Raises:
        UserError: no run folder, an evaluation without the line, or as `side_by_side`.
    """
    names = short_paths([Path(path) for path in paths])
    seen = [_seen(Path(path), name, line) for path, name in zip(paths, names, strict=True)]
    listed = {read_settings(Path(path), TrainSettings).rollout.reading.include_own for path in paths}
    return side_by_side(seen, own_listed=listed == {True})


def write_comparison(found: SideBySide, out: Path) -> str:
    """Write compare.html and compare.json into a folder; the terminal's form of it."""
    write_document(out / "compare.json", side_by_side_json(found))
    write_text(out / "compare.html", side_by_side_html(found))
    return f"{side_by_side_text(found).rstrip()}\n\npage: {out / 'compare.html'}"


def short_paths(paths: Sequence[Path]) -> list[str]:
    """Folders by their last name, or by as many last names as tell them apart."""
    parts = [path.resolve().parts for path in paths]
    longest = max(map(len, parts), default=1)
    for count in range(1, longest + 1):
        names = ["/".join(one[-count:]) for one in parts]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _seen(path: Path, name: str, line: str | None) -> SeenRun:
    folder = RunFolder(path)
    settings = read_settings(path, TrainSettings)
    document = read_json(folder.config, dict)
    named = read_parts(folder)
    own = {key: text for key, text in named.items() if document["train"].get(key) != text}
    plain = {**document["train"], "parts": own, "versions": document.get("versions") or {}}
    wanted = own_line(settings.objective) if line is None else line
    rollouts: dict[str, list[Rollout]] = {}
    if any(folder.evaluation.glob("*")):
        rollouts = stored_evaluation(folder)
        if wanted not in rollouts:
            raise UserError(f"{path}: no line {wanted} in its evaluation; --line takes one of {', '.join(rollouts)}")
    return SeenRun(
        name=name,
        path=str(path),
        settings=plain,
        metrics=read_json_lines(folder.metrics),
        line=wanted if rollouts else "",
        rollouts=rollouts.get(wanted, ()),
        unshared=rollouts.get(REFERENCE, ()),
    )
