"""`lts simulator fit` from a run folder to a file of parameters, its refusals, and what is read off rollouts."""

import shutil
from dataclasses import replace

import pytest

from lts_jax.cli import main
from lts_jax.environments.teams.params_file import read_params
from lts_jax.environments.teams.settings import SimulatorParams
from lts_jax.evaluation.evaluate import EvaluationSettings, evaluate
from lts_jax.evaluation.statistics import Interval
from lts_jax.records import (
    Answer,
    Coordinates,
    Decision,
    MemoryEntry,
    ModelCall,
    Outcome,
    Pull,
    Rollout,
    Step,
    StopReason,
    Task,
)
from lts_jax.rollouts.latency import LatencySettings
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.storage import read_json
from lts_jax.systems.agreement import AgreementRow, halves, read_recorded
from lts_jax.systems.comparison import ComparisonSettings, make_arm, make_policy
from lts_jax.systems.lts import TrainSettings
from lts_jax.systems.observed import observed_seconds
from lts_jax.systems.run_folder import open_run
from lts_jax.systems.world import almanac_tasks

POLICIES = ("m1_parallel", "all", "random")


def step(team: int, number: int, start: float, end: float) -> Step:
    return Step(team, number, "WebSurfer", "look", "", "seen", "saw", start, end)


def call(purpose: str, team: int, number: int, start: float, seconds: float) -> ModelCall:
    return ModelCall(purpose, "", 1, 1, "m", team, number, start, seconds)


def rollout(steps, ends, seconds, *, decisions=(), entries=(), pulls=(), calls=()) -> Rollout:
    answers = tuple(Answer(team, "x", end, StopReason.SATISFIED) for team, end in enumerate(ends))
    right = Outcome(1.0, True)
    return Rollout(
        Task("t", "q", "x", "train"), Coordinates(0, 0, "t", 0), len(ends), tuple(steps), tuple(decisions),
        tuple(entries), tuple(pulls), answers, Answer(-1, "x", seconds, StopReason.SATISFIED), right, right, 1.0, 1.0,
        seconds, tuple(calls),
    )  # fmt: skip


def test_seconds_are_read_off_rollouts():
    apart = rollout([step(0, 0, 10, 20), step(0, 1, 25, 35), step(1, 0, 12, 22)], ends=(41, 30), seconds=42.0)
    # Team 1 lists one key before its step 1 and none after that; the call takes 2 seconds, the value one more.
    shared = rollout(
        [step(0, 0, 11, 21), step(1, 0, 11, 31), step(1, 1, 41.5, 51.5)],
        ends=(30, 60),
        seconds=63.0,
        decisions=[Decision(0, 0, 1, 0.0, 1.0, 0, 0, 22.0, 0), Decision(1, 0, 0, 0.0, 0.0, 1, 1, 32.0)],
        entries=[MemoryEntry(0, "k", "v", 0, 0, 22.5)],
        pulls=[Pull(0, 1, 0, 1, 34.5)],
        calls=[
            call("summarize", 0, 0, 21, 1.0), call("summarize", 1, 0, 31, 1.0), call("select", 1, 1, 32.5, 2.0),
            call("ledger", 1, 1, 34.5, 5.0),
        ],
    )  # fmt: skip
    found = observed_seconds([apart], [shared])
    assert found["start_seconds"] == pytest.approx((10 + 12 + 11 + 11) / 4)
    assert found["check_seconds"] == pytest.approx(5.0)  # team 0 of `apart`, from 20 to 25
    assert found["finish_seconds"] == pytest.approx((6 + 8) / 2)
    assert found["aggregate_seconds"] == pytest.approx((1 + 3) / 2)
    assert found["summary_seconds"] == pytest.approx(1.0)
    assert found["decision_seconds"] == pytest.approx(0.5)
    assert found["selection_seconds"] == pytest.approx(2.0) and found["key_seconds"] == 0.0
    # The gap of 10.5 holds a summary, a decision, a selection and a check: 1 + 0.5 + 2 + 5. One value took the rest.
    assert found["pull_seconds"] == pytest.approx(2.0)
    # Five steps of 10 seconds and one of 20: the mean of a lognormal with the spread of their logarithms.
    spread = (5 / 36) ** 0.5 * 0.6931472
    assert found["step_log_spread"] == pytest.approx(spread)
    assert found["step_log_seconds"] == pytest.approx(2.4567358 - spread**2 / 2)  # log(70 / 6)


def test_a_row_says_how_far_apart_and_whether_noise_explains_it():
    row = AgreementRow("runtime", "all", Interval(100.0, 90.0, 120.0), 117.0)
    assert row.difference == pytest.approx(0.17) and not row.agrees and row.is_noise
    other = replace(row, simulated=86.0)
    assert other.difference == pytest.approx(-0.14) and other.agrees and not other.is_noise


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """Eight tasks, two rollouts each, under the three policies."""
    free = LatencySettings(contention=0.0)  # a call takes the seconds of its tokens, whoever else asks
    training = TrainSettings(rollout=RolloutSettings(latency=free))
    folder = open_run(tmp_path_factory.mktemp("agreement") / "run", training)
    settings = ComparisonSettings(policies=POLICIES)
    arms = [make_arm(name, training, make_policy(name, training, settings)) for name in POLICIES]
    evaluate(arms, almanac_tasks(0, "train", 8), EvaluationSettings(num_tasks=8, num_seeds=2), folder.evaluation)
    return folder


def test_the_halves_are_two_halves_of_the_tasks(run_folder):
    recorded = read_recorded(run_folder.evaluation)
    tasks = [{group.task.task_id for group in half["all"]} for half in halves(recorded, 0)]
    assert [len(each) for each in tasks] == [4, 4] and not tasks[0] & tasks[1]
    assert any({group.task.task_id for group in halves(recorded, seed)[0]["none"]} != tasks[0] for seed in (1, 2, 3))


@pytest.mark.slow
def test_a_run_becomes_a_file_of_parameters(run_folder, capsys, tmp_path):
    small = ["--fit.num-tasks", "4", "--fit.population", "4", "--fit.generations", "1"]
    few = ["--num-tasks", "20", "--num-rollouts", "2", "--num-resamples", "10"]
    main(["simulator", "fit", str(run_folder.path), "--out", str(tmp_path / "world.json"), *small, *few])
    said = capsys.readouterr().out
    assert "fitting on 4 tasks, checking on 4 others" in said
    lines = [line.split() for line in said.splitlines()]
    policies = [line[1] for line in lines if line and line[0] == "runtime"]
    assert policies == ["none", "all", "random"]
    assert sum(line[:1] == ["read_rate"] for line in lines) == 2  # nothing is read without a memory
    params = read_params(tmp_path / "world.json")
    assert params.summary_seconds == pytest.approx(1.3, abs=0.2) and params.decision_seconds == pytest.approx(0.05)
    assert set(read_json(tmp_path / "world.json")) == set(SimulatorParams.names())


def refused(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(["simulator", "fit", *arguments])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_what_cannot_be_fitted_is_refused_in_one_line(run_folder, capsys, tmp_path):
    assert "no run folder" in refused(capsys, str(tmp_path))
    assert "at least 2, got 1" in refused(capsys, str(run_folder.path), "--num-tasks", "1")
    copy = tmp_path / "copy"
    shutil.copytree(run_folder.path, copy)
    next((copy / "evaluation" / "random").glob("*.parquet")).unlink()
    assert "7 tasks have rollouts of every policy, at least 8 are needed" in refused(capsys, str(copy))
    shutil.rmtree(copy / "evaluation" / "random")
    assert "lts evaluate --policies m1_parallel all random" in refused(capsys, str(copy))
    shutil.copytree(run_folder.evaluation / "all", copy / "evaluation" / "random")
    assert "expected rollouts of random, got all" in refused(capsys, str(copy))


def test_a_sweep_takes_the_world_from_a_file(capsys, tmp_path):
    (tmp_path / "world.json").write_text('{"overlap": 0.125}')
    main(["sweep", "--world", str(tmp_path / "world.json"), "--set", "world.insight=0.5", "--fields"])
    shown = dict(
        line.replace("*", " ").split()[::2] for line in capsys.readouterr().out.splitlines() if "world." in line
    )
    assert shown["world.overlap"] == "0.125" and shown["world.insight"] == "0.5"
    assert shown["world.needed_low"] == str(SimulatorParams().needed_low)
    with pytest.raises(SystemExit):
        main(["sweep", "--side", "text", "--world", str(tmp_path / "world.json"), "--fields"])
    assert "world, environment: expected with the side simulator alone" in capsys.readouterr().err
