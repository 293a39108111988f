"""Cells and chunks, the folder, going on after a stop, and the time that is left."""

import json
import math
import subprocess
import sys
from pathlib import Path
from threading import Event

import pyarrow.parquet
import pytest
import small_sweep
from small_sweep import BASE, KNOWN, OVER, CountingRunner, small_plan

from lts_jax.errors import UserError
from lts_jax.sweeps import run as run_module
from lts_jax.sweeps.cells import cells, chunks
from lts_jax.sweeps.folder import SweepFolder, read_sweep, read_table
from lts_jax.sweeps.run import run_sweep
from lts_jax.sweeps.time_left import Ahead, SweepNews, Timing, duration, seconds_left
from lts_jax.systems.run_folder import RunFolder, working_in


def test_numbers_share_a_program_and_all_else_takes_one_each():
    found = cells(BASE, KNOWN, small_plan().points)
    assert [dict(cell.outer) for cell in found] == [
        {"credit": credit, "shape.num_teams": num_teams}
        for credit in ("usage_aware", "reinforce")
        for num_teams in (2, 3)
    ]
    assert [cell.numbers for cell in found] == [(0, 4, 8), (1, 5, 9), (2, 6, 10), (3, 7, 11)]
    assert all([point["learning.sparsity_weight"] for point in cell.inner] == [0.0, 0.5, 1.0] for cell in found)
    assert [(cell.settings.credit, cell.settings.shape.num_teams) for cell in found][1] == ("usage_aware", 3)


def test_an_optional_number_is_inside_only_where_it_always_is_one():
    over = ("learning.loss_temperature=none,1,2",)
    assert len(cells(BASE, KNOWN, small_plan(over).points)) == 3
    [cell] = cells(BASE, KNOWN, small_plan(("learning.loss_temperature=1,2",)).points)
    assert cell.inner == ({"learning.loss_temperature": 1.0}, {"learning.loss_temperature": 2.0})
    assert cell.settings.learning.loss_temperature == 1.0


@pytest.mark.parametrize(
    ("num_points", "num_seeds", "limit", "sizes"),
    [
        (3, 2, 4, [(2, 2), (1, 2)]),
        (3, 2, 100, [(3, 2)]),
        (10, 1, 4, [(4, 1), (4, 1), (2, 1)]),
        (12, 1, 5, [(4, 1), (4, 1), (4, 1)]),
        (2, 5, 3, [(1, 3), (1, 3), (1, 2), (1, 2)]),
        (2, 2, 1, [(1, 1)] * 4),
    ],
)
def test_chunks_hold_every_pair_once(num_points, num_seeds, limit, sizes):
    over = (f"learning.sparsity_weight={','.join(map(str, range(num_points)))}",)
    plan = small_plan(over, num_seeds=num_seeds, pairs_per_program=limit)
    found = chunks(cells(BASE, KNOWN, plan.points), plan.seeds, limit)
    assert [(len(one.points), len(one.seeds)) for one in found] == sizes
    assert all(one.num_padded * len(one.seeds) <= limit for one in found)
    pairs = [(point, seed) for one in found for point in one.points for seed in one.seeds]
    assert sorted(pairs) == [(point, seed) for point in range(num_points) for seed in range(num_seeds)]
    assert len({one.digest for one in found}) == len(found)


def test_the_results_are_one_table_sorted_by_point_and_seed(tmp_path):
    runner = CountingRunner()
    folder = run_sweep(tmp_path / "s", small_plan(), runner)
    table = pyarrow.parquet.read_table(folder.results)
    fields = ["learning.sparsity_weight", "credit", "shape.num_teams"]
    assert table.column_names == [*fields, "seed", "reward", "runtime_seconds"]
    assert [str(one) for one in table.schema.types] == ["double", "string", "int64", "int64", "double", "double"]
    rows = table.to_pylist()
    assert [(row[fields[0]], row["credit"], row["shape.num_teams"], row["seed"]) for row in rows] == [
        (weight, credit, num_teams, seed)
        for weight in (0.0, 0.5, 1.0)
        for credit in ("usage_aware", "reinforce")
        for num_teams in (2, 3)
        for seed in (0, 1)
    ]
    assert [row["reward"] for row in rows[:4]] == [11.2, 12.2, 11.3, 12.3]  # usage_aware has 11 letters
    assert rows[-1]["reward"] == 10 + 1 + 9 + 0.3  # reinforce has 9
    assert all(math.isnan(row["runtime_seconds"]) == (row[fields[0]] == 0) for row in rows)
    document = read_sweep(folder)
    assert (document["fields"], document["measures"]) == (fields, ["reward", "runtime_seconds"])
    assert document["settings"]["shape"]["num_steps"] == 4 and "jax" in document["versions"]
    assert len(folder.points.read_text().splitlines()) == 12
    # Three points in chunks of two: the second is filled up, so that its program is the first one's.
    assert runner.calls[:2] == [("usage_aware", 2, [0.0, 0.5], [0, 1]), ("usage_aware", 2, [1.0, 1.0], [0, 1])]
    assert len(runner.calls) == 8


def test_the_way_a_sweep_is_cut_does_not_show_in_its_results(tmp_path):
    whole = run_sweep(tmp_path / "whole", small_plan(pairs_per_program=1000), CountingRunner())
    single = run_sweep(tmp_path / "single", small_plan(pairs_per_program=1), CountingRunner())
    assert whole.results.read_bytes() == single.results.read_bytes()


class Stopped(Exception):
    """Ends a sweep in the middle."""


def stop() -> None:
    raise Stopped


def test_a_stopped_sweep_does_only_what_is_missing(tmp_path):
    whole, plan = CountingRunner(), small_plan()
    expected = run_sweep(tmp_path / "whole", plan, whole).results.read_bytes()
    first, second, third = CountingRunner(3, stop), CountingRunner(0, stop), CountingRunner()
    for runner in (first, second):
        with pytest.raises(Stopped):
            run_sweep(tmp_path / "s", plan, runner)
        assert not SweepFolder(tmp_path / "s").results.exists()
    folder = run_sweep(tmp_path / "s", plan, third)
    assert first.calls + third.calls == whole.calls and len(first.calls) == 3
    assert folder.results.read_bytes() == expected
    again = CountingRunner()
    run_sweep(tmp_path / "s", plan, again)
    assert not again.calls and folder.results.read_bytes() == expected


def test_a_lost_part_is_made_again(tmp_path):
    folder = run_sweep(tmp_path / "s", small_plan(), CountingRunner())
    expected = folder.results.read_bytes()
    folder.results.unlink()
    sorted((folder.path / "parts").iterdir())[2].unlink()
    runner = CountingRunner()
    run_sweep(folder.path, small_plan(), runner)
    assert len(runner.calls) == 1 and folder.results.read_bytes() == expected


@pytest.mark.parametrize("dies_at", [0, 5])
def test_a_killed_sweep_goes_on(tmp_path, dies_at):
    command = [sys.executable, str(Path(small_sweep.__file__)), str(tmp_path / "s"), str(dies_at)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == -9
    left = CountingRunner()
    folder = run_sweep(tmp_path / "s", small_plan(), left)
    assert len(left.calls) == 8 - dies_at
    whole = run_sweep(tmp_path / "whole", small_plan(), CountingRunner())
    assert folder.results.read_bytes() == whole.results.read_bytes()
    assert not list(folder.path.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"num_seeds": 3}, "num_seeds was 2, now 3"),
        ({"first_seed": 1}, "first_seed was 0, now 1"),
        ({"pairs_per_program": 5}, "pairs_per_program was 4, now 5"),
        ({"over": OVER[:2]}, "fields was .*, now"),
        ({"over": ("learning.sparsity_weight=0,.5,2", *OVER[1:])}, "points_digest was"),
    ],
)
def test_a_sweep_is_not_gone_on_with_under_another_plan(tmp_path, changed, said):
    with pytest.raises(Stopped):
        run_sweep(tmp_path / "s", small_plan(), CountingRunner(1, stop))
    before = {path: path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=f"begun with another plan .*{said}"):
        run_sweep(tmp_path / "s", small_plan(**changed), CountingRunner())
    assert {path: path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()} == before


def test_other_folders_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="no sweep; choose another folder"):
        run_sweep(tmp_path, small_plan(), CountingRunner())
    with pytest.raises(UserError, match="is a file; a sweep needs a folder"):
        run_sweep(tmp_path / "thesis.tex", small_plan(), CountingRunner())
    folder = run_sweep(tmp_path / "s", small_plan(), CountingRunner())
    folder.config.write_text(json.dumps(read_sweep(folder) | {"schema_version": 9}))
    with pytest.raises(UserError, match="sweep of schema version 9, this program reads 1"):
        run_sweep(folder.path, small_plan(), CountingRunner())


def test_one_process_at_a_time(tmp_path):
    folder = run_sweep(tmp_path / "s", small_plan(), CountingRunner())
    with working_in(RunFolder(folder.path)), pytest.raises(UserError, match="another process works in this"):
        run_sweep(folder.path, small_plan(), CountingRunner())


def test_a_broken_part_is_named(tmp_path):
    folder = run_sweep(tmp_path / "s", small_plan(), CountingRunner())
    folder.results.unlink()
    part = next((folder.path / "parts").iterdir())
    part.write_bytes(b"no table")
    with pytest.raises(UserError, match=f"{part.name}: not a readable Parquet file"):
        run_sweep(folder.path, small_plan(), CountingRunner())
    with pytest.raises(UserError, match="no such file"):
        read_table(folder.results)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"reward": 1.0}], "the runner gave 1 rows for 2 points and 2 seeds"),
        ([{"reward": 1.0}] * 3 + [{"score": 1.0}], "the runner measured score here and reward there"),
        ([{}] * 4, "the runner measured nothing here"),
        ([{"reward": 1.0}] * 3 + [{"reward": math.inf}], "the runner gave inf as reward"),
    ],
)
def test_a_runner_that_gives_something_else_is_named(tmp_path, rows, said):
    with pytest.raises(ValueError, match=said):
        run_sweep(tmp_path / "s", small_plan(), lambda settings, points, seeds: rows)
    assert not (tmp_path / "s" / "parts").exists()


def test_a_measure_that_goes_by_a_fields_name_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the runner measured credit, which is a field of the sweep"):
        run_sweep(tmp_path / "s", small_plan(), lambda settings, points, seeds: [{"credit": 1.0}] * 4)


def test_the_news_of_a_sweep(tmp_path):
    news = []
    with pytest.raises(Stopped):
        run_sweep(tmp_path / "s", small_plan(), CountingRunner(3, stop))
    run_sweep(tmp_path / "s", small_plan(), CountingRunner(), news.append)
    assert [(one.num_done, one.num_chunks) for one in news] == [(done, 8) for done in (3, 4, 5, 6, 7, 8)]
    assert [one.doing for one in news] == [
        "credit=usage_aware, shape.num_teams=3",
        *["credit=reinforce, shape.num_teams=2"] * 2,
        *["credit=reinforce, shape.num_teams=3"] * 2,
        "",
    ]
    assert [one.compiles for one in news] == [True, True, False, True, False, False]
    assert math.isnan(news[0].seconds_left) and news[-1].seconds_left == 0.0


def test_the_time_left_by_hand():
    assert math.isnan(seconds_left([], Ahead(4, 1)))
    # Only a chunk that compiled: 12 s for 4 pairs are 3 s a pair.
    assert seconds_left([Timing(4, True, 12.0)], Ahead(4, 1)) == 12.0
    # A warm one, .5 s a pair: the compilation took 12 - 2 = 10 s; 8 pairs and one compilation are left.
    timings = [Timing(4, True, 12.0), Timing(4, False, 2.0)]
    assert seconds_left(timings, Ahead(8, 1)) == 14.0
    assert seconds_left(timings, Ahead(0, 0)) == 0.0


def test_durations_as_they_are_said():
    assert [duration(one) for one in (math.nan, 3.2, 89, 90, 5399, 5400)] == [
        "?",
        "3 s",
        "89 s",
        "2 min",
        "90 min",
        "1.5 h",
    ]


class LearningRunner(CountingRunner):
    """The same with learning curves: weight + seed + update, one update fewer for the second scheme."""

    def __call__(self, settings, points, seeds):
        rows = super().__call__(settings, points, seeds)
        places = [(point.get("learning.sparsity_weight", 0.0), seed) for point in points for seed in seeds]
        length = 3 if settings.credit == "usage_aware" else 2
        curves = [{"learning/loss": [weight + seed + update for update in range(length)]} for weight, seed in places]
        return [row | {"curves": curve} for row, curve in zip(rows, curves, strict=True)]


def test_learning_curves_are_kept(tmp_path):
    folder = run_sweep(tmp_path / "s", small_plan(), LearningRunner())
    assert folder.results.read_bytes() == run_sweep(tmp_path / "t", small_plan(), CountingRunner()).results.read_bytes()
    table = read_table(folder.curves)
    assert table.column_names == [*read_sweep(folder)["fields"], "seed", "update", "learning/loss"]
    assert len(table) == 3 * 2 * 2 * (3 + 2)  # weights, teams, seeds, updates of the two schemes
    rows = [row for row in table.to_pylist() if row["learning.sparsity_weight"] == 0.5 and row["seed"] == 1]
    assert [row["learning/loss"] for row in rows if row["credit"] == "usage_aware"][:3] == [1.5, 2.5, 3.5]
    assert [row["update"] for row in rows if row["credit"] == "reinforce"] == [0, 1, 0, 1]
    again = run_sweep(tmp_path / "again", small_plan(pairs_per_program=1), LearningRunner())
    assert again.curves.read_bytes() == folder.curves.read_bytes()


def test_a_chunk_tells_that_it_is_alive(tmp_path, monkeypatch):
    heard: list[SweepNews] = []
    told = Event()
    monkeypatch.setattr(run_module, "TICK_SECONDS", 0.01)

    def hear(news: SweepNews) -> None:
        heard.append(news)
        if news.chunk_seconds > 0:
            told.set()

    class WaitingRunner(CountingRunner):
        def __call__(self, settings, points, seeds):
            assert told.wait(60.0)
            return super().__call__(settings, points, seeds)

    run_sweep(tmp_path / "s", small_plan(), WaitingRunner(), hear)
    assert heard[0].doing == "credit=usage_aware, shape.num_teams=2" and heard[0].compiles
    assert max(one.chunk_seconds for one in heard if one.num_done == 0) > 0
    assert (heard[-1].num_done, heard[-1].doing, heard[-1].chunk_seconds) == (8, "", 0.0)
    assert SweepNews(0, 1, 90.0, math.nan, "credit=gae", True, 90.0).told == (
        "credit=gae (compiles first), 2 min in this chunk"
    )
