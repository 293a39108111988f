"""Trackers follow metrics.jsonl: each number once, one run after a resume; one that hangs or dies harms nothing."""

import csv
import sys
import threading
import tomllib
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import fake_trackers
import pytest

import lts_jax as lts
from lts_jax.adapters.tracking import follow
from lts_jax.adapters.tracking.follow import catch_up, following
from lts_jax.adapters.tracking.trackers import TRACKERS, make_tracker
from lts_jax.cli import main
from lts_jax.errors import UserError
from lts_jax.rollouts.collect import CollectSettings
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.storage import append_json_line, read_json, write_bytes
from lts_jax.systems.run_folder import open_run
from lts_jax.teams.settings import TeamSettings

SETTINGS = lts.TrainSettings(seed=3)


@dataclass
class Kept:
    """A tracker in memory."""

    name: str = "kept"
    told: list = field(default_factory=list)
    opened: list = field(default_factory=list)
    closed: int = 0

    def open(self, run, known):
        self.opened.append((run.name, known))
        return known or "first"

    def log(self, step, values):
        self.told.append((step, dict(values)))

    def close(self):
        self.closed += 1


class Hanging(Kept):
    """Takes one update and never comes back, until it is let go."""

    def __init__(self):
        super().__init__("hanging")
        self.let_go = threading.Event()

    def log(self, step, values):
        super().log(step, values)
        self.let_go.wait(600)


class Dying(Kept):
    def log(self, step, values):
        if step == 1:
            raise ConnectionError("the server\nwent away")
        super().log(step, values)


def catch_up_in_threads(folder, *trackers):
    with following(folder, trackers):
        pass


def metric(folder, step, **values):
    append_json_line(folder / "metrics.jsonl", {"iteration": step, "learning/loss": 1.0 / (step + 1), **values})


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.01)
    folder = open_run(tmp_path / "mine", SETTINGS).path
    for step in range(3):
        metric(folder, step, **{"credit/mean": None if step == 0 else 0.5 * step})
    return folder


def test_each_number_comes_once_whatever_stops(run):
    first, second = Kept(), Kept()
    assert catch_up(run, [first]) == {"kept": 3}
    assert first.told == [
        (0, {"learning/loss": 1.0}),
        (1, {"learning/loss": 0.5, "credit/mean": 0.5}),
        (2, {"learning/loss": 1 / 3, "credit/mean": 1.0}),
    ]
    assert read_json(run / "trackers.json") == {"kept": {"id": "first", "sent": 3}}
    metric(run, 3)
    assert catch_up(run, [second]) == {"kept": 1}
    assert second.opened == [("mine", "first")] and [step for step, _ in second.told] == [3]


def test_trackers_follow_while_a_run_is_trained(run):
    heard, other = Kept(), Kept("other")
    with following(run, [heard, other]):
        for step in range(3, 6):
            metric(run, step)
    assert [step for step, _ in heard.told] == [step for step, _ in other.told] == list(range(6))
    assert (heard.closed, other.closed) == (1, 1)


def test_one_that_hangs_is_left_behind_and_caught_up_with(run):
    hanging, heard = Hanging(), Kept()
    left_behind = pytest.warns(RuntimeWarning, match=r"hanging has not taken everything yet; `lts track .*mine --track")
    with left_behind, following(run, [hanging, heard], grace_seconds=0.5):
        metric(run, 3)
    assert [step for step, _ in heard.told] == [0, 1, 2, 3] and len(hanging.told) == 1
    assert "hanging" not in read_json(run / "trackers.json")
    assert catch_up(run, [Kept("hanging")]) == {"hanging": 4}
    hanging.let_go.set()


def test_one_that_dies_ends_alone(run):
    dying, heard = Dying("dying"), Kept()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        catch_up_in_threads(run, dying, heard)
    assert [str(one.message) for one in told] == [
        "dying: ConnectionError: the server went away; training goes on without it"
    ]
    assert [step for step, _ in dying.told] == [0] and len(heard.told) == 3 and dying.closed == 1


def test_the_csv_file_is_the_metrics(run):
    with following(run, [make_tracker("csv")]):
        metric(run, 3)
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    assert [row["iteration"] for row in rows] == ["0", "1", "2", "3"]
    assert rows[2] == {"iteration": "2", "learning/loss": repr(1 / 3), "credit/mean": "1.0"}
    assert rows[0]["credit/mean"] == "" and not (run / "trackers.json").exists()
    write_bytes(run / "metrics.jsonl", b"".join((run / "metrics.jsonl").read_bytes().splitlines(keepends=True)[:2]))
    main(["track", str(run), "--track", "csv"])
    assert len((run / "metrics.csv").read_text().splitlines()) == 3  # the run was cut back: so is the file


@pytest.mark.parametrize("name", ["wandb", "trackio", "mlflow"])
def test_a_resumed_run_is_the_same_run_of_the_tracker(run, monkeypatch, name):
    runs: list = []
    for module, made in getattr(fake_trackers, name)(runs).items():
        monkeypatch.setitem(sys.modules, module, made)
    monkeypatch.setenv("WANDB_API_KEY", "k")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    with following(run, [make_tracker(name)]):
        pass
    metric(run, 3)
    with following(run, [make_tracker(name)]):
        pass
    assert len(runs) == 2 and runs[0].id == runs[1].id
    logged = [step for one in {id(run): run for run in runs}.values() for step, _ in one.logged]
    assert logged == [0, 1, 2, 3] and sum(one.finished for one in {id(run): run for run in runs}.values()) == 2
    config = runs[0].init["config"]
    assert str(config.get("seed")) == "3" and runs[0].init["project"].endswith("lts_jax")


def test_tensorboard_holds_the_numbers(run):
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard: pip install 'lts-jax[tensorboard]'")
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    assert catch_up(run, [make_tracker("tensorboard")]) == {"tensorboard": 3}
    metric(run, 3)
    assert catch_up(run, [make_tracker("tensorboard")]) == {"tensorboard": 1}
    events = [
        one for path in sorted((run / "tensorboard").iterdir()) for one in LegacyEventFileLoader(str(path)).Load()
    ]
    found = [(one.step, {each.tag: each.simple_value for each in one.summary.value}) for one in events]
    found = [one for one in found if one[1]]
    assert [step for step, _ in found] == [0, 1, 2, 3]
    assert found[1][1] == {"learning/loss": 0.5, "credit/mean": 0.5}


def test_what_is_no_tracker_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("lts_jax.adapters.tracking.trackers.find_spec", lambda name: None)
    (tmp_path / "mine.py").write_text("def none():\n    return 3\n")
    for text, expected in (
        ("wandb", r"track: wandb is not installed: pip install 'lts-jax\[wandb\]'"),
        ("weights", "track: expected a name, or FILE.py:FUNCTION; got 'weights'"),
        ("wandb(projekt=x)", "wandb has no setting 'projekt'; it takes project"),
        (f"{tmp_path}/mine.py:none", "expected a tracker, with open, log and close; it has no open"),
    ):
        with pytest.raises(UserError, match=expected):
            lts.train(tmp_path / "run", settings=SETTINGS, track=[text])
    assert not (tmp_path / "run").exists()
    assert set(TRACKERS) == {"csv", "tensorboard", "wandb", "trackio", "mlflow"}


def test_a_tracker_without_a_key_is_one_line(run, monkeypatch, capsys):
    for module, made in fake_trackers.wandb([]).items():
        monkeypatch.setitem(sys.modules, module, made)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(run))  # no netrc
    no_key = pytest.warns(RuntimeWarning, match=r"^wandb: no key: set WANDB_API_KEY, or WANDB_MODE=offline; training")
    with no_key, following(run, [make_tracker("wandb")]):
        pass
    with pytest.raises(SystemExit):
        main(["track", str(run), "--track", "wandb"])
    assert capsys.readouterr().err == "lts: wandb: no key: set WANDB_API_KEY, or WANDB_MODE=offline\n"
    with pytest.raises(SystemExit):
        main(["track", str(run)])
    assert "none has followed this run yet" in capsys.readouterr().err


@pytest.mark.slow
def test_training_comes_to_its_end_with_a_tracker_that_hangs(tmp_path):
    small = lts.TrainSettings(
        num_tasks=1,
        num_epochs=2,
        tasks_per_update=1,
        rollout=RolloutSettings(num_teams=2, team=TeamSettings(max_rounds=3)),
        collect=CollectSettings(num_rollouts=2),
        controller="set_transformer(width=8, num_layers=1, num_heads=1)",
    )
    hanging, heard = Hanging(), Kept()
    with pytest.MonkeyPatch.context() as patch, pytest.warns(RuntimeWarning, match="hanging has not taken everything"):
        patch.setattr(follow, "GRACE_SECONDS", 0.5)
        lts.train(tmp_path / "with", settings=small, progress=False, track=[hanging, heard])
    assert len((tmp_path / "with" / "metrics.jsonl").read_bytes().splitlines()) == 2
    assert [step for step, _ in heard.told] == [0, 1]
    hanging.let_go.set()


def test_no_extra_may_fall_back_to_an_ancient_release():
    """A resolver that cannot have a release goes back, silently, where nothing forbids it."""
    found = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    extras = found["project"]["optional-dependencies"]
    kinds = ("tensorboard", "wandb", "trackio", "mlflow", "langgraph", "openai-agents", "smolagents")
    for name in kinds:
        for requirement in extras[name]:
            assert ">=" in requirement and "<" in requirement.partition(">=")[2], requirement
    assert set(TRACKERS) - {"csv"} <= set(kinds)
