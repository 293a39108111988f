"""`lts report`: make report.html and report.json from what lies in a run's or a sweep's folder, and print the table."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import getdoc
from pathlib import Path

from lts_jax.admission.rules import rule_part
from lts_jax.errors import UserError
from lts_jax.evaluation.evaluate import arm_name
from lts_jax.evaluation.reading_costs import READ_BY
from lts_jax.evaluation.step_effects import KindRow, kind_table
from lts_jax.learning.objective_parts import AdmissionValue, make_objective
from lts_jax.parts import settings_of
from lts_jax.records import Rollout
from lts_jax.reports.report import Background, ReportSettings, build_report, report_json
from lts_jax.reports.run_page import report_html
from lts_jax.reports.sweep_folder import is_sweep, write_sweep_report
from lts_jax.reports.text import report_text
from lts_jax.reports.viewer import typical
from lts_jax.rollouts.store import read_folder
from lts_jax.storage import read_json, read_json_lines, write_document, write_text
from lts_jax.systems.comparison import (
    LEARNED,
    MATCHED,
    POLICIES,
    REFERENCE,
    SINGLE,
    VALUE,
    is_learned,
    own_line,
    policies_of_line,
)
from lts_jax.systems.run_folder import RunFolder, read_parts, read_settings
from lts_jax.systems.task_source import describe_source
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.tasks.almanac.world import HELD_OUT

LINES = {
    LEARNED: "The paper's method: a controller that is trained to admit what others read in runs that succeed.",
    VALUE: "Ours: a controller that admits what has added to the return when it was admitted by chance.",
    SINGLE: "One team alone, without a memory.",
    REFERENCE: "As many teams as the others have, without a memory.",
    MATCHED[0]: "Admit at random, at the rate at which the run's own controller admits.",
    MATCHED[1]: "Admit what nearly repeats no key, with the threshold at which as much is admitted as by it.",
}
"""A line on each of the comparison's own; those of rules are the first of their docstrings."""


@dataclass(frozen=True, slots=True)
class Command:
    """Write the report of a run or of a sweep again from what is stored, and print its table."""

    run: Path = Path("runs/lts")
    """Folder of a run with an evaluation, or of a sweep with results."""
    measure: str | None = None
    """Sweeps only: the measure to rank by; the reward where there is one."""
    reference: str | None = None
    """Sweeps only: the configuration to compare with, such as credit=reinforce; the best one by default."""


def run(command: Command) -> None:
    """Write and print."""
    if is_sweep(command.run):
        print(write_sweep_report(command.run, measure=command.measure, reference=command.reference))
        return
    if command.measure is not None or command.reference is not None:
        raise UserError(f"{command.run}: no sweep; --measure and --reference are for sweeps")
    print(write_report(RunFolder(command.run)))


def write_report(folder: RunFolder) -> str:
    """Build the report from the stored evaluation, write both files, and return the terminal form."""
    settings = read_settings(folder.path, TrainSettings)
    rollouts = stored_evaluation(folder)
    listed = settings.rollout.reading
    families = () if settings.tasks.is_live else HELD_OUT
    report = build_report(
        rollouts,
        ReportSettings(own_listed=listed.include_own, pulled_listed=listed.list_pulled_again, new_families=families),
        Background(
            header=_header(folder, settings),
            metrics=read_json_lines(folder.metrics),
            example=example_rollout(rollouts),
            glossary={name: line for name in rollouts if (line := describe_line(name))},
            kinds=coin_kinds(folder, settings),
        ),
    )
    write_document(folder.report_json, report_json(report))
    write_text(folder.report_html, report_html(report, rollouts))
    return f"{report_text(report).rstrip()}\n\nreport: {folder.report_html}"


def coin_kinds(folder: RunFolder, settings: TrainSettings) -> tuple[KindRow, ...]:
    """What an admission was worth by kind of step, from training rollouts in which chance decided.

    Nothing where training drew from a policy in the making, or on other tasks than the offline world's.
    """
    objective = make_objective(settings.objective)
    is_offline = settings.virtual_time and not settings.tasks.foreign
    if not isinstance(objective, AdmissionValue) or not is_offline or not folder.rollouts.exists():
        return ()
    groups = read_folder(folder.rollouts)
    return kind_table([rollout for group in groups for rollout in group.rollouts], world_seed=settings.world_seed)


def stored_evaluation(folder: RunFolder) -> dict[str, list[Rollout]]:
    """Evaluation rollouts by policy, in the order of the comparison.

    Raises:
        UserError: there is none.
    """
    found = {arm_name(path): path for path in sorted(folder.evaluation.glob("*")) if path.is_dir()}
    order = [*(VALUE if name == LEARNED else name for name in POLICIES), *sorted(filter(is_learned, found))]
    order.sort(key=lambda name: name in MATCHED)  # those that match a rate come after the line whose rate it is
    order = list(dict.fromkeys(order))
    names = [*(name for name in order if name in found), *(name for name in found if name not in order)]
    if not names:
        raise UserError(f"{folder.path}: no evaluation yet; run `lts evaluate --run {folder.path}` first")
    rollouts = {name: [rollout for group in read_folder(found[name]) for rollout in group.rollouts] for name in names}
    for name, group in rollouts.items():
        _check_line(found[name], name, group)
    if REFERENCE not in rollouts:
        raise UserError(f"{folder.evaluation}: the reference {REFERENCE} is missing; run `lts evaluate` again")
    return rollouts


def describe_line(name: str) -> str:
    """What a line of the comparison is, in one line; empty where unknown. Code of your own is not run for it."""
    name, _, reader = name.partition(READ_BY)
    if reader:
        return f"As {name}, but what is read is chosen by {reader}."
    if name.partition("@")[0] in LINES:
        return LINES[name.partition("@")[0]]
    if ":" in name:
        place, _, function = name.partition("(")[0].rpartition(":")
        return f"A rule of your own, the function {function} of {place}."
    try:
        rule = rule_part(name)
    except UserError:
        return ""
    settings = {one.name: one.default for one in settings_of(rule.function, ("encoder",))} | rule.settings
    meaning = (getdoc(rule.function) or "").partition("\n")[0].partition(". ")[0].removesuffix(".").replace("`", "")
    given = ", ".join(f"{key} = {value}" for key, value in settings.items())
    return f"{meaning}{f', with {given}' if given else ''}."


def _check_line(path: Path, name: str, rollouts: Sequence[Rollout]) -> None:
    policies = {rollout.policy for rollout in rollouts}
    expected = policies_of_line(name)
    if len(policies) > 1 or not all(policy.startswith(expected) for policy in policies):
        raise UserError(f"{path}: holds rollouts of {', '.join(sorted(policies))}; expected {expected}")
    if len({(rollout.coordinates.task, rollout.coordinates.rollout) for rollout in rollouts}) != len(rollouts):
        raise UserError(f"{path}: holds a rollout twice")
    counts = Counter(rollout.coordinates.task for rollout in rollouts)
    if len(set(counts.values())) > 1 or len({rollout.coordinates.seed for rollout in rollouts}) > 1:
        raise UserError(f"{path}: its groups are of several evaluations; delete the folder and evaluate again")


def example_rollout(rollouts: Mapping[str, Sequence[Rollout]]) -> Rollout | None:
    """The rollout that is shown first: a typical one of the learned controller if it is there."""
    return typical(rollouts.get(VALUE) or rollouts.get(LEARNED) or next(iter(rollouts.values()), ()))


def _training(folder: RunFolder, settings: TrainSettings) -> str:
    given = folder.path / "controller.json"
    if given.exists():
        return f"elsewhere, in {read_json(given, dict).get('run', 'a folder that is not named')}"
    if not folder.metrics.exists():
        return "none"
    return f"{settings.num_tasks} tasks, {settings.collect.num_rollouts} rollouts each, {settings.num_epochs} epochs"


def _objective(folder: RunFolder, settings: TrainSettings) -> str:
    if own_line(settings.objective) == VALUE:
        return settings.objective
    credit = read_parts(folder).get("credit", settings.credit)
    return f"{settings.objective}, credit {credit}"


def _workers(folder: RunFolder) -> dict[str, str]:
    """What became of the rollouts that workers ran; nothing where this process ran all of them."""
    path = folder.path / "workers.json"
    return {"workers": str(read_json(path, dict).get("told", ""))} if path.exists() else {}


def _header(folder: RunFolder, settings: TrainSettings) -> dict[str, str]:
    document = read_json(folder.config, dict)
    model = settings.model
    return {
        "run": folder.path.name,
        "made": str(document.get("created", "")),
        "model": f"{model.name}{' (simulated language model)' if model.is_simulated else ''}",
        "world": describe_source(settings.tasks, settings.world_seed),
        "tools": settings.tools.kind,
        "training": _training(folder, settings),
        "objective": _objective(folder, settings),
        **_workers(folder),
        "versions": ", ".join(f"{name} {number}" for name, number in dict(document.get("versions") or {}).items()),
    }
