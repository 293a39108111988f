"""The main comparison: train one controller per seed, compare it with every rule on held-out tasks, pool the seeds."""

import sys
from dataclasses import replace
from pathlib import Path

import tyro

sys.path.insert(0, str(Path(__file__).parent))

from config import Config

from lts_jax.commands.evaluate import evaluate_in
from lts_jax.commands.report import describe_line, example_rollout, stored_evaluation
from lts_jax.commands.train import train_in
from lts_jax.records import Rollout
from lts_jax.reports.report import Background, ReportSettings, build_report, report_json
from lts_jax.reports.run_page import report_html, tradeoff_chart
from lts_jax.reports.svg import save_figure
from lts_jax.reports.text import report_text
from lts_jax.storage import read_json_lines, write_json, write_text
from lts_jax.systems.run_folder import open_run
from lts_jax.tasks.almanac.world import HELD_OUT


def main(config: Config) -> None:
    """Run what is not stored yet; write report.json, report.html (in the runs), tradeoff.svg, .png and table.txt."""
    pooled: dict[str, list[Rollout]] = {}
    metrics = []
    for seed in config.seeds:
        training = replace(config.train, seed=seed)
        evaluation = replace(config.compare.evaluation, seed=config.compare.evaluation.seed + seed)
        folder = open_run(config.runs / f"seed_{seed}", training)
        train_in(folder, training)
        evaluate_in(folder, training, replace(config.compare, evaluation=evaluation))
        for name, rollouts in stored_evaluation(folder).items():
            pooled.setdefault(name, []).extend(rollouts)
        metrics = metrics or read_json_lines(folder.metrics)
    report = build_report(
        pooled,
        ReportSettings(
            own_listed=config.train.rollout.reading.include_own,
            pulled_listed=config.train.rollout.reading.list_pulled_again,
            new_families=HELD_OUT,
        ),
        Background(
            header={
                "study": "main comparison",
                "model": "simulated language model",
                "training": f"{config.train.num_tasks} tasks, {config.train.collect.num_rollouts} rollouts each, "
                f"{config.train.num_epochs} epochs, one controller for each of {len(config.seeds)} seeds",
                "curves": f"training seed {config.seeds[0]}",
            },
            metrics=metrics,
            example=example_rollout(pooled),
            glossary={name: describe_line(name) for name in pooled},
        ),
    )
    text = report_text(report)
    print(text)
    document = report_json(report)
    document.pop("example", None)  # large; it stays in the page
    for row in document["rows"]:
        row.pop("completion_seconds", None)
    write_json(config.results / "report.json", document)
    write_text(config.results / "table.txt", text + "\n")
    save_figure(tradeoff_chart(report), config.results / "tradeoff.png")
    write_text(config.runs / "report.html", report_html(report))
    print(f"page: {config.runs / 'report.html'}")


if __name__ == "__main__":
    main(tyro.cli(Config))
