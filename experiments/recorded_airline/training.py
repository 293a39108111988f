"""Training of a controller on replays, with averaged parameters at chosen passes."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from config import Config, Setting

from lts_jax.bridge.collate import CollateSettings, collate, stack
from lts_jax.bridge.decide import BatchedDecider, DeciderSettings
from lts_jax.bridge.learned import LearnedPolicy
from lts_jax.credit.schemes import bind, scheme
from lts_jax.learning.state import init_state
from lts_jax.learning.update import make_update
from lts_jax.logs.importers import RecordedTask
from lts_jax.logs.replay_groups import replay_groups
from lts_jax.memory.encoded_texts import EncodedTexts
from lts_jax.models.policy_network import Params, PolicyNetwork
from lts_jax.rollouts.collect import CollectSettings, Iteration


def train(
    config: Config,
    tasks: Sequence[RecordedTask],
    network: PolicyNetwork,
    texts: EncodedTexts,
    setting: Setting,
    num_passes: Sequence[int],
    seed: int,
) -> dict[int, Params]:
    """Train on replays of the tasks; for every wanted number of passes p, the mean parameters of passes p/2+1 .. p.

    The mean, because single passes swing by tens of percent in what they admit.
    """
    learning = setting.learning(config.learning)
    credit = bind(scheme(setting.credit), first_weight=learning.first_weight)
    update = make_update(network, credit, learning)
    state = init_state(network, learning, jax.random.key(seed))
    decider = BatchedDecider(network, state.params, texts, DeciderSettings(temperature=learning.temperature))
    policy = LearnedPolicy(decider, "learner")
    padding = CollateSettings(
        max_steps=max(len(run.steps) for task in tasks for run in task.runs),
        max_entries=max(sum(len(run.steps) for run in task.runs) for task in tasks),
    )
    kept: list[Params] = []
    for iteration in range(max(num_passes)):
        collecting = CollectSettings(config.num_rollouts)
        groups = replay_groups(tasks, policy, config.replay, collecting, Iteration(seed, iteration, decider))
        for first in range(0, len(groups), config.tasks_per_update):
            batch = stack([collate(group, texts, padding) for group in groups[first : first + config.tasks_per_update]])
            state, metrics, _ = update(state, *batch)
        decider.replace_params(state.params)
        kept.append(state.params)
        if (iteration + 1) % config.passes_per_line == 0:
            rate, saved = (float(metrics[name]) for name in ("memory/admission_fraction", "credit/return_mean"))
            print(
                f"  seed {seed}, {setting.name}, pass {iteration + 1}: stored {rate:.0%}, return {saved:+.3f}",
                flush=True,
            )
    return {number: mean_params(kept[number // 2 : number]) for number in num_passes}


def mean_params(params: Sequence[Params]) -> Params:
    """The mean of parameters, leaf by leaf."""
    return jax.tree.map(lambda *leaves: jnp.mean(jnp.stack(leaves), axis=0), *params)
