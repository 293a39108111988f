"""Learning to Share in JAX: a shared memory bank for parallel agent teams, and its admission controller.

`import lts_jax as lts` is the front door; each name is imported when it is first used. Calls: `train`, `evaluate`,
`rollout`, `simulate`, `sweep`, `report`, `compare`, `load`, `tables`. Records: `Task`, `Rollout`, `TrainSettings`,
`LabSettings`, and further settings. What is looked at: `read_rollouts`, `measure`, `read_sweep`, `build_report` and
charts of it; credit beside truth: `coin`, `sample_group`, `credit_samples`, `credit_fidelity`, `check_credit`, `rank`.
What a user implements: `ChatModel`, `Encoder`, `AdmissionPolicy`, `PolicyNetwork`, `ToolKit`, and functions of a
`Trajectory` (credit), of an `AdmissionRequest` (rules), or of a task and `OpenPorts` (teams).
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

_PLACES = {
    **dict.fromkeys(
        ("train", "evaluate", "rollout", "simulate", "sweep", "report", "compare", "load", "Run"), "lts_jax.api"
    ),
    "tables": "lts_jax.evaluation.tables",
    "Task": "lts_jax.records",
    "Rollout": "lts_jax.records",
    "TrainSettings": "lts_jax.systems.train_settings",
    "LabSettings": "lts_jax.lab.settings",
    "LearningSettings": "lts_jax.learning.settings",
    "StudySettings": "lts_jax.systems.study_settings",
    "UserError": "lts_jax.errors",
    "almanac_tasks": "lts_jax.systems.world",
    **dict.fromkeys(("read_rollouts", "write_rollouts"), "lts_jax.rollouts.store"),
    "measure": "lts_jax.evaluation.measures",
    **dict.fromkeys(("build_report", "headline"), "lts_jax.reports.report"),
    "tradeoff_chart": "lts_jax.reports.tradeoff",
    "completion_chart": "lts_jax.reports.run_page",
    "read_sweep": "lts_jax.reports.sweep_folder",
    "rank": "lts_jax.evaluation.ranking",
    **dict.fromkeys(("level_plot", "difference_plot"), "lts_jax.reports.sweep_page"),
    "name_colors": "lts_jax.reports.palette",
    **dict.fromkeys(("mean_interval", "improvement_interval"), "lts_jax.evaluation.statistics"),
    **dict.fromkeys(("train_arms", "controller_of"), "lts_jax.systems.study"),
    "coin": "lts_jax.environments.policies",
    "ReplaySettings": "lts_jax.environments.replays",
    **dict.fromkeys(("sample_group", "credit_samples", "SampleSettings"), "lts_jax.lab.credit_samples"),
    **dict.fromkeys(("credit_fidelity", "within_rollout_fidelity"), "lts_jax.evaluation.fidelity"),
    "Trajectory": "lts_jax.trajectory",
    "CreditFn": "lts_jax.credit.contract",
    "per_decision": "lts_jax.credit.contract",
    **dict.fromkeys(("episode_return", "mean_runtime"), "lts_jax.credit.returns"),
    "check_credit": "lts_jax.credit.check",
    "ChatModel": "lts_jax.llm.chat",
    "Completion": "lts_jax.llm.chat",
    "Encoder": "lts_jax.memory.encoders",
    "AdmissionPolicy": "lts_jax.admission.policy",
    "AdmissionRequest": "lts_jax.admission.policy",
    "Admission": "lts_jax.admission.policy",
    "PolicyNetwork": "lts_jax.models.policy_network",
    "Tracker": "lts_jax.adapters.tracking.tracker",
    "ToolKit": "lts_jax.teams.ports",
    "UseTool": "lts_jax.teams.ports",
    "TeamPorts": "lts_jax.teams.ports",
    "OpenPorts": "lts_jax.teams.own_team",
    "Environment": "lts_jax.environments.contract",
}

__all__ = ["__version__", *_PLACES]  # noqa: PLE0604, the names are keys


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'lts_jax' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
