"""`lts system`: arms and rules in a run folder that goes on after a kill, and what is refused in one line."""

import json
import shutil
from dataclasses import replace

import jax
import numpy as np
import pytest

from lts_jax.cli import main
from lts_jax.commands.system import SYSTEMS
from lts_jax.errors import UserError
from lts_jax.lab.arms import joined, seed_blocks
from lts_jax.reports.study_page import study_html
from lts_jax.reports.study_text import study_document, study_text
from lts_jax.systems import study as studies
from lts_jax.systems.agemem import agemem
from lts_jax.systems.comam import comam
from lts_jax.systems.run_folder import RunFolder, open_run
from lts_jax.systems.study import chosen_arms, controller_of, lab_settings, run_study, train_arms
from lts_jax.systems.study_settings import StudySettings

TINY = StudySettings(num_seeds=2, num_updates=2, tasks_per_update=1, num_rollouts=3, num_evaluation_tasks=6)


@pytest.fixture(scope="module")
def small():
    """CoMAM with an arm of one phase, one of three, and two rules."""
    whole = comam()
    kept = ("never store", "oracle")
    arms = tuple(arm for arm in whole.arms if arm.name in ("joint, adaptive", "sequential"))
    return replace(whole, arms=arms, rules={name: whole.rules[name] for name in kept}, blind_rules=kept[:1])


class Killed(Exception):
    """In place of a kill."""


@pytest.fixture(scope="module")
def unbroken(small, tmp_path_factory):
    """A study in one go, a block for each seed."""
    patch = pytest.MonkeyPatch()
    patch.setattr(studies, "BLOCK", 1)
    folder = open_run(tmp_path_factory.mktemp("study") / "run", TINY, name="comam")
    yield folder, run_study(small, TINY, folder, lambda line: None)
    patch.undo()


@pytest.mark.slow
def test_a_killed_study_goes_on_with_equal_bits(small, unbroken, tmp_path):
    folder, whole = unbroken
    again = tmp_path / "run"
    shutil.copytree(folder.path, again)
    for name in ("arms/sequential_2_2.json", "arms/joint,_adaptive_2_2.json", "rules/oracle.json"):
        (again / name).unlink()

    told = []

    def tell(line):
        told.append(line)
        if line.startswith("joint"):
            raise Killed

    with pytest.raises(Killed):
        run_study(small, TINY, RunFolder(again), tell)
    found = run_study(small, TINY, RunFolder(again), told.append)
    assert told == ["joint, adaptive: block 2 of 2", "sequential: block 2 of 2", "oracle"]
    for name, one in whole.items():
        for measured, value in one.measures.items():
            np.testing.assert_array_equal(found[name].measures[measured], value, err_msg=f"{name} {measured}")
        if one.score_si is not None:
            np.testing.assert_array_equal(found[name].score_si, one.score_si)
            assert one.score_si.shape == (2, 2 * (3 if name == "sequential" else 1))


@pytest.mark.slow
def test_arms_that_are_trained_alone_are_those_of_the_study(small, unbroken):
    _, whole = unbroken
    one_seed = replace(TINY, num_seeds=1, arms=("sequential",))
    found = train_arms(small, one_seed)
    assert list(found) == ["sequential"]
    for measured, value in found["sequential"].measures.items():
        np.testing.assert_array_equal(value, whole["sequential"].measures[measured][:1], err_msg=measured)
    params = controller_of(small, one_seed, found["sequential"]).params
    for alone, all_seeds in zip(jax.tree.leaves(params), jax.tree.leaves(found["sequential"].params), strict=True):
        assert all_seeds.shape == (1, *alone.shape)
    with pytest.raises(UserError, match="arms: comam has"):
        train_arms(small, replace(one_seed, arms=("nobody",)))


@pytest.mark.slow
def test_the_table_has_every_line_and_the_oracle_on_top(small, unbroken):
    _, found = unbroken
    document = study_document(small, TINY, found)
    json.dumps(document, allow_nan=False)
    lines = {line["name"]: line for line in document["lines"]}
    assert list(lines)[:4] == ["joint, adaptive", "sequential", "untrained", "random at its rates"]
    assert lines["oracle"]["score"][0] == 1.0 and lines["oracle"]["below_oracle"][0] == 0.0
    assert lines["never store"]["shown"]["entries"] == 0.0
    assert document["yardstick"] in small.blind_rules
    text = study_text(document)
    assert text.startswith("Simulated: 'joint, adaptive'") and max(map(len, text.splitlines())) <= 100
    page = study_html(document)
    assert page.count("<svg") == 2 and "joint, adaptive over sequential" in page


def test_phases_of_an_arm_say_who_learns():
    arms = {arm.name: arm for arm in comam().arms}
    acts = [
        [phase.numbers[f"world.{agent}_acts"] for agent in ("extraction", "profile", "retrieval")]
        for name in ("independent", "sequential")
        for phase in arms[name].phases
    ]
    assert acts == [[0, 1, 1], [1, 0, 1], [1, 1, 0], [0, 1, 1], [2, 0, 1], [2, 2, 0]]


def test_settings_given_hold_for_every_phase():
    arms = chosen_arms(agemem(), StudySettings(arms=("own stage",), learning_rate=0.5, entropy_weight=0.25))
    assert [arm.name for arm in arms] == ["own stage"]
    numbers = [phase.numbers for phase in arms[0].phases]
    assert [(one["learning.learning_rate"], one["learning.entropy_weight"]) for one in numbers] == [(0.5, 0.25)] * 2
    assert lab_settings(agemem(), StudySettings(num_updates=7)).num_iterations == 7


def test_blocks_hold_every_seed_once():
    assert seed_blocks(range(1, 8), 3) == [[1, 2, 3], [4, 5, 6], [7]]
    assert joined([{"a": [1.0]}, {"a": [2.0, 3.0]}])["a"].tolist() == [1.0, 2.0, 3.0]


def test_an_arm_that_is_not_there_is_named():
    with pytest.raises(UserError, match=r"^arms: comam has joint, adaptive, .*; got 'none such'$"):
        chosen_arms(comam(), StudySettings(arms=("none such",)))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nonesuch"], f"system: expected one of {', '.join(SYSTEMS)}, got 'nonesuch'"),
        (["agemem", "--rcr.num-tasks", "7"], "agemem: got settings --rcr.*, which are for rcr"),
        (["agemem", "--arms", "nonesuch"], "arms: agemem has broadcast, own stage, "),
        (["comam", "--num-seeds", "0"], "num_seeds: expected at least 1, got 0"),
        (["comam", "--num-updates", "0"], "num_iterations: expected at least 1, got 0"),
        (["agemem", "--network", "pooled"], "network: expected one that points at entries"),
        (["lts", "--num-seeds", "3"], "lts: its settings are those of"),
        (["rcr", "--num-seeds", "3"], "rcr: its settings are rcr.x; got study settings, which are for others"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_leaves_nothing(arguments, told, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["system", *arguments, "--run", str(tmp_path / "run")])
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and said.count("\n") == 1
    assert told in said and not (tmp_path / "run").exists()


def test_the_systems_are_listed(capsys):
    main(["system"])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(SYSTEMS)
