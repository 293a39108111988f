"""The credit leaderboard: every scheme trained on the same terms in the simulator, and judged by the truth.

    python experiments/credit_leaderboard/run.py            # all schemes, 20 seeds, two settings of the cues
    python experiments/credit_leaderboard/run.py --quick    # two schemes, small

Each scheme's sparsity weight is chosen on selection seeds and reported on fresh ones, which share their tasks and
random numbers between schemes. Prints and stores tables, and draws the figure. A finished scheme is kept in a file of
its own, so that an interrupted study goes on where it stopped.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from config import WORLDS, Config
from drawn import leaderboard_png
from judged import OwnPolicies
from parts import coin_of, finite, part_of, value_part_of
from tables import fidelity_table, ranking_table, rankings, readme_table
from trained import rule_rows

from lts_jax.environments.replays import ReplaySettings
from lts_jax.lab.credit_samples import SampleSettings
from lts_jax.reports.report import json_plain
from lts_jax.storage import write_json, write_text


def quick(config: Config) -> Config:
    """The same study, too small to say anything."""
    return replace(
        config,
        schemes=("group_relative", "usage_aware"),
        sparsity_weights=(0.0,),
        larger_weights=(0.3,),
        values=(("admission_value", 3),),
        runtime_weights=(0.2,),
        num_selection_seeds=1,
        num_seeds=2,
        num_iterations=3,
        num_evaluation_tasks=8,
        judging=ReplaySettings(4, 1, 2, 1),
        coin=SampleSettings(num_tasks=6, num_futures=2, max_future_places=2, tasks_per_call=6),
        own=SampleSettings(num_tasks=3, tasks_per_call=3),
        num_own_seeds=2,
    )


def main(config: Config) -> None:
    """Train, judge, rank, store and draw."""
    coin, own = coin_of(config), OwnPolicies(config)
    parts = {scheme: part_of(scheme, config, own) for scheme in config.schemes}
    parts |= {name: value_part_of(name, num_iterations, config) for name, num_iterations in config.values}
    rows = [row for part in parts.values() for row in part["rows"]]
    rows += rule_rows(rows, config)
    fidelity = coin["fidelity"] + [one for part in parts.values() for one in part["own"]]
    ranked = rankings(rows)
    text = "\n\n".join(
        [
            *(ranking_table(ranked[world], rows, world, config.runtime_price) for world in WORLDS),
            fidelity_table(fidelity, coin["told"]),
        ]
    )
    print(text)
    short = readme_table(ranked[next(iter(WORLDS))], rows, next(iter(WORLDS)), fidelity, config.runtime_price)
    write_text(config.results / "tables.txt", text + "\n\n" + short + "\n")
    write_json(config.results / "rows.json", finite(rows))
    write_json(config.results / "selection.json", [row for part in parts.values() for row in part["selection"]])
    write_json(config.results / "fidelity.json", finite({"told": coin["told"], "fidelity": fidelity}))
    write_json(config.results / "ranking.json", json_plain(ranked))
    learned = (*config.schemes, *(name for name, _ in config.values))
    leaderboard_png(ranked, rows, fidelity, learned, config.results / "leaderboard.png")


def configured() -> Config:
    """The settings of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="two schemes, tiny runs, no findings; mostly compiling",
    )
    parser.add_argument("--seeds", type=int, help="reported runs of each scheme")
    parser.add_argument("--schemes", nargs="+", help="only these")
    parser.add_argument("--parts", type=Path, help="where finished schemes are kept")
    parser.add_argument("--results", type=Path, help="where tables and the figure go")
    given = parser.parse_args()
    config = quick(Config()) if given.quick else Config()
    changes: dict[str, Any] = {"num_seeds": given.seeds, "parts": given.parts, "results": given.results}
    if given.schemes:
        changes["schemes"] = tuple(given.schemes)
    if given.quick:
        changes["parts"] = given.parts or Path("runs/credit_leaderboard_quick")
        changes["results"] = given.results or Path("runs/credit_leaderboard_quick/results")
    return replace(config, **{name: value for name, value in changes.items() if value is not None})


if __name__ == "__main__":
    main(configured())
