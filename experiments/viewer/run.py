"""How large the viewer's page is, and how soon it opens: an evaluation's rollouts, repeated under other task names.

    python experiments/viewer/run.py --run runs/demo --num-rollouts 1000

Opens it in Chromium (extra `browser`) if there is one, and counts until the first row can be clicked and until another
rollout is shown.
"""

import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from lts_jax.commands.report import stored_evaluation
from lts_jax.records import Rollout
from lts_jax.reports.page import page
from lts_jax.reports.viewer import typical, viewer_section
from lts_jax.reports.viewer_script import VIEWER_SCRIPT, VIEWER_STYLE
from lts_jax.systems.run_folder import RunFolder


@dataclass(frozen=True)
class Config:
    """One page."""

    run: Path = Path("runs/demo")
    num_rollouts: int = 1000
    num_openings: int = 5  # of which the median is told


def repeated(rollouts: dict[str, list[Rollout]], count: int) -> dict[str, list[Rollout]]:
    """So many rollouts, line by line, each round of them under task names of its own."""
    per_line = -(-count // len(rollouts))
    return {
        line: [
            replace(one, task=replace(one.task, task_id=f"{one.task.task_id}-{number // len(some)}"))
            for number in range(per_line)
            for one in [some[number % len(some)]]
        ]
        for line, some in rollouts.items()
    }


def main(config: Config) -> None:
    """Make it, open it, print."""
    rollouts = repeated(stored_evaluation(RunFolder(config.run)), config.num_rollouts)
    before = time.process_time()
    first = typical([one for some in rollouts.values() for one in some])
    markup = page("Rollouts", [viewer_section(rollouts, first)], scripts=[VIEWER_SCRIPT], style=VIEWER_STYLE)
    made = time.process_time() - before
    held = markup.count('<script type="text/plain"')
    print(f"{sum(map(len, rollouts.values()))} rollouts of {len(rollouts)} lines: {len(markup.encode()) / 1e6:.1f} MB, "
          f"{held} packs of a task, {made:.1f} s of processor to make")  # fmt: skip
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        print("no Chromium here: not opened")
        return
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as running:
        path = Path(folder) / "page.html"
        path.write_text(markup)
        browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        times = []
        for _ in range(config.num_openings):
            window = browser.new_page()
            started = time.monotonic()
            window.goto(path.as_uri())
            window.wait_for_selector("#rollouts tbody tr")
            opened = time.monotonic() - started
            started = time.monotonic()
            window.click("#rollouts tbody tr:nth-child(2)")
            window.wait_for_selector("#rollouts tr.open.at")
            times.append((opened, time.monotonic() - started))
            window.close()
        browser.close()
    listed, shown = (sorted(column)[len(times) // 2] for column in zip(*times, strict=True))
    print(
        f"median of {len(times)}: {listed:.2f} s until the list stands, {shown:.2f} s until a click has opened another"
    )


if __name__ == "__main__":
    main(tyro.cli(Config))
