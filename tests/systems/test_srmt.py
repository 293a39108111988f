"""`lts system srmt`, small: a training that was stopped goes on with the same bits, tables and page are whole."""

import json
from dataclasses import replace

import pytest

from lts_jax.commands import system
from lts_jax.commands.system import SYSTEMS, Command
from lts_jax.errors import UserError
from lts_jax.learning.ppo import PpoSettings
from lts_jax.reports.episode_animation import episode_animation
from lts_jax.systems import srmt as wiring
from lts_jax.systems.run_folder import RunFolder
from lts_jax.systems.srmt_settings import CAUSAL, CONSTANT, SrmtSettings
from lts_jax.systems.srmt_tables import steps_to

TINY = SrmtSettings(
    core=("empty",),
    num_seeds=1,
    agent_steps=96,
    num_episodes=1,
    num_parts=3,
    num_at_once=1,
    ppo=PpoSettings(num_environments=4, rollout_steps=4),
)


class Stopped(Exception):
    """A kill, as far as a training is concerned."""


def without_times(document):
    """A document without the seconds that a training took."""
    return {name: value for name, value in document.items() if name != "seconds"}


def test_a_stopped_training_goes_on_and_the_page_is_written(tmp_path, capsys):
    whole, _ = wiring.srmt(TINY, RunFolder(tmp_path / "whole"), lambda line: None)
    folder, told = RunFolder(tmp_path / "stopped"), []

    def stop(line):
        told.append(line)
        if len(told) == 2:
            raise Stopped

    with pytest.raises(Stopped):
        wiring.srmt(TINY, folder, stop)
    assert not (folder.path / "parts").exists()
    again, figures = wiring.srmt(TINY, folder, told.append)
    assert [line for line in told if "agent steps" in line] == [
        f"sparse, empty, seed 1: {steps:.2g} agent steps, CSR 0.00" for steps in (32, 64, 96)
    ]
    assert without_times(again) == without_times(whole)
    assert len(figures) == 3 and "<animate" in figures[2]
    names = [row[0] for row in again["tables"][0]["rows"]]
    assert names == ["empty", "follow the path (rule)", "follow it, .2 random (rule)", "random walk (rule)"]

    run = tmp_path / "run"
    system.run(Command("srmt", run=run, srmt=replace(TINY, core=("srmt",)), core=("empty",)))
    printed = capsys.readouterr().out
    assert "Corridors of 3 to 30, sparse reward" in printed and "Simulated: with sparse reward empty" in printed
    assert "<animate" in (run / "report.html").read_text()
    report = json.loads((run / "report.json").read_text())
    assert len(report["by_length"]["sparse, empty"]) == 28 and report["num_skipped"] == 0


def test_rows_are_what_they_say():
    settings = SrmtSettings(released=True)
    assert settings.rows == ("srmt", "rmt", "attention", "empty", "gru", CAUSAL, CONSTANT)
    assert settings.network(CAUSAL).causal_memory and settings.network(CONSTANT).unroll == 1
    assert settings.network("srmt").unroll == 8 and not settings.network("srmt").causal_memory
    assert "srmt" in SYSTEMS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reward": ("rich",)}, "srmt.reward: expected some of sparse, dense"),
        ({"core": ("lstm",)}, "srmt.core: expected some of srmt, rmt"),
        ({"core": ()}, "srmt.core: expected some of"),
        ({"width": 10}, "width: expected a multiple of num_heads = 4, got 10"),
        ({"agent_steps": 10}, "srmt.agent_steps: expected at least one update"),
        ({"num_at_once": 0}, "srmt.num_at_once: expected at least 1"),
    ],
)
def test_what_cannot_be_meant_is_one_line(changes, message):
    with pytest.raises(UserError, match=message):
        SrmtSettings(**changes)


def test_settings_of_srmt_are_refused_elsewhere(tmp_path):
    with pytest.raises(UserError, match=r"comam: got settings --reward, which are for srmt"):
        system.run(Command("comam", run=tmp_path / "run", reward=("dense",)))
    assert not (tmp_path / "run").exists()


def test_an_episode_moves_by_itself():
    """Two agents, three steps: each has a list of places, and fades where it has arrived."""
    places = [[(0, 0), (0, 2)], [(0, 1), (0, 2)], [(0, 1), (0, 2)]]
    figure = episode_animation(["..."], places, [(0, 1), (0, 0)], title="<one>")
    assert figure.count("<circle") == 4 and 'values="8;24;24"' in figure and 'values="1;1;0.25"' in figure
    assert "&lt;one&gt;" in figure and "at its goal after 1 steps" in figure


def test_steps_until_a_share_by_hand():
    """Four points of 100 steps: .9 stands with the third, .95 never."""
    assert steps_to([0.1, 0.5, 0.9, 0.8], 0.9, 400.0) == 300.0
    assert steps_to([0.1, 0.5, 0.9, 0.8], 0.95, 400.0) is None
