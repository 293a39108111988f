"""A user's mistakes: one clear line, exit code 2, nothing touched. And the small commands, run."""

import asyncio
import json
import os
import signal
import subprocess
import sys

import pytest

from lts_jax.cli import COMMANDS, main
from lts_jax.commands import world
from lts_jax.storage import write_json


def fails(capsys, *arguments: str) -> str:
    """The one line on standard error of a command that must exit with code 2."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    captured = capsys.readouterr()
    assert stopped.value.code == 2
    assert captured.out == ""
    assert captured.err.count("\n") == 1 and captured.err.startswith("lts: ")
    return captured.err


def tree(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("number", "said", "code"),
    [(signal.SIGTERM, "terminated", 143), (signal.SIGHUP, "hung up", 129), (signal.SIGINT, "interrupted", 130)],
)
@pytest.mark.parametrize("in_loop", [False, True])
def test_a_signal_to_end_is_one_line_and_its_code(capsys, monkeypatch, number, said, code, in_loop):
    async def hear_in_a_loop():
        hear()
        await asyncio.sleep(0)

    def hear():
        os.kill(os.getpid(), number)
        for _ in range(1000):
            pass

    monkeypatch.setattr(world, "run", lambda command: asyncio.run(hear_in_a_loop()) if in_loop else hear())
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    before = signal.signal(number, usual)  # whoever runs the tests may ignore it, as nohup does
    try:
        with pytest.raises(SystemExit) as stopped:
            main(["world"])
    finally:
        signal.signal(number, before)
    assert stopped.value.code == code
    assert capsys.readouterr().err == f"lts: {said}; the same command goes on where it stopped\n"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_signal_that_is_ignored_stays_ignored(monkeypatch, capsys):
    monkeypatch.setattr(world, "run", lambda command: os.kill(os.getpid(), signal.SIGHUP))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        main(["world"])
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_mistake_of_ours_is_one_line_with_the_traceback_in_a_file(capsys, monkeypatch, tmp_path):
    def run(command):
        raise RuntimeError("the pond\nis sk-abcdefghijklmnopqrstuvwxyz0123456789")

    monkeypatch.setattr(world, "run", run)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(SystemExit) as stopped:
        main(["world"])
    said = capsys.readouterr().err
    assert stopped.value.code == 70 and said.count("\n") == 1 and "RuntimeError: the pond is" in said
    [told] = tmp_path.iterdir()
    assert said.endswith(f"please report it with {told}\n")
    assert "in run" in told.read_text() and "sk-abcdef" not in told.read_text() + said


def test_an_unknown_command_names_the_others(capsys):
    assert "train, evaluate" in fails(capsys, "trian")


def test_an_unknown_setting_suggests_the_right_one(capsys, tmp_path):
    said = fails(capsys, "train", "--run", str(tmp_path / "r"), "--rollout.num-team", "3")
    assert "--rollout.num-team" in said and "did you mean --rollout.num-teams?" in said
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("flag", "value", "expected"),
    [
        ("--num-tasks", "many", "--num-tasks"),
        ("--num-tasks", "0", "num_tasks: expected at least 1"),
        ("--num-tasks", "7", "multiple of tasks_per_update = 3"),
        ("--credit", "luck", "credit: expected a name"),
        ("--rollout.team.max-rounds", "0", "max_rounds"),
        ("--rollout.latency.noise-sigma", "-1", "noise_sigma: expected zero or more"),
        ("--learning.temperature", "0", "temperature"),
        ("--controller", "set_transformer(num_heads=5)", "num_heads"),
        ("--rollout.parallel.mode", "best", "mode"),
    ],
)
def test_a_wrong_value_is_named(capsys, tmp_path, flag, value, expected):
    assert expected in fails(capsys, "train", "--run", str(tmp_path / "r"), flag, value)
    assert not (tmp_path / "r").exists()


def test_a_missing_run_folder(capsys, tmp_path):
    for command in ("evaluate", "report"):
        assert "no run folder (it has no config.json)" in fails(capsys, command, "--run", str(tmp_path / "absent"))
    assert not (tmp_path / "absent").exists()


def test_a_run_folder_of_another_schema_version_is_left_alone(capsys, tmp_path):
    write_json(tmp_path / "config.json", {"schema_version": 99, "train": {}})
    before = tree(tmp_path)
    for command in ("train", "evaluate", "report"):
        assert "schema version 99, this program reads 2" in fails(capsys, command, "--run", str(tmp_path))
    assert tree(tmp_path) == before


def test_a_run_made_with_other_settings_names_the_first_difference(capsys, tmp_path):
    from lts_jax.plain import to_plain
    from lts_jax.systems.lts import TrainSettings
    from lts_jax.systems.run_folder import open_run

    open_run(tmp_path / "r", TrainSettings(seed=4))
    before = tree(tmp_path)
    assert json.loads((tmp_path / "r" / "config.json").read_text())["train"] == to_plain(TrainSettings(seed=4))
    assert "seed was 4, now 0" in fails(capsys, "train", "--run", str(tmp_path / "r"))
    assert tree(tmp_path) == before


def test_a_folder_that_is_no_run_and_a_file_in_its_place(capsys, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert "no run folder; choose another" in fails(capsys, "train", "--run", str(tmp_path))
    assert "is a file" in fails(capsys, "train", "--run", str(tmp_path / "thesis.tex"))


def test_unknown_things_of_the_world(capsys):
    assert "no task 'nowhere'" in fails(capsys, "world", "--task", "nowhere")
    assert "no file 'nothing.csv'" in fails(capsys, "world", "--file", "nothing.csv")
    fails(capsys, "world", "--page", "https://nowhere.example")


def test_the_world_prints_its_numbers_and_its_examples_work(capsys):
    main(["world"])
    said = capsys.readouterr().out
    assert "pages" in said and "(test only)" in said
    for line in said.splitlines():
        if line.strip().startswith("lts world --task"):
            main(line.split()[1:])
    assert "?" in capsys.readouterr().out


def test_one_rollout_is_told_and_stored(capsys, tmp_path):
    main(["rollout", "--policy", "all", "--rollout.num-teams", "2", "--out", str(tmp_path / "one.parquet")])
    said = capsys.readouterr().out
    assert "ADMITTED as [0]" in said and "AGGREGATED" in said and "score" in said
    assert (tmp_path / "one.parquet").exists()


def test_a_learned_rollout_needs_its_run(capsys):
    assert "--policy lts needs --run" in fails(capsys, "rollout", "--policy", "lts")
    assert "policy: expected a name" in fails(capsys, "rollout", "--policy", "best")


def test_help_of_every_command_is_printed():
    for name in COMMANDS:
        done = subprocess.run(
            [sys.executable, "-m", "lts_jax.cli", name, "--help"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert f"usage: lts {name}" in done.stdout
