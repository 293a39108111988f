"""The report as one self-contained page: no network, no external font, style or script; every text is escaped."""

from collections.abc import Sequence

from lts_jax.reports.figures import line_chart
from lts_jax.reports.page_figures import completion, differences, sharing, versus
from lts_jax.reports.page_style import SCRIPT, STYLE
from lts_jax.reports.page_tables import breakdown, comparison, entries_table, measures_table
from lts_jax.reports.report import Report, headline, is_simulated
from lts_jax.reports.svg import quote
from lts_jax.reports.timeline import excerpt, timeline

TITLE = "What sharing saved"


def report_html(report: Report) -> str:
    """The whole page as text."""
    sections = [
        _header(report),
        comparison(report),
        differences(report),
        versus(report),
        completion(report),
        sharing(report),
        breakdown(report),
        _learning(report),
        _example(report),
        _reading(report),
    ]
    return page(TITLE, sections)


def page(title: str, sections: Sequence[str]) -> str:
    """A whole page around sections of markup; empty ones are left out."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{quote(title)}</title><style>{STYLE}</style></head><body><main>\n"
        + "\n".join(section for section in sections if section)
        + f'\n</main><div id="tip" role="status"></div><script>{SCRIPT}</script></body></html>\n'
    )


def _header(report: Report) -> str:
    facts = {
        "clock": f"{report.clock} ({'simulated latencies' if is_simulated(report) else 'wall time'})",
        "tasks": str(report.num_tasks),
        "seeds": str(report.num_seeds),
        "teams": str(report.num_teams),
        "compared with": report.reference,
    }
    cells = "".join(
        f"<div><dt>{quote(name)}</dt><dd>{quote(value)}</dd></div>"
        for name, value in {**report.header, **facts}.items()
    )
    return f'<h1>{TITLE}</h1><p class="lead">{quote(headline(report))}</p><dl class="facts">{cells}</dl>'


def _learning(report: Report) -> str:
    if not report.curves:
        return ""
    charts = "".join(
        f"<div>{line_chart(one.x, one.y, title=one.name, x_title=one.x_name)}</div>" for one in report.curves
    )
    return (
        '<h2>Learning curves</h2><p class="soft">Faint: every value. Strong: the mean of the last tenth of the run.</p>'
        f'<div class="grid">{charts}</div>'
    )


def _example(report: Report) -> str:
    rollout = report.example
    if rollout is None:
        return ""
    return (
        f"<h2>One rollout, {quote(rollout.policy)}</h2>"
        f"<p>{quote(excerpt(rollout.task.question, 400))}</p>"
        '<p class="soft">A numbered bar is a step; thin lines are the orchestrator at work. Filled marks were pulled, '
        "open ones were not. Point at anything for its texts; pointing at an entry lights up where it went.</p>"
        f'<div class="scroll">{timeline(rollout)}</div>{entries_table(rollout)}'
    )


def _reading(report: Report) -> str:
    notes = "".join(f"<li>{quote(note)}</li>" for note in report.notes)
    return (
        f"<h2>How to read this</h2><ul>{notes}</ul><details><summary>What every measure means</summary>"
        f"{measures_table()}</details>"
    )
