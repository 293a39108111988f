"""Who may work in a run folder, and what a run is."""

import shutil
from collections import namedtuple
from dataclasses import replace

import jax
import pytest

from lts_jax.commands.report import stored_evaluation
from lts_jax.errors import UserError
from lts_jax.learning import checkpoint
from lts_jax.learning.settings import LearningSettings
from lts_jax.learning.state import init_state
from lts_jax.llm.budget import BudgetSettings
from lts_jax.models.set_transformer import SetTransformerSettings, set_transformer
from lts_jax.systems.lts import TrainSettings
from lts_jax.systems.run_folder import RunFolder, open_run, working_in
from lts_jax.systems.world import ModelSettings

SMALL = SetTransformerSettings(width=8, num_layers=1, num_heads=1)


def test_only_one_process_works_in_a_run(tmp_path):
    folder = open_run(tmp_path / "run", TrainSettings())
    refused = pytest.raises(UserError, match="another process works in this run folder")
    with working_in(folder), refused, working_in(folder):
        pass
    with working_in(folder):
        pass


def test_a_larger_budget_goes_on_with_the_same_run(tmp_path):
    open_run(tmp_path / "run", TrainSettings(model=ModelSettings(budget=BudgetSettings(max_tokens=10))))
    open_run(tmp_path / "run", TrainSettings(model=ModelSettings(budget=BudgetSettings(max_tokens=99))))
    with pytest.raises(UserError, match=r"learning\.learning_rate was 0\.001, now 0\.1"):
        open_run(tmp_path / "run", TrainSettings(learning=LearningSettings(learning_rate=0.1)))


def test_a_setting_that_is_not_finite_touches_nothing(tmp_path):
    endless = replace(TrainSettings(), learning=LearningSettings(learning_rate=float("inf")))
    with pytest.raises(UserError, match=r"learning\.learning_rate: expected a finite number"):
        open_run(tmp_path / "run", endless)
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_one_line_and_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    state = init_state(set_transformer(SMALL), LearningSettings(), jax.random.key(0))
    checkpoint.save(tmp_path, state, {"iteration": 1}, "digest")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1000))
    with pytest.raises(UserError, match=r"a checkpoint needs .* MB, 0 MB are free"):
        checkpoint.save(tmp_path, state, {"iteration": 2}, "digest")
    monkeypatch.undo()
    monkeypatch.setattr(checkpoint, "_orbax", lambda: None)  # any failure inside the library
    with pytest.raises(UserError, match="the checkpoint could not be written"):
        checkpoint.save(tmp_path, state, {"iteration": 2}, "digest")
    monkeypatch.undo()
    assert checkpoint.restore(tmp_path, state)[1] == {"iteration": 1}
    assert sorted(path.suffix for path in tmp_path.iterdir()) == ["", ".json"]


def test_an_evaluation_without_its_reference_or_with_foreign_groups_is_refused(tmp_path):
    with pytest.raises(UserError, match="no evaluation yet"):
        stored_evaluation(RunFolder(tmp_path))
    (tmp_path / "evaluation" / "all").mkdir(parents=True)
    with pytest.raises(UserError, match="the reference m1_parallel is missing"):
        stored_evaluation(RunFolder(tmp_path))
