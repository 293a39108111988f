"""The tables and the figures of a run, as files.

lts system hybrid --run runs/joined --hybrid.task joined
python experiments/hybrid/tables.py --run runs/joined
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from lts_jax.reports.svg import save_figure
from lts_jax.reports.tables_page import tables_text
from lts_jax.storage import read_json, write_json, write_text
from lts_jax.systems.hybrid_tables import curves_figure, shares_figure


@dataclass(frozen=True, slots=True)
class Config:
    """Where the run lies, and where its tables go."""

    run: Path = Path("runs/joined")
    results: Path = Path(__file__).parent / "results"


def main(config: Config) -> None:
    """Print and store, under the run's name."""
    results = config.results / config.run.name
    document = read_json(config.run / "report.json")
    write_json(results / "report.json", document)
    write_text(results / "table.txt", tables_text(document) + "\n")
    for task in document["agent_steps"]:
        name = "steps" if task == "consensus" else "return"
        save_figure(curves_figure(document, task, name), results / f"curves_{task}.png")
        if f"{task}, switch" in document["curves"]:
            save_figure(shares_figure(document, task), results / f"shares_{task}.png")
    print(tables_text(document))


if __name__ == "__main__":
    main(tyro.cli(Config))
