"""Where model and tools are the made-up world's, nothing is redacted and few rollouts run side by side: equal bits."""

from dataclasses import replace

from lts_jax.admission.rules import admit_random
from lts_jax.llm.budget import Budget
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.seeds import coordinate_seed, seed_and_uniform, uniform
from lts_jax.systems.run_parts import Brought, make_parts
from lts_jax.systems.train_settings import ModelSettings, TrainSettings


def rollout_parts(settings=None, brought=None):
    return make_parts(settings or TrainSettings(), brought or Brought()).rollout_parts(admit_random(), Budget())


def test_offline_parts_give_the_rollouts_of_parts_that_may_hold_secrets():
    run = make_parts(TrainSettings())
    parts = rollout_parts()
    assert parts.is_offline
    found = [
        collect_groups(run.tasks("train", 2), each, run.settings.rollout, CollectSettings(3), Iteration(7, 0))
        for each in (parts, replace(parts, is_offline=False))
    ]
    assert found[0] == found[1]


def test_what_is_brought_or_asked_over_http_is_not_offline(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    over_http = TrainSettings(model=ModelSettings(base_url="http://127.0.0.1:1/v1"))
    assert not rollout_parts(over_http).is_offline
    assert not rollout_parts(brought=Brought(tools=lambda tool, arguments: None)).is_offline


def test_a_seed_and_a_number_that_are_printed_once_are_those_printed_apart():
    where = (3, 0, "it's", 2, "ledger", 1)
    assert seed_and_uniform(*where, label="seconds") == (coordinate_seed(*where), uniform(*where, "seconds"))
