"""A nursery of collections that are killed: for each line on standard input, a fork of this process collects once.

Line: base URL and folder. Answers: the process id; what the collection ended with, if it ended; the exit status.
The fork spares each life the imports, so that thirty of them take seconds.
"""

import json
import os
import sys

from lts_jax.admission.rules import admit_all
from lts_jax.llm.budget import Budget, Price
from lts_jax.llm.simulated import SimulatedModel
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.rollouts.rollout import RolloutParts
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.world import ModelSettings, almanac_tasks, almanac_tools, make_model
from lts_jax.teams.settings import TeamSettings

PRICE = Price(usd_per_million_prompt_tokens=2.0, usd_per_million_completion_tokens=8.0)
COLLECT = CollectSettings(num_rollouts=4, num_in_flight=16)
SETTINGS = RolloutSettings(num_teams=2, team=TeamSettings(max_rounds=6))
NUM_TASKS = 6


def collect(model, budget, folder, **kwargs):
    """Twenty-four rollouts of two teams, sixteen at a time."""
    parts = RolloutParts(model, almanac_tools(0), admit_all(), budget=budget, price=PRICE, **kwargs)
    tasks = almanac_tasks(0, "train", NUM_TASKS)
    return collect_groups(tasks, parts, SETTINGS, COLLECT, Iteration(0, 0), folder)


def live(url: str, folder: str) -> None:
    """One life."""
    from pathlib import Path

    budget = Budget()
    model = make_model(ModelSettings(name="simulated", base_url=url, record_folder=f"{folder}/calls"))
    collect(model, budget, Path(folder) / "rollouts")
    print(json.dumps({"tokens": budget.tokens, "usd": budget.usd, "seconds": budget.seconds}), flush=True)


if __name__ == "__main__":
    import pyarrow.parquet  # noqa: F401  not again in every life

    collect(SimulatedModel(), Budget(), None)  # fills the caches of the offline world

    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                live(*line.split())
            finally:
                os._exit(1 if sys.exc_info()[0] else 0)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
