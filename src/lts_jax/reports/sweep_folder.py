"""Rank what a sweep left in its folder: results.parquet and sweep.json in, report.html, report.json and a table out."""

from pathlib import Path
from typing import Any

from lts_jax.errors import UserError
from lts_jax.reports.sweep_curves import curves_section
from lts_jax.reports.sweep_page import sweep_html
from lts_jax.reports.sweep_report import SweepReport, build_sweep_report, sweep_report_json
from lts_jax.reports.text import sweep_text
from lts_jax.storage import read_json, read_parquet, write_document, write_text

SWEEP, RESULTS, CURVES = "sweep.json", "results.parquet", "curves.parquet"


def is_sweep(folder: Path) -> bool:
    """Whether a folder is a sweep's."""
    return (Path(folder) / SWEEP).exists()


def write_sweep_report(folder: Path, *, measure: str | None = None, reference: str | None = None) -> str:
    """Write report.html and report.json of a sweep's folder, each atomically, and return the table as text.

    `measure` and `reference` are those of `build_sweep_report`. Raises UserError, one line, where there are no results
    yet, for a file that cannot be read, and for an unknown measure or reference.
    """
    folder = Path(folder)
    report = read_sweep(folder, measure=measure, reference=reference)
    write_document(folder / "report.json", sweep_report_json(report))
    curves = curves_section(read_parquet(folder / CURVES), report.ranking) if (folder / CURVES).exists() else ""
    write_text(folder / "report.html", sweep_html(report, curves))
    return f"{sweep_text(report).rstrip()}\n\nreport: {folder / 'report.html'}"


def read_sweep(folder: Path, *, measure: str | None = None, reference: str | None = None) -> SweepReport:
    """The report of a sweep's folder, nothing written: for notebooks. Raises UserError as `write_sweep_report` does."""
    folder = Path(folder)
    document = read_json(folder / SWEEP, dict)
    table = _read_results(folder)
    return build_sweep_report(table, document, name=folder.name, measure=measure, reference=reference)


def _read_results(folder: Path) -> Any:
    path = folder / RESULTS
    if not path.exists():
        raise UserError(f"{folder}: no results yet; run the same `lts sweep` again to finish what is missing")
    return read_parquet(path)
