"""`lts system`: a paper's method as one command, on an environment of arrays, beside every baseline."""

import contextlib
import importlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from lts_jax.errors import UserError
from lts_jax.systems.hybrid_settings import HybridSettings
from lts_jax.systems.knowsr_settings import KnowsrSettings
from lts_jax.systems.ms_settings import MsSettings
from lts_jax.systems.rcr_settings import RcrSettings
from lts_jax.systems.simplemem_settings import SimplememSettings
from lts_jax.systems.srmt_settings import SrmtSettings
from lts_jax.systems.study_settings import StudySettings

if TYPE_CHECKING:
    from lts_jax.systems.study import Study

SYSTEMS = {
    "lts": "LTS, arXiv 2602.05965: parallel teams, a shared bank, learned admission; `lts train` and `lts evaluate`",
    "agemem": "AgeMem, arXiv 2601.01885: one policy that edits its memory, three stages, one reward at the end",
    "comam": "CoMAM, arXiv 2603.12631: extraction, profile and retrieval agents, trained together or alone",
    "hybrid": "memories, a pool of entries, both, a learned switch, symbols: corridors, consensus, simulator",
    "knowsr": "KnowSR, arXiv 2105.11611: learners that teach each other, beside the same learners alone",
    "ms": "Memory Sharing (INMS), arXiv 2404.09982: a pool that agents fill, a retriever that every pair trains",
    "rcr": "RCR-Router, arXiv 2508.04903: workers are shown what fits their role within a budget of tokens",
    "simplemem": "SimpleMem, arXiv 2601.02553: what was read compressed to facts, merged, retrieved by need",
    "srmt": "SRMT, arXiv 2501.13200: agents in a corridor who read each other's recurrent memories, five cores",
}
"""Systems by name; all but the first are modules of `lts_jax.systems` with a function of that name."""

IN_WORDS: tuple[str, ...] = ("hybrid", "knowsr", "ms", "rcr", "simplemem", "srmt")
"""Those of them that are no `Study`, over text or in a world of single steps: their settings are the field of `Command`
of that name, their function does the work."""


SHORT = {"reward": "srmt", "core": "srmt", "env": "knowsr"}
"""Settings that can be given without their system's name, and whose they are."""


@dataclass(frozen=True, slots=True)
class Command:
    """Train a system's arms with many seeds, measure them beside rules, write a page. Run it again to go on."""

    name: tyro.conf.Positional[str | None] = None
    """Which; all are listed if none is named."""
    run: Path | None = None
    """Run folder; runs/NAME if not given."""
    study: Annotated[StudySettings, tyro.conf.arg(name="")] = field(default_factory=StudySettings)
    """How its arms are trained; not for systems over text, and not for lts, whose settings are those of `lts train` and
    `lts evaluate`."""
    hybrid: HybridSettings = field(default_factory=HybridSettings)
    """Of hybrid alone."""
    knowsr: KnowsrSettings = field(default_factory=KnowsrSettings)
    """Of knowsr alone."""
    ms: MsSettings = field(default_factory=MsSettings)
    """Of ms alone."""
    rcr: RcrSettings = field(default_factory=RcrSettings)
    """Of rcr alone."""
    simplemem: SimplememSettings = field(default_factory=SimplememSettings)
    """Of simplemem alone."""
    srmt: SrmtSettings = field(default_factory=SrmtSettings)
    """Of srmt alone."""
    reward: tuple[str, ...] = ()
    """The same as --srmt.reward: sparse, dense, directional, directional_negative, moving_negative."""
    core: tuple[str, ...] = ()
    """The same as --srmt.core: srmt, rmt, attention, empty, gru."""
    env: tuple[str, ...] = ()
    """The same as --knowsr.env: mpe_spread, mpe_tag, bottleneck, ledger."""


def run(command: Command) -> None:
    """List the systems, or run one."""
    if command.name is None:
        width = max(map(len, SYSTEMS))
        print("\n".join(f"{name:<{width}}  {told}" for name, told in SYSTEMS.items()))
        return
    if command.name not in SYSTEMS:
        raise UserError(f"system: expected one of {', '.join(SYSTEMS)}, got {command.name!r}")
    for other in IN_WORDS:
        made_for_it = type(getattr(command, other))()
        if other != command.name and getattr(command, other) != made_for_it:
            raise UserError(f"{command.name}: got settings --{other}.*, which are for {other}")
    short = {}
    for name, system in SHORT.items():
        if given := getattr(command, name):
            if command.name != system:
                raise UserError(f"{command.name}: got settings --{name}, which are for {system}")
            short[name] = given
    own: Any = getattr(command, command.name, None)
    own = replace(own, **short) if short else own
    folder = command.run or Path("runs") / command.name
    if command.name == "lts":
        _lts(command, folder)
        return
    if command.name in IN_WORDS:
        if command.study != StudySettings():
            raise UserError(
                f"{command.name}: its settings are {command.name}.x; got study settings, which are for others"
            )
        _in_words(command.name, own, folder)
        return
    _use_all_cores()
    from lts_jax.reports.study_page import study_html
    from lts_jax.reports.study_text import study_document, study_text
    from lts_jax.storage import write_document, write_text
    from lts_jax.systems.run_folder import open_run, working_in
    from lts_jax.systems.study import check_study, run_study

    study = study_of(command.name)
    check_study(study, command.study)
    run_folder = open_run(folder, command.study, name=command.name)
    with working_in(run_folder):
        found = run_study(study, command.study, run_folder, lambda line: print(line, flush=True))
        document = study_document(study, command.study, found)
        write_document(run_folder.report_json, document)
        write_text(run_folder.report_html, study_html(document))
    print(study_text(document))
    print(f"\nreport: {run_folder.report_html}")


def _in_words(name: str, settings: Any, folder: Path) -> None:
    """Run a system over text: its function takes settings, folder and a line's printer, and gives document and figures.

    The document is that of `reports.tables_page`.
    """
    from lts_jax.reports.tables_page import tables_html, tables_text
    from lts_jax.storage import write_document, write_text
    from lts_jax.systems.run_folder import open_run, working_in

    run_folder = open_run(folder, settings, name=name)
    with working_in(run_folder):
        work = getattr(importlib.import_module(f"lts_jax.systems.{name}"), name)
        document, figures = work(settings, run_folder, lambda line: print(line, flush=True))
        write_document(run_folder.report_json, document)
        write_text(run_folder.report_html, tables_html(document, figures))
    print(tables_text(document))
    print(f"\nreport: {run_folder.report_html}")


def study_of(name: str) -> "Study":
    """The arms and rules of a system."""
    made: Study = getattr(importlib.import_module(f"lts_jax.systems.{name}"), name)()
    return made


def _lts(command: Command, folder: Path) -> None:
    """What `lts train` and `lts evaluate` do by default."""
    from lts_jax.commands import evaluate, train

    if command.study != StudySettings():
        raise UserError("lts: its settings are those of `lts train` and `lts evaluate`; use these two")
    train.run(train.Command(run=folder))
    evaluate.run(evaluate.Command(run=folder))


def _use_all_cores() -> None:
    """A device for each core, where there is no accelerator: blocks of seeds are divided over devices."""
    import os

    import jax

    with contextlib.suppress(RuntimeError):  # somebody in this process has counted them already
        jax.config.update("jax_num_cpu_devices", max(1, min(os.cpu_count() or 1, 4)))
