"""The paper's tables row by row, on any endpoint within a budget, or whole on the simulated model.

python experiments/paper_tables/run.py                                   # names of the rows
python experiments/paper_tables/run.py --row table2_gaia_judge --model NAME --endpoint URL --search URL
python experiments/paper_tables/run.py --row all --simulated             # no endpoint, no key, no cost
"""

import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import tyro

sys.path.insert(0, str(Path(__file__).parent))

from config import Config, chosen_rows, comparison_settings, model_settings, setup_settings, training_settings
from results import result_of, table_text
from rows import ROWS, Objective, Row

from lts_jax.commands.confirm import confirm
from lts_jax.commands.evaluate import evaluate_lines
from lts_jax.commands.train import train_in
from lts_jax.errors import UserError
from lts_jax.live.task_tools import check_search
from lts_jax.llm.budget import BudgetSettings
from lts_jax.storage import read_json, write_json, write_text
from lts_jax.systems.comparison import LEARNED, TrainedPolicy, held_out_tasks, train_tasks
from lts_jax.systems.estimate import Estimate, estimate, estimate_text, estimate_training, stored_rollouts
from lts_jax.systems.lts import learned_policy, trained_params
from lts_jax.systems.run_folder import RunFolder, open_run, working_in
from lts_jax.systems.task_source import refuse_leak
from lts_jax.systems.world import make_model


def main(config: Config) -> None:
    """Estimate, ask, train what rows need, run what is not stored yet, write the table."""
    if not config.row:
        print("\n".join(["rows, by --row (or a table's name, or all):", *ROWS]))
        return
    rows = chosen_rows(config.row)
    check(config, rows)
    left = estimate_rows(config, rows)
    confirm(
        f"{len(rows)} rows, model {config.model_name}.\n{estimate_text(left)}",
        yes=config.yes or config.simulated or not any(line.num_left for line in left.lines),
    )
    for objective in objectives(rows):
        train(config, objective)
    finished: dict[str, Row] = {}
    try:
        for setup in setups(rows):
            run_setup(config, setup)
            finished |= {name: row for name, row in rows.items() if row in setup}
    finally:  # out of budget, or interrupted: what is whole is told
        if finished:
            write_results(config, finished)


def check(config: Config, rows: dict[str, Row]) -> None:
    """See that tasks can be loaded, that none is trained on and tested on, and that the model and a search are there.

    Raises:
        UserError: what is missing, in one line.
    """
    make_model(model_settings(config, config.budget))
    for setup in setups(rows):
        settings = setup_settings(config, setup[0], config.budget)
        tasks = held_out_tasks(settings, comparison_settings(config, ()))
        if settings.tasks.is_live:
            check_search(settings.tools)
        if any(row.policy == LEARNED for row in setup):
            refuse_leak(train_tasks(training_settings(config, setup[0].objective, config.budget)), tasks)


def setups(rows: dict[str, Row]) -> list[list[Row]]:
    """Rows that share a run folder, together."""
    grouped: dict[str, list[Row]] = {}
    for row in rows.values():
        grouped.setdefault(row.setup, []).append(row)
    return list(grouped.values())


def objectives(rows: dict[str, Row]) -> list[Objective]:
    """Objectives whose controllers the rows need."""
    return list(dict.fromkeys(row.objective for row in rows.values() if row.policy == LEARNED))


def estimate_rows(config: Config, rows: dict[str, Row]) -> Estimate:
    """What is left of these rows and of the training they need."""
    lines = []
    for objective in objectives(rows):
        settings = training_settings(config, objective, config.budget)
        if not settings.model.is_simulated or config.simulated:
            line = estimate_training(settings, training_folder(config, objective))
            lines.append(replace(line, policy=f"training ({objective})"))
    for setup in setups(rows):
        settings = setup_settings(config, setup[0], config.budget)
        compared = comparison_settings(config, tuple(row.policy for row in setup))
        for line in estimate(settings, compared, setup_folder(config, setup[0])).lines:
            lines.append(replace(line, policy=f"{setup[0].setup} {line.policy}"))
    return Estimate(tuple(lines), config.price, config.num_in_flight)


def train(config: Config, objective: Objective) -> None:
    """Train the controller of an objective, or go on with it."""
    folder = training_folder(config, objective)
    settings = training_settings(config, objective, budget_left(config, folder))
    open_run(folder.path, settings)
    with working_in(folder):
        train_in(folder, settings)


def run_setup(config: Config, setup: Sequence[Row]) -> None:
    """Run the reference and the rows' policies of one setup."""
    folder = setup_folder(config, setup[0])
    settings = setup_settings(config, setup[0], budget_left(config, folder))
    compared = comparison_settings(config, tuple(row.policy for row in setup))
    open_run(folder.path, settings)
    policy = None
    if LEARNED in compared.policies:
        trained = training_folder(config, setup[0].objective)
        taught = training_settings(config, setup[0].objective, config.budget)
        learned = learned_policy(settings, trained_params(trained, taught))
        policy = {LEARNED: TrainedPolicy(learned, train_tasks(taught))}
    print(setup[0].setup, flush=True)
    with working_in(folder):
        evaluate_lines(folder, settings, compared, policy)


def training_folder(config: Config, objective: Objective) -> RunFolder:
    """Run folder of a controller."""
    where = "" if config.simulated or config.train_on == "assistantbench" else "-offline"
    return RunFolder(config.folder / f"training-{objective}{where}")


def setup_folder(config: Config, row: Row) -> RunFolder:
    """Run folder of what rows of one setup share."""
    return RunFolder(config.folder / row.setup)


def budget_left(config: Config, folder: RunFolder) -> BudgetSettings:
    """The budget without what all other folders of this model have cost.

    What `folder` holds is counted when it is read. Calls that folders share were paid once and are counted in each.
    """
    calls = [
        call
        for other in sorted(config.folder.glob("*/config.json"))
        if other.parent != folder.path
        for line in ("rollouts", *(f"evaluation/{path.name}" for path in (other.parent / "evaluation").glob("*")))
        for rollout in stored_rollouts(other.parent / line)
        for call in rollout.calls
    ]
    spent = {
        "max_tokens": sum(call.prompt_tokens + call.completion_tokens for call in calls),
        "max_usd": sum(call.usd for call in calls),
        "max_seconds": sum(call.seconds for call in calls),
    }
    limits = {item.name: getattr(config.budget, item.name) for item in fields(BudgetSettings)}
    return BudgetSettings(**{name: limit and max(0, limit - spent[name]) for name, limit in limits.items()})


def write_results(config: Config, rows: dict[str, Row]) -> None:
    """Add these rows to the model's results, and print all there are."""
    path = config.results / f"{config.folder.name}.json"
    document = read_json(path) if path.exists() else {"model": config.model_name, "rows": {}}
    for name, row in rows.items():
        document["rows"][name] = result_of(row, setup_folder(config, row).evaluation)
    document["rows"] = {name: document["rows"][name] for name in ROWS if name in document["rows"]}
    text = table_text(document)
    write_json(path, document)
    write_text(path.with_suffix(".txt"), text + "\n")
    print(text)


if __name__ == "__main__":
    try:
        main(tyro.cli(Config))
    except UserError as error:
        sys.exit(f"paper_tables: {error}")
    except KeyboardInterrupt:
        sys.exit("paper_tables: interrupted; the same command goes on where it stopped")
