"""The tables and the figure of runs of Memory Sharing, as files.

lts system ms --run runs/ms
lts system ms --run runs/ms_taught --ms.model smollm2 --ms.world-streams 0
lts system ms --run runs/ms_smollm2 --ms.model smollm2 --ms.no-model-teaches --ms.bits-per-kind 2 --ms.token-f1
python experiments/ms/tables.py --run runs/ms --name simulated
python experiments/ms/tables.py --run runs/ms_taught --name smollm2_taught
python experiments/ms/tables.py --run runs/ms_smollm2 --name smollm2
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from lts_jax.reports.svg import save_figure
from lts_jax.reports.tables_page import tables_text
from lts_jax.storage import read_json, write_json, write_text
from lts_jax.systems.ms_settings import MsSettings
from lts_jax.systems.ms_tables import figures
from lts_jax.systems.run_folder import read_settings


@dataclass(frozen=True, slots=True)
class Config:
    """Where the run lies, and where its tables go."""

    run: Path = Path("runs/ms")
    name: str = "simulated"
    """Of the files that are written."""
    results: Path = Path(__file__).parent / "results"


def main(config: Config) -> None:
    """Print and store."""
    document = read_json(config.run / "report.json")
    settings = read_settings(config.run, MsSettings, name="ms")
    seeds = [read_json(config.run / "seeds" / f"{seed}.json", dict) for seed in settings.seeds]
    write_json(config.results / f"{config.name}.json", document)
    write_text(config.results / f"{config.name}.txt", tables_text(document) + "\n")
    for figure in figures(settings, seeds):
        save_figure(figure, config.results / f"{config.name}.png")
    print(tables_text(document))


if __name__ == "__main__":
    main(tyro.cli(Config))
