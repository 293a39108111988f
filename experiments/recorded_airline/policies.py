"""The policies that are compared, and replays under them."""

from collections.abc import Sequence

from config import Config

from lts_jax.admission.policy import Admission, AdmissionPolicy, AdmissionRequest
from lts_jax.admission.rules import RulePolicy, recency, similarity
from lts_jax.bridge.decide import BatchedDecider, DeciderSettings
from lts_jax.bridge.learned import LearnedPolicy
from lts_jax.llm.chat import Ask
from lts_jax.logs.importers import RecordedTask
from lts_jax.logs.replay_groups import replay_groups
from lts_jax.memory.encoded_texts import EncodedTexts
from lts_jax.models.policy_network import Params, PolicyNetwork
from lts_jax.records import Rollout
from lts_jax.rollouts.collect import CollectSettings, Iteration

SELECTION, EVALUATION = -2, -1  # iteration numbers: their latencies are apart from those of every training iteration


def handwritten(config: Config) -> RulePolicy:
    """What someone who knows the tools would write: each read-only call once."""

    async def choose(request: AdmissionRequest, ask: Ask) -> Admission:
        action = request.step.action
        is_new = not any(key.startswith(action[:100]) for key in request.keys)
        admit = is_new and config.replay.is_read_only(action.partition("(")[0])
        return Admission(int(admit), 0.0, float(admit))

    return RulePolicy("handwritten", choose)


def recencies(config: Config) -> list[RulePolicy]:
    """The recency rule at every window of the grid."""
    return [recency(window) for window in config.recency_windows]


def similarities(config: Config, texts: EncodedTexts) -> list[RulePolicy]:
    """The similarity rule at every threshold of the grid."""
    return [similarity(texts, threshold) for threshold in config.similarity_thresholds]


def learned(network: PolicyNetwork, params: Params, texts: EncodedTexts) -> LearnedPolicy:
    """A trained controller that takes the likelier action, as the paper does at evaluation."""
    return LearnedPolicy(BatchedDecider(network, params, texts, DeciderSettings(greedy=True)), "learned")


def replays(
    config: Config, tasks: Sequence[RecordedTask], policy: AdmissionPolicy, seeds: Sequence[int], iteration: int
) -> list[Rollout]:
    """Replays of the tasks under a policy, each seed with latencies of its own."""
    counter = policy.decider if isinstance(policy, LearnedPolicy) else None
    collecting = CollectSettings(config.num_evaluation_rollouts)
    groups = [
        group
        for seed in seeds
        for group in replay_groups(tasks, policy, config.replay, collecting, Iteration(seed, iteration, counter))
    ]
    return [rollout for group in groups for rollout in group.rollouts]


def admission_fraction(rollouts: Sequence[Rollout]) -> float:
    """Admitted steps over decided ones."""
    return sum(len(one.entries) for one in rollouts) / sum(len(one.decisions) for one in rollouts)
