"""The tables and the figures of a run, as files.

lts system srmt --run runs/srmt
python experiments/srmt_bottleneck/tables.py --run runs/srmt
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from lts_jax.reports.svg import save_figure
from lts_jax.reports.tables_page import tables_text
from lts_jax.storage import read_json, write_json, write_text
from lts_jax.systems.srmt_tables import csr_by_length, learning_curves


@dataclass(frozen=True, slots=True)
class Config:
    """Where the run lies, and where its tables go."""

    run: Path = Path("runs/srmt")
    results: Path = Path(__file__).parent / "results"


def main(config: Config) -> None:
    """Print and store."""
    document = read_json(config.run / "report.json")
    write_json(config.results / "report.json", document)
    write_text(config.results / "table.txt", tables_text(document) + "\n")
    for reward in dict.fromkeys(name.partition(", ")[0] for name in document["curves"]):
        save_figure(learning_curves(document, reward), config.results / f"curves_{reward}.png")
        save_figure(csr_by_length(document, reward), config.results / f"lengths_{reward}.png")
    print(tables_text(document))


if __name__ == "__main__":
    main(tyro.cli(Config))
