"""What the replay's own choices do to its figures: staleness rules and tool times, on all tasks, without learning."""

from dataclasses import replace

import tyro
from config import Config
from run import handwritten, none_if_nan

from lts_jax.controller.rules import admit_all, admit_none
from lts_jax.records import Rollout
from lts_jax.rollouts.importers import RecordedTask, import_tau_bench
from lts_jax.rollouts.replay_groups import replay_groups
from lts_jax.rollouts.replay_measures import replay_measures
from lts_jax.rollouts.replay_settings import ReplaySettings
from lts_jax.storage import write_json

SHOWN = ("admission_fraction", "pulls", "wrong_value_fraction", "reduction_percent", "team_reduction_percent")


def main(config: Config) -> None:
    """Replay all tasks under each variant; print a table and write variants.json."""
    tasks = import_tau_bench(config.runs).tasks
    default = config.replay
    variants = {"default": default}
    variants |= {f"staleness={rule}": replace(default, staleness=rule) for rule in ("none", "team")}
    variants |= {f"tool_seconds={seconds:g}": replace(default, tool_seconds=seconds) for seconds in (0.5, 3.0, 10.0)}
    variants["keys_cost_tokens=False"] = replace(default, keys_cost_tokens=False)
    variants["pull_skips_model_call=True"] = replace(default, pull_skips_model_call=True)
    variants["own_entries=True"] = replace(default, own_entries=True)
    rows = []
    print(f"{'variant':28} {'policy':12} " + " ".join(f"{name:>22}" for name in SHOWN))
    for name, settings in variants.items():
        baseline = replays(config, tasks, admit_none(), settings)
        for policy in (admit_all(), handwritten(config)):
            measured = replay_measures(replays(config, tasks, policy, settings), baseline)
            row = {"variant": name, "policy": policy.name} | {key: none_if_nan(measured[key]) for key in SHOWN}
            rows.append(row)
            print(f"{name:28} {policy.name:12} " + " ".join(f"{row[key]!s:>22}" for key in SHOWN))
    write_json(config.results / "variants.json", rows)


def replays(config: Config, tasks: tuple[RecordedTask, ...], policy, settings: ReplaySettings) -> list[Rollout]:
    """Replay all tasks, each seed with its own latencies."""
    groups = [
        group
        for seed in config.seeds
        for group in replay_groups(tasks, policy, settings, num_rollouts=2, seed=seed, iteration=-1)
    ]
    return [rollout for group in groups for rollout in group.rollouts]


if __name__ == "__main__":
    main(tyro.cli(Config))
