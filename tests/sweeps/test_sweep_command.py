"""`lts sweep` itself: what it refuses, in one line each, and a sweep from the command to the table."""

import json
import subprocess
import sys

import pytest

from lts_jax.cli import main
from lts_jax.commands.sweep import sweep_bar
from lts_jax.lab.lab import measure_points
from lts_jax.sweeps.fields import sweep_fields
from lts_jax.sweeps.folder import SweepFolder, read_table
from lts_jax.sweeps.plan import with_settings
from lts_jax.sweeps.sides import COUNTERPARTS, SIDES, TEXT_ONLY
from lts_jax.sweeps.time_left import SweepNews

TINY_LAB = (
    "shape.num_teams=2", "shape.max_steps=6", "world.step_limit=6", "shape.num_entries=12", "num_iterations=2",
    "tasks_per_update=2", "num_rollouts=2", "num_evaluation_tasks=4",
)  # fmt: skip
TINY_TEXT = (
    "num_tasks=1", "num_epochs=1", "tasks_per_update=1", "rollout.num_teams=2", "rollout.team.max_rounds=6",
    "collect.num_rollouts=2", "controller.width=8", "controller.num_layers=1", "controller.num_heads=1",
    "validation.num_tasks=2",
)  # fmt: skip


def fails(capsys, *arguments: str) -> str:
    """The one line on standard error of a command that must exit with code 2."""
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", *arguments])
    captured = capsys.readouterr()
    assert stopped.value.code == 2 and captured.out == ""
    assert captured.err.count("\n") == 1 and captured.err.startswith("lts: ")
    return captured.err.removeprefix("lts: ").rstrip()


def setting(values: tuple[str, ...]) -> list[str]:
    return [word for value in values for word in ("--set", value)]


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ("num_evaluation_tasks=0,4", "num_evaluation_tasks: expected at least 1 in a sweep, which measures, got 0"),
        (
            "rollout.team.max_rounds=10,30",
            "rollout.team.max_rounds: a field of the text side only; the simulator has none, as its teams exchange no "
            "messages (use world.step_limit)",
        ),
        (
            "model.temperature=0,1",
            "model.temperature: a field of the text side only; the simulator has none, as there is no language model "
            "in it (sweep it with --side text)",
        ),
        (
            "num_tasks=3,6",
            "num_tasks: a field of the text side only; the simulator has none, as its tasks are drawn anew, not taken "
            "from a list (sweep it with --side text)",
        ),
        ("world.overlap=2", "world.overlap: expected from 0 to 1, got 2 (at world.overlap=2)"),
        ("learning.learning_rate=1e-3,high", "learning.learning_rate: expected a number, got 'high'"),
        ("num_iterations=1.5", "num_iterations: expected a whole number, got '1.5'"),
    ],
)
def test_what_the_simulator_refuses(capsys, tmp_path, over, said):
    assert fails(capsys, "--run", str(tmp_path / "s"), "--over", over) == said
    assert not (tmp_path / "s").exists()


def test_an_unknown_field_names_the_nearest(capsys, tmp_path):
    said = fails(capsys, "--run", str(tmp_path / "s"), "--over", "learning.sparse_weight=0,1")
    assert said.startswith("learning.sparse_weight: no such field; the nearest are learning.sparsity_weight")


def test_what_the_text_side_refuses(capsys, tmp_path):
    common = ("--run", str(tmp_path / "s"), "--side", "text")
    assert fails(capsys, *common, "--over", "world.overlap=0,1") == (
        "world.overlap: a field of the simulator only (sweep it with --side simulator)"
    )
    assert fails(capsys, *common, "--over", "credit=reinforce", "--set", "credit=gae") == "credit: both set and swept"
    assert "tasks_per_update = 3, got 7 (at num_tasks=7)" in fails(capsys, *common, "--over", "num_tasks=3,7")
    assert "at least one axis, such as --over" in fails(capsys, *common)
    assert "5001 were asked for" in fails(capsys, *common, "--over", "num_tasks=3,5001")
    assert not (tmp_path / "s").exists()


def test_another_plan_is_refused_and_says_nothing_else(capsys, tmp_path):
    common = ("--run", str(tmp_path / "s"), "--side", "text", *setting(TINY_TEXT), "--over", "policy=all,m1_parallel")
    main(["sweep", *common, "--seeds", "1"])
    said = capsys.readouterr().out
    assert "2 points with 1 seeds each" in said and "results.parquet" in said
    assert "num_seeds was 1, now 2" in fails(capsys, *common, "--seeds", "2")


def test_why_the_simulator_lacks_a_field_names_fields_that_exist():
    simulator, text = (sweep_fields(SIDES[name].default_settings()) for name in ("simulator", "text"))
    assert set(COUNTERPARTS) <= set(text) and set(COUNTERPARTS.values()) <= set(simulator)
    for part in TEXT_ONLY:
        assert any(name.startswith(f"{part}.") and SIDES["simulator"].lacks(name) for name in text)
    shared = set(simulator) & set(text)
    assert {"credit", "learning.sparsity_weight"} <= shared


@pytest.mark.slow
def test_a_simulated_sweep_from_the_command_to_the_table(capsys, tmp_path):
    common = ("--run", str(tmp_path / "s"), *setting(TINY_LAB), "--set", "credit=reinforce", "--seeds", "3")
    axis = ("--pairs-per-program", "6", "--over", "learning.sparsity_weight=0,.5,2")
    main(["sweep", *common, *axis])
    folder = SweepFolder(tmp_path / "s")
    rows = read_table(folder.results).to_pylist()
    assert [(row["learning.sparsity_weight"], row["seed"]) for row in rows] == [
        (weight, seed) for weight in (0.0, 0.5, 2.0) for seed in (0, 1, 2)
    ]
    measures = json.loads(folder.config.read_text())["measures"]
    assert {"reward", "runtime_seconds", "admission_fraction", "read_rate", "reach"} <= set(measures)
    # A point's row is the one that it gets without the others, to the rounding of the compiled program.
    settings = with_settings(SIDES["simulator"].default_settings(), [*TINY_LAB, "credit=reinforce"])
    alone = measure_points(settings, [{"learning.sparsity_weight": 0.5}] * 2, [0, 1, 2])
    assert [row["reward"] for row in rows[3:6]] == pytest.approx([row["reward"] for row in alone[:3]], abs=1e-5)
    assert len(list((folder.path / "parts").iterdir())) == 2 and (folder.path / "report.html").exists()
    expected = folder.results.read_bytes()
    folder.results.unlink()
    max((folder.path / "parts").iterdir()).unlink()
    main(["sweep", *common, *axis])
    assert folder.results.read_bytes() == expected
    assert str(folder.results) in capsys.readouterr().out


def test_fields_are_listed(capsys):
    main(["sweep", "--fields"])
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[:4] == ["*", "learning.sparsity_weight", "float", "0.25"] for line in lines)
    assert any(line.startswith("  credit ") for line in lines)
    assert not any(line.split()[0] == "seed" for line in lines)


def test_help_comes_at_once():
    code = (
        "import sys; from lts_jax.cli import main\ntry: main(['sweep', '--help'])\nfinally: print('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.rstrip().endswith("False") and "--over" in done.stdout


def test_where_there_is_no_terminal_every_chunk_is_a_line(capsys):
    with sweep_bar() as tell:
        tell(SweepNews(1, 4, 60.0, 120.0, "credit=gae", True))
        tell(SweepNews(4, 4, 240.0, 0.0, "", False))
    assert capsys.readouterr().err.splitlines() == [
        "1 of 4 chunks, 60 s taken, 2 min left  credit=gae (compiles first)",
        "4 of 4 chunks, 4 min taken, 0 s left",
    ]
