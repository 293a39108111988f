"""A reader that learned from readings: what it learns by hand, its file, and where it stands among readers."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lts_jax.admission.rules import make_rule
from lts_jax.bridge.collate import CollateSettings
from lts_jax.bridge.trained_reader import reader_scorer, save_reader, train_reader
from lts_jax.errors import UserError
from lts_jax.learning.retrieval import RetrievalSettings
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.memory.making_readers import make_reader
from lts_jax.memory.reading_policy import ReadableEntry, ReadingRequest
from lts_jax.models.retriever import init_retriever
from lts_jax.records import Choice, Coordinates, MemoryEntry, ModelCall, Origin, RolloutGroup, Trust
from lts_jax.rollouts.rollout import run_rollout
from lts_jax.systems.comparison import make_arm
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.systems.world import almanac_tasks

ENCODER = HashingEncoder(64)
SIZES = CollateSettings(max_steps=8, max_entries=8)
SETTINGS = RetrievalSettings(temperature=0.2, learning_rate=0.02, num_epochs=30)
KEYS = ("tide table of the harbour", "bread prices of the market", "harbour master on holidays")


def group(taken: int, number: int) -> RolloutGroup:
    """A rollout in which, asked about the harbour, a reader took one of three entries."""
    run = make_parts(TrainSettings())
    task = almanac_tasks(0, "validation", 5)[2]
    arm = make_arm("none", run, make_rule("none", run.encoder))
    short = replace(arm.rollout, num_teams=1, team=replace(arm.rollout.team, max_rounds=1))
    made = asyncio.run(run_rollout(task, Coordinates(number, 0, task.task_id, 0), arm.parts, short))
    entries = tuple(MemoryEntry(place, key, "value", 0, place, 0.0) for place, key in enumerate(KEYS))
    choice = Choice(0, 1, 0.0, (0, 1, 2), (taken,), (1.0,), (taken,), instruction="Ask at the harbour.")
    return RolloutGroup(task, 0, (replace(made, entries=entries, choices=(choice,)),))


def request() -> ReadingRequest:
    entries = tuple(
        ReadableEntry(place, key, "value", 5, 1, 0, 0.0, Origin.WEB, Trust.UNTRUSTED, 0)
        for place, key in enumerate(KEYS)
    )
    return ReadingRequest(
        "q", "Ask at the harbour.", "orchestrator", "work", entries, None, 1, Coordinates(0, 0, "t", 0), 0, 0, 0.0
    )


async def nobody(purpose: str, messages: list) -> ModelCall:
    raise AssertionError


def test_what_was_taken_comes_first_after_training_and_from_a_file(tmp_path: Path) -> None:
    """Untrained, the words in common decide; taught that bread is what the harbour's orders need, bread comes first."""
    save_reader(tmp_path / "begun.npz", init_retriever(ENCODER.dim))
    begun = reader_scorer(str(tmp_path / "begun.npz"), ENCODER)(request())
    vectors = ENCODER.encode([*KEYS, "Ask at the harbour."])
    assert begun == pytest.approx((vectors[:3] @ vectors[3]).tolist(), abs=1e-5)
    assert int(np.argmax(begun)) != 1
    params, losses = train_reader([group(1, 0), group(1, 1)], ENCODER, SIZES, SETTINGS)
    assert losses[-1] < 0.5 * losses[0]
    save_reader(tmp_path / "taught.npz", params)
    supplied = {"trained_scorer": lambda file: reader_scorer(file, ENCODER)}
    reader = make_reader(f"trained(file={tmp_path / 'taught.npz'}, top=1)", supplied)
    assert reader is not None and asyncio.run(reader.choose(request(), nobody)).entries == (1,)


def test_readings_that_teach_nothing_and_files_that_are_none_are_one_line(tmp_path: Path) -> None:
    one = group(1, 0)
    nothing = replace(one, rollouts=tuple(replace(each, choices=()) for each in one.rollouts))
    with pytest.raises(UserError, match=r"^trained reader: expected readings that took some entries and left others"):
        train_reader([nothing], ENCODER, SIZES, SETTINGS)
    with pytest.raises(UserError, match=r"^trained\(file\): expected a file of a trained reader, got .*, which is not"):
        reader_scorer(str(tmp_path / "none.npz"), ENCODER)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(UserError, match=r"is not a file of a trained reader$"):
        reader_scorer(str(tmp_path / "text.npz"), ENCODER)
    save_reader(tmp_path / "small.npz", init_retriever(8))
    with pytest.raises(UserError, match=r"expected a finite map of 64 x 64 for this encoder, got 8 x 8"):
        reader_scorer(str(tmp_path / "small.npz"), ENCODER)
    with pytest.raises(UserError, match=r"^reading: trained needs the setting file, as trained"):
        make_parts(TrainSettings()).reader("trained")
