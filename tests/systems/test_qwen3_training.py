"""The paper's controller from checkpoint to comparison, over a tiny random base."""

import json
import logging
import shutil
from dataclasses import replace

import chex
import jax
import numpy as np
import pytest

pytest.importorskip("tokenizers", reason="needs the extra qwen")

from lts_jax.bridge.decide import decision_log_probs
from lts_jax.bridge.decide_cached import start_row, step_rows
from lts_jax.cli import main
from lts_jax.errors import UserError
from lts_jax.learning.checkpoint import restore
from lts_jax.models.lora import LoraSettings, num_parameters
from lts_jax.models.lora_files import save_adapters
from lts_jax.models.qwen3 import settings_from_json
from lts_jax.models.qwen3_folder import Qwen3ControllerSettings
from lts_jax.models.tiny_qwen3 import write_tiny
from lts_jax.rollouts.collect import CollectSettings
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.lts import Progress, TrainSettings, train_controller
from lts_jax.systems.run_folder import config_digest, open_run
from lts_jax.systems.run_parts import make_parts
from lts_jax.teams.settings import TeamSettings


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("models") / "tiny"
    write_tiny(made)
    return made


def settings_over(folder):
    return TrainSettings(
        num_tasks=2,
        num_epochs=2,
        tasks_per_update=1,
        controller="qwen3",
        qwen3=Qwen3ControllerSettings(folder=str(folder), lora=LoraSettings(rank=2)),
        encoder="hashing(width=64)",
        rollout=RolloutSettings(num_teams=2, team=TeamSettings(max_rounds=6)),
        collect=CollectSettings(num_rollouts=2),
    )


class Stop(Exception):
    """Thrown in place of a kill."""


@pytest.mark.slow
def test_a_stopped_training_ends_with_the_same_parameters(folder, tmp_path):
    settings = settings_over(folder)
    whole = train_controller(open_run(tmp_path / "whole", settings), settings, Progress()).params

    def stop_at_two(iteration, _):
        if iteration == 1:
            raise Stop

    run = open_run(tmp_path / "stopped", settings)
    with pytest.raises(Stop):
        train_controller(run, settings, Progress(on_iteration=stop_at_two))
    resumed = train_controller(run, settings, Progress()).params
    assert jax.tree.structure(whole) == jax.tree.structure(resumed)
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(one, other)
    fresh = make_parts(settings).fresh_state(jax.random.key(settings.seed)).params
    assert any(
        (np.asarray(a) != np.asarray(b)).any() for a, b in zip(*map(jax.tree.leaves, (whole, fresh)), strict=True)
    )


class Compiled(logging.Handler):
    """Names of the programs that JAX compiles, in order."""

    def __init__(self):
        super().__init__()
        self.names = []

    def emit(self, record):
        message = record.getMessage()
        if message.startswith("Compiling "):
            self.names.append(message.split()[1])


def test_a_training_run_compiles_three_programs_and_all_in_its_first_iteration(folder, tmp_path):
    for function in (decision_log_probs, start_row, step_rows):
        function.clear_cache()
    settings, compiled, after = replace(settings_over(folder), num_tasks=3), Compiled(), []
    logger = logging.getLogger("jax._src.interpreters.pxla")
    level, passes_on = logger.level, logger.propagate
    logger.addHandler(compiled)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        progress = Progress(on_iteration=lambda iteration, line: after.append(len(compiled.names)))
        train_controller(open_run(tmp_path / "run", settings), settings, progress)
    finally:
        logger.removeHandler(compiled)
        logger.setLevel(level)
        logger.propagate = passes_on
    ours = [name for name in compiled.names if any(each in name for each in ("row", "update", "decision", "logits"))]
    assert sorted(ours) == ["jit(start_row)", "jit(step_rows)", "jit(update_once)"]  # 8 are allowed for
    assert len(after) == 6 and set(after[1:]) == {after[0]}  # nothing, not even a single operation, is compiled later


def test_checkpoints_hold_what_is_trained_and_name_the_base(folder, tmp_path):
    settings = replace(settings_over(folder), num_epochs=1)
    run = open_run(tmp_path / "run", settings)
    params = train_controller(run, settings, Progress()).params
    assert set(params) == {"adapters", "projections"}
    size = sum(path.stat().st_size for path in run.checkpoints.rglob("*") if path.is_file())
    trained = 4 * num_parameters(params)
    assert size < 2 * 3 * trained + 200_000  # parameters and two moments, in two checkpoints
    base_now = tmp_path / "base"
    base_now.mkdir()
    here = replace(settings, qwen3=replace(settings.qwen3, folder=str(base_now)))
    write_tiny(base_now, seed=1)
    digest_of = config_digest(settings)
    like = make_parts(here).fresh_state(jax.random.key(settings.seed))
    with pytest.raises(
        UserError, match=r"trained over frozen weights of sha256 [0-9a-f]{64}, NO 302, YES 304, now over frozen"
    ):
        restore(run.checkpoints, like, config_digest=digest_of, base_digest=make_parts(here).base_digest)
    with pytest.raises(UserError, match="now over no frozen weights"):
        restore(run.checkpoints, like, config_digest=digest_of)
    # The same weights with exchanged answers: every decision would be turned round.
    exchanged = tmp_path / "exchanged"
    shutil.copytree(folder, exchanged)
    vocabulary = json.loads((exchanged / "tokenizer.json").read_text())
    words = vocabulary["model"]["vocab"]
    words["NO"], words["YES"] = words["YES"], words["NO"]
    (exchanged / "tokenizer.json").write_text(json.dumps(vocabulary))
    there = replace(settings, qwen3=replace(settings.qwen3, folder=str(exchanged)))
    with pytest.raises(UserError, match=r"NO 302, YES 304, now over .*, NO 304, YES 302; give it the base"):
        restore(run.checkpoints, like, config_digest=digest_of, base_digest=make_parts(there).base_digest)


def test_the_demo_runs_with_the_papers_controller(folder, tmp_path, capsys):
    small = "--num-tasks 3 --num-epochs 1 --collect.num-rollouts 2 --compare.evaluation.num-tasks 5"
    small += " --compare.evaluation.num-seeds 1 --compare.policies m1_parallel all lts"
    chosen = f"--controller qwen3 --qwen3.folder {folder} --encoder qwen3(folder={folder},max_tokens=64)"
    command = f"demo --run {tmp_path / 'demo'} {small} {chosen}"
    main(command.split())
    assert "run folder:" in capsys.readouterr().out
    assert (tmp_path / "demo" / "report.html").exists()


def test_training_can_start_from_adapters_in_the_files_of_peft(folder, tmp_path):
    settings = settings_over(folder)
    other = replace(settings.qwen3, folder=None).lora
    shape = settings_from_json(folder)
    taken = make_parts(settings).fresh_state(jax.random.key(9)).params["adapters"]
    taken = jax.tree.map(lambda leaf: leaf + 0.25, taken)
    save_adapters(tmp_path / "peft", taken, other, shape)
    started = make_parts(replace(settings, qwen3=replace(settings.qwen3, adapter=str(tmp_path / "peft"))))
    params = started.fresh_state(jax.random.key(settings.seed)).params
    chex.assert_trees_all_close(params["adapters"], taken, atol=1e-6)
    fresh = make_parts(settings).fresh_state(jax.random.key(settings.seed)).params
    chex.assert_trees_all_equal(params["projections"], fresh["projections"])  # these start anew
    absent = replace(settings.qwen3, adapter=str(tmp_path))
    wider = replace(settings.qwen3, adapter=str(tmp_path / "peft"), lora=LoraSettings(rank=3))
    for lacking, complaint in ((absent, "no such file"), (wider, "r")):
        with pytest.raises(UserError, match=complaint) as caught:
            make_parts(replace(settings, qwen3=lacking))
        assert "\n" not in str(caught.value)


def test_what_is_missing_is_one_line(folder, tmp_path):
    settings = settings_over(folder)
    with pytest.raises(UserError, match=r"qwen3\.folder: expected the folder of a Qwen3 checkpoint"):
        make_parts(replace(settings, qwen3=replace(settings.qwen3, folder=None))).check()
    with pytest.raises(UserError, match=r"nowhere"):
        make_parts(replace(settings, qwen3=replace(settings.qwen3, folder=str(tmp_path / "nowhere")))).check()
    with pytest.raises(UserError, match=r"qwen3\.key_window: expected at least"):
        replace(settings, qwen3=replace(settings.qwen3, key_window=8))
    with pytest.raises(UserError, match="needs a value head"):
        make_parts(replace(settings, credit="gae")).check()
