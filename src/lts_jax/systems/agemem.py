"""AgeMem (arXiv 2601.01885) on the desk: one policy with six memory tools, trained over three stages by one reward.

Wiring only: the world, the reward and the scheme stand in `environments.desk` and `credit.broadcast`. The reward is the
release's, or its task term alone; its statistics are of the whole rollout, or, as in the release, of what is left in
the context after it was cleared.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from lts_jax.actions import ACTIONS, ADD, ANSWER, DELETE, FILTER, NOOP, RETRIEVE, SUMMARISE, UPDATE
from lts_jax.environments.desk import rules
from lts_jax.environments.desk.settings import NUM_VALUES
from lts_jax.lab.arms import Arm, Phase
from lts_jax.systems.study import Study

TASK_ALONE: Mapping[str, float] = MappingProxyType(
    {
        "world.task_weight": 1.0,
        "world.tools_weight": 0.0,
        "world.context_weight": 0.0,
        "world.memory_weight": 0.0,
        "world.penalty_weight": 0.0,
        "world.from_last_context": 0.0,
    }
)
"""The answer's score, and nothing else."""

AS_RELEASED: Mapping[str, float] = MappingProxyType(
    {
        "world.task_weight": 0.5,
        "world.tools_weight": 0.2,
        "world.context_weight": 0.15,
        "world.memory_weight": 0.15,
        "world.penalty_weight": 1.0,
        "world.from_last_context": 0.0,
    }
)
"""The released reward, counted over the whole rollout."""

BROADCAST, OWN_STAGE = "stepwise_broadcast", "stepwise_broadcast(broadcast=false)"


def agemem() -> Study:
    """Arms: the answer's score handed to every step; the same to the last stage alone; the released reward, twice."""
    last_context = {**AS_RELEASED, "world.from_last_context": 1.0}
    return Study(
        name="agemem",
        title="AgeMem: a memory that one policy edits, paid at the end",
        environment="desk",
        arms=(
            Arm("broadcast", "the score of the answer, to every step", _phases(BROADCAST, TASK_ALONE)),
            Arm("own stage", "the score, to the steps of the last stage alone", _phases(OWN_STAGE, TASK_ALONE)),
            Arm("released reward", "four parts and penalties, to every step", _phases(BROADCAST, AS_RELEASED)),
            Arm("released statistics", "the same, counted after the clearing", _phases(BROADCAST, last_context)),
        ),
        rules={
            "never store": rules.never_store,
            "add everything": rules.add_all,
            "add in the first stage": rules.add_first_stage,
            "newest wins": rules.newest_wins,
            "add, update, skip": rules.add_update_skip,
            "oracle": rules.oracle,
        },
        blind_rules=("never store", "add everything", "add in the first stage"),
        oracle="oracle",
        chance=1.0 / NUM_VALUES,
        num_updates=120,
        shown={
            "additions": "adds",
            "updates": "updates",
            "deletions": "deletes",
            "retrievals": "retrieves",
            "summaries": "summaries",
            "filters": "filters",
            "context_fraction": "context filled",
        },
        rates=_rates,
    )


def _phases(credit: str, world: Mapping[str, float]) -> tuple[Phase, ...]:
    """First much entropy, so that nothing is given up before it could pay; then little. Ours, the same for all arms."""
    first = {"learning.learning_rate": 0.02, "learning.entropy_weight": 0.02}
    then = {"learning.learning_rate": 0.015, "learning.entropy_weight": 0.002}
    return tuple(Phase(credit, {**world, **numbers}) for numbers in (first, then))


def _rates(measures: Mapping[str, np.ndarray]) -> np.ndarray:
    """f64[seeds, 1, A] how many of a rollout's actions were which."""
    counted = {
        ADD: measures["additions"] + measures["refused"],
        UPDATE: measures["updates"],
        DELETE: measures["deletions"],
        RETRIEVE: measures["retrievals"],
        SUMMARISE: measures["summaries"],
        FILTER: measures["filters"],
        ANSWER: measures["answered"],
    }
    odds_sa = np.zeros((len(measures["additions"]), len(ACTIONS)))
    for action, number_s in counted.items():
        odds_sa[:, action] = number_s
    odds_sa[:, NOOP] = measures["runtime_seconds"] - sum(counted.values())
    return odds_sa[:, None]
