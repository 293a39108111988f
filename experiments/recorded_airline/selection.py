"""Choosing settings on the last of the training tasks; the held-out tasks take no part."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from config import Config, Setting
from policies import SELECTION, learned, recencies, replays, similarities
from training import train

from lts_jax.admission.policy import AdmissionPolicy
from lts_jax.admission.rules import RulePolicy, admit_none
from lts_jax.logs.importers import RecordedTask
from lts_jax.logs.replay_measures import replay_measures
from lts_jax.memory.encoded_texts import EncodedTexts
from lts_jax.models.policy_network import PolicyNetwork


@dataclass(frozen=True, slots=True)
class Choice:
    """What won on the selection tasks, and every candidate's row."""

    setting: Setting
    num_passes: int
    recency: RulePolicy
    similarity: RulePolicy
    rows: tuple[dict[str, object], ...]


def choose(config: Config, tasks: Sequence[RecordedTask], network: PolicyNetwork, texts: EncodedTexts) -> Choice:
    """Train each point of the grid on the inner tasks; take what saves most team-seconds on the others.

    Controllers and rules meet the same tasks and latencies there. Equal savings go to the first of the grid.
    """
    inner, others = tasks[: config.num_inner_tasks], tasks[config.num_inner_tasks :]
    baseline = replays(config, others, admit_none(), config.seeds, SELECTION)
    rows: list[dict[str, object]] = []

    def saved(policy: AdmissionPolicy, name: str) -> float:
        measures = replay_measures(replays(config, others, policy, config.seeds, SELECTION), baseline)
        row = {name: round(measures[name], 3) for name in ("team_saved_seconds", "saved_seconds", "admission_fraction")}
        rows.append({"candidate": name, **row})
        print(f"  {name}: saved team-seconds {row['team_saved_seconds']:.2f}, stored {row['admission_fraction']:.0%}")
        return measures["team_saved_seconds"]

    recency = max(recencies(config), key=lambda rule: saved(rule, rule.name))
    similarity = max(similarities(config, texts), key=lambda rule: saved(rule, rule.name))
    savings: dict[tuple[Setting, int], float] = {}
    for setting in (Setting(*point) for point in product(config.credits, config.sparsity_weights)):
        params = train(config, inner, network, texts, setting, config.passes, config.seeds[0])
        for number in config.passes:
            policy = learned(network, params[number], texts)
            savings[setting, number] = saved(policy, f"learned({setting.name}, {number} passes)")
    setting, num_passes = max(savings, key=savings.__getitem__)
    return Choice(setting, num_passes, recency, similarity, tuple(rows))
