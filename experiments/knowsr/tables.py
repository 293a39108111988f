"""The tables and the figures of a run, as files.

lts system knowsr --run runs/knowsr --env mpe_spread mpe_tag bottleneck ledger --knowsr.num-seeds 10
python experiments/knowsr/tables.py --run runs/knowsr
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from lts_jax.reports.svg import save_figure
from lts_jax.reports.tables_page import tables_text
from lts_jax.storage import read_json, write_json, write_text
from lts_jax.systems.knowsr_tables import curves_figure


@dataclass(frozen=True, slots=True)
class Config:
    """Where the run lies, and where its tables go."""

    run: Path = Path("runs/knowsr")
    results: Path = Path(__file__).parent / "results"


def main(config: Config) -> None:
    """Print and store."""
    document = read_json(config.run / "report.json")
    write_json(config.results / "report.json", document)
    write_text(config.results / "table.txt", tables_text(document) + "\n")
    for env in dict.fromkeys(name.partition(", ")[0] for name in document["curves"]):
        for name in ("return", "diversity"):
            save_figure(curves_figure(document, env, name), config.results / f"{name}_{env}.png")
    print(tables_text(document))


if __name__ == "__main__":
    main(tyro.cli(Config))
