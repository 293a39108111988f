"""The tables and the figure of a run, as files.

lts system simplemem --run runs/simplemem
python experiments/simplemem/tables.py --run runs/simplemem
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from lts_jax.reports.svg import save_figure
from lts_jax.reports.tables_page import tables_text
from lts_jax.storage import write_json, write_text
from lts_jax.systems.run_folder import open_run, read_settings
from lts_jax.systems.simplemem import simplemem
from lts_jax.systems.simplemem_settings import SimplememSettings


@dataclass(frozen=True, slots=True)
class Config:
    """Where the run lies, and where its tables go."""

    run: Path = Path("runs/simplemem")
    results: Path = Path(__file__).parent / "results"


def main(config: Config) -> None:
    """Print and store; what the run has is read, not computed again."""
    settings = read_settings(config.run, SimplememSettings, name="simplemem")
    document, figures = simplemem(settings, open_run(config.run, settings, name="simplemem"), print)
    write_json(config.results / "report.json", document)
    write_text(config.results / "tables.txt", tables_text(document) + "\n")
    save_figure(figures[0], config.results / "score_over_tokens.svg")
    print(tables_text(document))


if __name__ == "__main__":
    main(tyro.cli(Config))
