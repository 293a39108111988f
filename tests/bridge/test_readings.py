"""Readings as arrays, by hand; and a network as a reader, whatever the padding."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from lts_jax.admission.offline_truth import rightly_stated
from lts_jax.admission.rules import make_rule
from lts_jax.bridge.collate import CollateSettings
from lts_jax.bridge.collate_readings import collate_readings
from lts_jax.bridge.score_entries import PADDING, EntryScorer
from lts_jax.errors import UserError
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.memory.readers import ScoringReader
from lts_jax.memory.reading_policy import ReadableEntry, ReadingRequest
from lts_jax.records import Choice, Coordinates, Message, ModelCall, Origin, Rollout, RolloutGroup, Trust
from lts_jax.rollouts.rollout import run_rollout
from lts_jax.systems.comparison import make_arm
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.systems.world import almanac_tasks

TASK = almanac_tasks(0, "validation", 5)[2]
SIZES = CollateSettings(max_steps=31, max_entries=96)


@pytest.fixture(scope="module")
def rollout() -> Rollout:
    run = make_parts(TrainSettings(reading="rcr"))
    arm = make_arm("all", run, make_rule("all", run.encoder))
    return asyncio.run(run_rollout(TASK, Coordinates(1, 0, TASK.task_id, 0), arm.parts, arm.rollout))


def test_choices_as_arrays(rollout: Rollout) -> None:
    encoder = HashingEncoder(64)

    def needed(one: Rollout, choice: Choice) -> list[int]:
        return [each for each in choice.offered if rightly_stated(one.task.question, one.entries[each].value)]

    found = collate_readings(RolloutGroup(TASK, 0, (rollout,)), encoder, SIZES, needed=needed)
    assert found.query_grd.shape == (1, 96, 64) and found.visible_grn.shape == (1, 96, 96)
    assert found.needed_grn is not None and int(found.reading_mask_gr.sum()) == len(rollout.choices)
    for number, choice in enumerate(rollout.choices):
        assert np.flatnonzero(found.visible_grn[0, number]).tolist() == list(choice.offered)
        assert np.flatnonzero(found.chosen_grn[0, number]).tolist() == sorted(choice.taken)
        assert np.flatnonzero(found.needed_grn[0, number]).tolist() == needed(rollout, choice)
        assert np.array_equal(found.query_grd[0, number], encoder.encode([choice.instruction])[0])
    assert found.needed_grn.any() and not (found.chosen_grn & ~found.visible_grn).any()
    assert not found.visible_grn[0, len(rollout.choices) :].any() and found.reward_g[0] == rollout.reward_agg
    assert {choice.instruction for choice in rollout.choices} <= {
        TASK.question, *(step.instruction for step in rollout.steps)
    }  # fmt: skip
    assert collate_readings(RolloutGroup(TASK, 0, (rollout,)), encoder, SIZES).needed_grn is None
    small = replace(SIZES, max_entries=1)
    with pytest.raises(UserError, match="collate: expected at most 1 entries of a rollout"):
        collate_readings(RolloutGroup(TASK, 0, (rollout,)), encoder, small)


async def _nobody(purpose: str, messages: list[Message]) -> ModelCall:
    raise AssertionError


@pytest.mark.parametrize("num_entries", [0, 1, PADDING, PADDING + 1])
def test_a_network_reads_what_it_scores_best(num_entries: int) -> None:
    encoder = HashingEncoder(32)
    weights = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)
    scorer = EntryScorer(lambda params, query, keys: keys @ (params @ query), weights, encoder)
    entries = [
        ReadableEntry(n, f"key {n * n}", "value", 5, 1, 0, 0.0, Origin.WEB, Trust.UNTRUSTED, 0)
        for n in range(num_entries)
    ]
    request = ReadingRequest(
        "q", "an instruction", "orchestrator", "work", entries, None, 3, Coordinates(0, 0, "t", 0), 0, 0, 0.0
    )
    expected = encoder.encode([each.key for each in entries]) @ (weights @ encoder.encode(["an instruction"])[0])
    assert scorer(request) == pytest.approx(expected.tolist(), abs=1e-5)
    reading = asyncio.run(ScoringReader("network", scorer, 3).choose(request, _nobody))
    best = [int(place) for place in np.argsort(-expected) if expected[place] > 0][:3]
    assert list(reading.entries) == best
