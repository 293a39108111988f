"""What the replay's own choices do to its figures: staleness rules and tool times, on all tasks, without learning."""

from dataclasses import replace

import tyro
from config import Config
from policies import EVALUATION, handwritten, replays
from table import rounded

from lts_jax.admission.rules import admit_all, admit_none
from lts_jax.logs.importers import import_tau_bench
from lts_jax.logs.replay_measures import replay_measures
from lts_jax.storage import write_json

SHOWN = ("admission_fraction", "pulls", "wrong_value_fraction", "reduction_percent", "team_reduction_percent")


def main(config: Config) -> None:
    """Replay all tasks under each variant, two latency draws a seed; print a table and write variants.json."""
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
        variant = replace(config, replay=settings, num_evaluation_rollouts=2)
        baseline = replays(variant, tasks, admit_none(), config.seeds, EVALUATION)
        for policy in (admit_all(), handwritten(variant)):
            rollouts = replays(variant, tasks, policy, config.seeds, EVALUATION)
            measured = replay_measures(rollouts, baseline)
            row = {"variant": name, "policy": policy.name} | {key: rounded(measured[key]) for key in SHOWN}
            rows.append(row)
            print(f"{name:28} {policy.name:12} " + " ".join(f"{row[key]!s:>22}" for key in SHOWN))
    write_json(config.results / "variants.json", rows)


if __name__ == "__main__":
    main(tyro.cli(Config))
