"""The tables and figures of `lts system rcr` as files.

lts system rcr --run runs/rcr
python experiments/rcr/tables.py --run runs/rcr
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from lts_jax.reports.svg import save_figure
from lts_jax.reports.tables_page import tables_text
from lts_jax.storage import write_json, write_text
from lts_jax.systems.rcr import rcr
from lts_jax.systems.rcr_settings import RcrSettings
from lts_jax.systems.run_folder import RunFolder, read_settings


@dataclass(frozen=True, slots=True)
class Config:
    """Where the run lies, and where its tables go."""

    run: Path = Path("runs/rcr")
    results: Path = Path(__file__).parent / "results"


def main(config: Config) -> None:
    """Print and store."""
    settings: RcrSettings = read_settings(config.run, RcrSettings, name="rcr")
    document, figures = rcr(settings, RunFolder(config.run), print)  # everything is stored: nothing is run
    write_json(config.results / "report.json", document)
    write_text(config.results / "tables.txt", tables_text(document) + "\n")
    for name, figure in zip(("score", "recall"), figures, strict=True):
        save_figure(figure, config.results / f"{name}.png")
    print(tables_text(document))


if __name__ == "__main__":
    main(tyro.cli(Config))
