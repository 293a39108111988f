"""The table and the figures of a system that was run, as files.

lts system agemem --run runs/agemem
python experiments/agemem/tables.py --run runs/agemem
python experiments/agemem/tables.py --run runs/comam --results experiments/comam/results
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from lts_jax.reports.study_page import learning_curves, score_plot
from lts_jax.reports.study_text import study_text
from lts_jax.reports.svg import save_figure
from lts_jax.storage import read_json, write_json, write_text


@dataclass(frozen=True, slots=True)
class Config:
    """Where the run lies, and where its table goes."""

    run: Path = Path("runs/agemem")
    results: Path = Path(__file__).parent / "results"


def main(config: Config) -> None:
    """Print and store."""
    document = read_json(config.run / "report.json")
    write_json(config.results / "report.json", document)
    write_text(config.results / "table.txt", study_text(document) + "\n")
    save_figure(score_plot(document), config.results / "scores.png")
    save_figure(learning_curves(document), config.results / "curves.png")
    print(study_text(document))


if __name__ == "__main__":
    main(tyro.cli(Config))
