"""Runs side by side: what differs, paired rollouts, and whether the luck was the same; the command and `--config`."""

import json
from dataclasses import replace

import pytest
from fake_rollouts import make_rollout

from lts_jax.cli import main
from lts_jax.commands.compare import short_paths
from lts_jax.commands.report import example_rollout
from lts_jax.errors import UserError
from lts_jax.plain import to_plain
from lts_jax.records import RolloutGroup
from lts_jax.reports.side_by_side import Difference, SeenRun, differences, side_by_side
from lts_jax.reports.side_by_side_page import side_by_side_html, side_by_side_text
from lts_jax.rollouts.store import write_group
from lts_jax.storage import append_json_line, read_json
from lts_jax.systems.run_folder import open_run, read_settings
from lts_jax.systems.train_settings import TrainSettings


def seen(name: str, policy: str, tasks=range(8), **further) -> SeenRun:
    own, unshared = ([make_rollout(one, task) for task in tasks] for one in (policy, "m1_parallel"))
    metrics = [{"iteration": place, "learning/loss": 1.0 / (place + 1)} for place in range(3)]
    return SeenRun(name, f"runs/{name}", {"credit": policy}, metrics, "lts", own, unshared, **further)


def test_differences_by_hand():
    first = {"seed": 0, "learning": {"rate": 0.1, "weights": {}}, "parts": {"tools": "mine"}}
    second = {"seed": 0, "learning": {"rate": 0.2, "weights": {}}, "parts": {}}
    assert differences([first, second]) == (
        Difference("learning.rate", ("0.1", "0.2")),
        Difference("parts.tools", ("mine", "–")),
    )
    assert differences([first, first, first]) == ()


def test_runs_are_paired_over_common_tasks():
    found = side_by_side([seen("a", "lts", range(8)), seen("b", "all", range(2, 10))])
    first, second = found.report.rows
    assert (first.policy, second.policy, second.num_pairs) == ("a", "b", 6)
    own, other = ([make_rollout(policy, task) for task in range(2, 8)] for policy in ("lts", "all"))
    total, others = (sum(one.seconds for one in some) for some in (own, other))
    assert second.runtime_reduction_percent.estimate == pytest.approx(100 * (total - others) / total)
    assert any("came out the same in a and b, all 6 rollouts" in note for note in found.notes)
    assert [one.name for one in found.curves["a"]] == ["learning/loss"]
    text, page = side_by_side_text(found), side_by_side_html(found)
    assert text.splitlines()[0].split() == ["what", "differs", "a", "b"] and "credit" in text
    assert page.count("<svg") >= 3 and "runs/b" in page
    assert max(map(len, text.splitlines())) <= 100


def test_other_luck_is_told():
    second = seen("b", "lts")
    slower = [replace(one, seconds=one.seconds + (one.coordinates.task == "task-003")) for one in second.unshared]
    found = side_by_side([seen("a", "lts"), replace(second, unshared=slower)])
    assert any("the same in 7 of 8 rollouts" in note and "more differs" in note for note in found.notes)


def test_what_cannot_be_compared_is_one_line():
    with pytest.raises(UserError, match="at least two runs, got 1"):
        side_by_side([seen("a", "lts")])
    with pytest.raises(UserError, match=r"runs/a and runs/b: no common task: 3 such as task-000 here, 2 such as"):
        side_by_side([seen("a", "lts", range(3)), seen("b", "lts", range(5, 7))])
    bare = replace(seen("a", "lts"), rollouts=(), unshared=(), line="")
    with pytest.raises(UserError, match="two runs that were evaluated, or two that were trained"):
        side_by_side([bare, replace(bare, path="runs/b", name="b", metrics=())])
    curves_alone = side_by_side([bare, replace(bare, path="runs/b", name="b")])
    assert curves_alone.report is None and "not evaluated" in side_by_side_html(curves_alone)


def test_names_are_as_short_as_they_may_be(tmp_path):
    assert short_paths([tmp_path / "x" / "a", tmp_path / "y" / "a"]) == ["x/a", "y/a"]
    assert short_paths([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]


def make_run(path, policy: str, **settings) -> None:
    folder = open_run(path, replace(TrainSettings(), **settings))
    append_json_line(folder.metrics, {"iteration": 0, "learning/loss": 1.0})
    append_json_line(folder.metrics, {"iteration": 1, "learning/loss": 0.5})
    for line, own in (("m1_parallel", "none"), ("lts", f"learned:{policy}")):
        for task in range(6):
            made = make_rollout("m1_parallel" if line == "m1_parallel" else policy, task)
            made = replace(made, policy=own, coordinates=replace(made.coordinates, task=made.task.task_id))
            write_group(folder.evaluation / line, RolloutGroup(made.task, 0, (made,)))


def test_the_command_writes_page_and_data(tmp_path, capsys):
    make_run(tmp_path / "a", "lts")
    make_run(tmp_path / "b", "all", credit="leave_one_out")
    main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "c")])
    said = capsys.readouterr().out
    assert said.splitlines()[2].split() == ["credit", "usage_aware", "leave_one_out"]
    assert said.endswith(f"page: {tmp_path / 'c' / 'compare.html'}\n")
    stored = read_json(tmp_path / "c" / "compare.json")
    assert stored["differences"] == [{"setting": "credit", "values": ["usage_aware", "leave_one_out"]}]
    assert [row["policy"] for row in stored["report"]["rows"]] == ["a", "b"]
    for arguments, expected in [
        ([str(tmp_path / "a")], "at least two runs"),
        ([str(tmp_path / "a"), str(tmp_path / "b"), "--line", "judge"], "no line judge in its evaluation"),
        ([str(tmp_path / "a"), str(tmp_path)], "no run folder"),
    ]:
        with pytest.raises(SystemExit) as stopped:
            main(["compare", *arguments])
        error = capsys.readouterr().err
        assert stopped.value.code == 2 and error.count("\n") == 1 and expected in error


def test_a_config_feeds_settings_back(tmp_path, monkeypatch):
    heard = []
    monkeypatch.setattr("lts_jax.commands.train.run", heard.append)
    settings = replace(TrainSettings(), credit="leave_one_out", num_epochs=2)
    folder = open_run(tmp_path / "a", settings)
    copy = tmp_path / "copy.json"
    copy.write_text(json.dumps(json.loads(folder.config.read_text())))
    main(["train", "--config", str(folder.config)])
    main(["train", f"--config={folder.path}", "--num-epochs", "3"])
    main(["train", "--seed", "7", "--config", str(copy)])
    assert [command.train for command in heard] == [
        settings,
        replace(settings, num_epochs=3),
        replace(settings, seed=7),
    ]
    assert read_settings(folder.path, TrainSettings) == settings and to_plain(settings)["num_epochs"] == 2


def test_a_config_that_is_none_is_one_line(tmp_path, capsys):
    (tmp_path / "other.json").write_text('{"schema_version": 2}')
    (tmp_path / "old.json").write_text('{"schema_version": 1, "train": {}}')
    for place, expected in (
        ("nosuch.json", "no such file"),
        ("other.json", "holds no 'train'"),
        ("old.json", "schema"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["train", "--run", str(tmp_path / "r"), "--config", str(tmp_path / place)])
        error = capsys.readouterr().err
        assert stopped.value.code == 2 and error.count("\n") == 1 and expected in error
    assert not (tmp_path / "r").exists()


def test_the_example_is_the_median_and_no_outlier():
    rollouts = [make_rollout("lts", task, seed) for task in range(10) for seed in range(2)]
    chosen = example_rollout({"m1_parallel": [make_rollout("m1_parallel", 3)], "lts": rollouts})
    in_order = sorted(one.seconds for one in rollouts if any(pull.reader != pull.writer for pull in one.pulls))
    assert chosen in rollouts and chosen.seconds == in_order[(len(in_order) - 1) // 2]
    everything = make_rollout("all", 3)
    assert example_rollout({}) is None and example_rollout({"lts": [everything]}) is everything
