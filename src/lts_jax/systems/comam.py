"""CoMAM (arXiv 2603.12631) on the pipeline: extraction, profile and retrieval agents, each with its own reward.

Wiring only: the world and the local rewards stand in `environments.pipeline`, the weights in `credit.comam`. An agent
takes the same number of updates in every arm; where agents are trained one by one, that takes three times the rollouts.
"""

from collections.abc import Mapping

import numpy as np

from lts_jax.actions import ACTIONS, ADD, DELETE, NOOP, RETRIEVE, UPDATE
from lts_jax.environments.desk.settings import NUM_VALUES
from lts_jax.environments.pipeline import rules
from lts_jax.environments.pipeline.settings import (
    AGENTS,
    BY_RULE,
    EXTRACTION,
    FROZEN,
    LEARNS,
    PROFILE,
    RETRIEVAL,
    PipelineShape,
)
from lts_jax.lab.arms import Arm, Phase
from lts_jax.systems.study import Study

LEARNING = {"learning.learning_rate": 0.02, "learning.entropy_weight": 0.003}
"""Ours, the same for all arms."""


def comam() -> Study:
    """Arms: together with adaptive, fixed and no weights of the common reward; each alone; one after another."""
    names = ("adaptive", "fixed", "global_only", "independent")
    adaptive, fixed, shared, independent = (f'comam(weighting="{name}")' for name in names)
    alone = tuple(Phase(independent, _who({agent: LEARNS}, BY_RULE)) for agent in AGENTS)
    in_order = tuple(
        Phase(shared, _who(dict.fromkeys(AGENTS[:number], FROZEN) | {agent: LEARNS}, BY_RULE))
        for number, agent in enumerate(AGENTS)
    )
    together = _who({}, LEARNS)
    return Study(
        name="comam",
        title="CoMAM: three agents of one memory, trained together or alone",
        environment="pipeline",
        arms=(
            Arm("joint, adaptive", "own reward, and a share of the common one by NDCG", (Phase(adaptive, together),)),
            Arm("joint, fixed", "own reward, and a third of the common one", (Phase(fixed, together),)),
            Arm("joint, global only", "the common reward alone", (Phase(shared, together),)),
            Arm(
                "joint, as long",
                "the first arm with the rollouts of the next",
                (Phase(adaptive, together),) * 3,
            ),
            Arm("independent", "each alone on its own reward, the others by rule", alone),
            Arm("sequential", "one after another on the common reward, the earlier ones frozen", in_order),
        ),
        rules={
            "never store": rules.never_store,
            "add everything": rules.add_all,
            "add what is no small talk": rules.add_facts,
            "newest wins": rules.newest_wins,
            "add, update, skip": rules.add_update_skip,
            "oracle": rules.oracle,
        },
        blind_rules=("never store", "add everything"),
        oracle="oracle",
        chance=1.0 / NUM_VALUES,
        num_updates=160,
        shown={
            "coverage": "coverage",
            "soundness": "soundness",
            "precision": "precision",
            "additions": "adds",
            "updates": "updates",
            "deletions": "deletes",
            "entries": "entries",
        },
        rates=_rates,
    )


def _who(acts: Mapping[str, float], otherwise: float) -> dict[str, float]:
    """How every agent acts, and how those learn that do."""
    return LEARNING | {f"world.{agent}_acts": acts.get(agent, otherwise) for agent in AGENTS}


def _rates(measures: Mapping[str, np.ndarray]) -> np.ndarray:
    """f64[seeds, K, A] how many of an agent's actions were which."""
    steps = PipelineShape().steps_of_agents
    odds_ska = np.zeros((len(measures["additions"]), len(AGENTS), len(ACTIONS)))
    odds_ska[:, EXTRACTION, ADD] = measures["additions"] + measures["refused"]
    odds_ska[:, PROFILE, UPDATE] = measures["updates"]
    odds_ska[:, PROFILE, DELETE] = measures["deletions"]
    odds_ska[:, RETRIEVAL, RETRIEVE] = steps[RETRIEVAL]
    odds_ska[:, :, NOOP] = np.asarray(steps) - odds_ska.sum(axis=-1)
    return odds_ska
