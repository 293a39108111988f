"""Two compiled functions in a training run: `decide`, once a key bucket at most, and `update`, once."""

from dataclasses import replace

from lts_jax.bridge import learned
from lts_jax.bridge.decide import BatchedDecider
from lts_jax.credit.schemes import scheme
from lts_jax.learning.settings import LearningSettings
from lts_jax.rollouts.collect import CollectSettings
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems import lts
from lts_jax.systems.run_folder import open_run
from lts_jax.systems.run_parts import Brought, make_parts
from lts_jax.teams.settings import TeamSettings

SETTINGS = lts.TrainSettings(
    num_tasks=4,
    num_epochs=1,
    tasks_per_update=2,
    rollout=RolloutSettings(num_teams=3, team=TeamSettings(max_rounds=8)),
    collect=CollectSettings(num_rollouts=2),
    learning=LearningSettings(learning_rate=0.05),
    controller="set_transformer(width=8, num_layers=1, num_heads=1)",
)


def test_a_training_run_compiles_few_programs_whatever_it_meets(tmp_path, monkeypatch):
    decisions_traced, packed_traced, credits_traced, deciders = [], [], [], []

    inner = make_parts(SETTINGS).network

    def counted_network():

        def decision_logits(params, query, key, num_keys, step):
            decisions_traced.append(key.shape)
            return inner.decision_logits(params, query, key, num_keys, step)

        def packed_logits(params, context):
            packed_traced.append(context.step_gktsd.shape)
            return inner.packed_logits(params, context)

        return replace(inner, decision_logits=decision_logits, packed_logits=packed_logits)

    def credit(trajectory):
        if trajectory.action_gkt.shape[-1] == SETTINGS.padding.max_steps:  # not the small groups that try it out first
            credits_traced.append(trajectory.action_gkt.shape)
        return scheme("usage_aware")(trajectory)

    class Kept(BatchedDecider):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            deciders.append(self)

    monkeypatch.setattr(learned, "BatchedDecider", Kept)
    parts = replace(make_parts(SETTINGS, Brought(credit=credit)), network=counted_network())
    state = lts.train_controller(open_run(tmp_path / "run", SETTINGS), parts)

    assert int(state.num_updates) == 2
    [decider] = deciders
    buckets = decider.settings.key_buckets
    assert decider.counts.num_batches > len(buckets)  # or counting would show nothing
    traced_buckets = [shape[-2] for shape in decisions_traced]
    assert len(traced_buckets) >= 2  # short and long listings were met
    assert sorted(traced_buckets) == sorted(set(traced_buckets) & set(buckets))
    assert len(credits_traced) == len(packed_traced) == 1
