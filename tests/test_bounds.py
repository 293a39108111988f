"""Every number of every command has a largest value, and is refused beyond it before anything is written."""

import importlib
import types
import typing
from dataclasses import fields, is_dataclass, replace

import pytest

from lts_jax.admission.rules import make_rule
from lts_jax.bounds import check_bound, check_bounds
from lts_jax.cli import COMMANDS, command_module, main
from lts_jax.errors import UserError
from lts_jax.models.networks import network_part
from lts_jax.rollouts.collect import CollectSettings
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.comparison import make_arm
from lts_jax.systems.run_folder import open_run
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.teams.settings import ParallelSettings, TeamSettings


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["train", "--rollout.parallel.mode", "quorum", "--rollout.parallel.quorum", "9"],
            "number of teams (3), got 9",
        ),
        (["train", "--rollout.latency.noise-sigma", "1e300"], "noise_sigma: expected at most 10, got 1e+300"),
        (["train", "--rollout.latency.web-seconds", "1e308"], "web_seconds: expected at most 10,000,000, got 1e+308"),
        (["train", "--rollout.latency.web-seconds", "inf"], "web_seconds: expected a finite number"),
        (["train", "--collect.num-in-flight", "99999999999"], "num_in_flight: expected at most 4,096, got 99999999999"),
        (["rollout", "--rollout.team.max-rounds", "9" * 20], "max_rounds"),
        (
            ["train", "--rollout.team.max-rounds", "999", "--rollout.num-teams", "64"],
            "10000 steps of all teams",
        ),
        (["train", "--controller", "set_transformer(width=99999999999)"], "expected at most 16,384, got 99999999999"),
        (["train", "--encoder", "hashing(width=99999999999)"], "expected at most 16,384, got 99999999999"),
        (["evaluate", "--evaluation.num-seeds", "10001"], "num_seeds: expected at most 10,000, got 10001"),
        (["sweep", "--over", "learning.sparsity_weight=0:1:99999999"], "at most 100,000, got '0:1:99999999'"),
        (["sweep", "--over", "learning.sparsity_weight=0:1:" + "9" * 5000], "at most 100,000"),
        (["sweep", "--over", "learning.sparsity_weight=0:1:2", "--seeds", "10001"], "seeds: expected at most 10,000"),
        (["sweep", "--mode", "random", "--num-points", "100001", "--over", "learning.sparsity_weight=0:1"], "100,000"),
        (["sweep", "--over", "shape.num_teams=2,99999999"], "num_teams"),
        (["serve-simulated", "--port", "65536"], "port: expected from 0 to 65535, got 65536"),
    ],
)
def test_a_number_without_measure_is_one_line_and_leaves_nothing(capsys, tmp_path, arguments, expected):
    command, *rest = arguments
    run = [] if command == "serve-simulated" else ["--run", str(tmp_path / "r")]
    with pytest.raises(SystemExit) as stopped:
        main([command, *(run if command != "rollout" else []), *rest])
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and said.count("\n") == 1 and expected in said
    assert not (tmp_path / "r").exists()


def numbers(record, where=""):
    """Dotted names of the fields of a record that hold numbers."""
    for item in fields(record):
        kind = typing.get_type_hints(record)[item.name]
        union = typing.get_origin(kind) in (types.UnionType, typing.Union)
        for one in typing.get_args(kind) if union else (kind,):
            if is_dataclass(one):
                yield from numbers(one, f"{where}{item.name}.")
            elif one in (int, float):
                yield f"{where}{item.name}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_number_of_every_command_has_a_largest_value(name):
    for place in numbers(importlib.import_module(command_module(name)).Command):
        with pytest.raises(UserError, match="expected at most"):
            check_bound(place.rpartition(".")[2], 10**30, place)
        with pytest.raises(UserError, match="a finite number"):
            check_bound(place.rpartition(".")[2], float("nan"), place)


def test_the_defaults_of_all_settings_are_within_their_bounds():
    check_bounds(TrainSettings())
    check_bounds(CollectSettings(num_in_flight=4096))


def test_settings_from_python_are_bounded_too(tmp_path):
    with pytest.raises(UserError, match=r"collect.num_rollouts: expected at most 10,000, got 10001"):
        open_run(tmp_path / "r", TrainSettings(collect=CollectSettings(num_rollouts=10_001)))
    assert not (tmp_path / "r").exists()


def test_a_quorum_does_not_bind_the_line_of_one_team():
    rollout = RolloutSettings(parallel=ParallelSettings("quorum", quorum=3), team=TeamSettings(max_rounds=4))
    run = make_parts(TrainSettings(rollout=rollout))
    assert make_arm("magentic_one", run, make_rule("none", run.encoder)).rollout.parallel.num_answers_to_stop(1) == 1
    with pytest.raises(ValueError, match=r"number of teams \(2\), got 3"):
        replace(rollout, num_teams=2)


def test_a_number_of_ones_own_part_is_not_bounded_by_a_name_that_is_not_listed(tmp_path):
    (tmp_path / "mine.py").write_text(
        "def net(embedding_width, *, price: float = 1e200, rngs=None):\n    return None\n"
    )
    assert network_part(f"{tmp_path}/mine.py:net(price=1e250)").settings == {"price": 1e250}
