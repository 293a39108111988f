"""A rollout's row and the thread that writes: by hand, and against the table that Arrow itself makes of the records."""

import threading
from dataclasses import replace

import pyarrow
import pytest
from pyarrow import parquet

from lts_jax.errors import UserError
from lts_jax.plain import to_plain
from lts_jax.records import Coordinates
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.rollouts.executor import Finished
from lts_jax.rollouts.restart import unfinished_path
from lts_jax.rollouts.rows import redacted_here, rollout_of, row_of, table_of
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.rollouts.store import read_rollouts, rollout_files, write_rollouts
from lts_jax.rollouts.writing import MOST_WAITING, Writer, Writing
from lts_jax.systems.comparison import ComparisonSettings, make_arm, make_policy
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.systems.world import almanac_tasks
from lts_jax.teams.settings import TeamSettings

TASK = almanac_tasks(0, "test", 1)[0]
SHORT = RolloutSettings(num_teams=2, team=TeamSettings(max_rounds=3))


@pytest.fixture(scope="module")
def arm():
    run = make_parts(TrainSettings(rollout=SHORT))
    return make_arm("all", run, make_policy("all", run, ComparisonSettings()))


@pytest.fixture(scope="module")
def rollouts(arm):
    [group] = collect_groups([TASK], arm.parts, arm.rollout, CollectSettings(3), Iteration(5, 0))
    return group.rollouts


def test_joined_rows_are_the_table_of_the_records(rollouts, tmp_path):
    joined = table_of([row_of(one) for one in rollouts])
    assert joined == pyarrow.Table.from_pylist([to_plain(one) for one in rollouts], schema=joined.schema)
    assert all(column.num_chunks == 1 for column in joined.columns)
    write_rollouts(tmp_path / "joined.parquet", rollouts)
    assert parquet.read_table(tmp_path / "joined.parquet").cast(joined.schema) == joined
    assert read_rollouts(tmp_path / "joined.parquet") == rollouts


def test_a_row_comes_back_and_one_that_rotted_is_refused(rollouts, tmp_path):
    row = row_of(rollouts[0])
    assert rollout_of(row, "here") == rollouts[0] and row_of(rollouts[0]) == row
    path = tmp_path / "one.row"
    write_rollouts(path, rollouts[:1])
    assert path.read_bytes() == row and read_rollouts(path) == rollouts[:1]
    for wrong in (row[:-1], row[:100], b"", row.replace(b"lts_jax_schema", b"lts_jax_schem_", 1)):
        path.write_bytes(wrong)
        with pytest.raises(UserError, match=r"one.row: is not what was written"):
            read_rollouts(path)


def test_a_row_made_elsewhere_loses_the_secrets_of_this_process(rollouts, monkeypatch):
    secret = "kestrel 4 over the weir"
    told = replace(rollouts[0], final=replace(rollouts[0].final, text=f"it is {secret}"))
    row = row_of(told)
    assert secret.encode() in row and redacted_here(row) is row
    monkeypatch.setenv("WEIR_API_KEY", secret)
    again = redacted_here(row)
    assert again == row_of(told) and secret.encode() not in again
    assert rollout_of(again, "here").final.text == "it is [redacted: WEIR_API_KEY]"


def test_files_are_written_in_order_and_what_is_replaced_never_is(tmp_path):
    begun, seen, made = threading.Event(), [], []
    holds = threading.Event()

    def first():
        begun.set()
        holds.wait(60)
        return b"first"

    def content(name):
        made.append(name)
        return name.encode()

    writer = Writer()
    writer.put(Writing(tmp_path / "first", first))
    assert begun.wait(60)  # the rest waits, and is taken together
    for name in ("one", "two", "other"):
        writer.put(Writing(tmp_path / name, lambda name=name: content(name)))
    replaces = (tmp_path / "one", tmp_path / "two")
    told = lambda: seen.append((tmp_path / "group").read_bytes())  # noqa: E731
    writer.put(Writing(tmp_path / "group", lambda: content("group"), replaces, told))
    holds.set()
    writer.close()
    assert made == ["other", "group"] and seen == [b"group"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "group", "other"]
    writer.put(Writing(tmp_path / "more", lambda: b"more"))  # and it can be used again
    writer.close()
    assert (tmp_path / "more").read_bytes() == b"more"


def test_what_cannot_be_written_is_raised_and_nothing_waits_for_ever(tmp_path):
    def fails():
        raise OSError("no space left")

    writer = Writer()
    writer.put(Writing(tmp_path / "first", fails))
    with pytest.raises(OSError, match="no space left"):
        for place in range(2 * MOST_WAITING + 20):
            writer.put(Writing(tmp_path / f"{place}", lambda: b"x", then=lambda: pytest.fail("it is not written")))
            threading.Event().wait(1e-3)
    with pytest.raises(OSError, match="no space left"):
        writer.close()
    assert not (tmp_path / "first").exists()


class Brings:
    """An executor that has the rollouts already, with rows or without, and may stop in the middle."""

    def __init__(self, rollouts, *, with_rows, stop_after=99):
        self._rollouts, self._with_rows, self._stop_after = rollouts, with_rows, stop_after

    def run(self, jobs, work, keep):
        assert work.is_stored
        of = {one.coordinates: one for one in self._rollouts}
        for place, job in enumerate(jobs):
            if place == self._stop_after:
                raise UserError("stopped")
            one = of[job.coordinates]
            keep(Finished(job, one, row=row_of(one) if self._with_rows else b""))


@pytest.mark.parametrize("live", [True, False])
def test_files_are_the_same_whoever_made_the_rows(arm, rollouts, live, tmp_path):
    parts = replace(arm.parts, virtual_time=not live)
    for name, with_rows in (("here", False), ("there", True)):
        iteration = Iteration(5, 0, executor=Brings(rollouts, with_rows=with_rows))
        [group] = collect_groups([TASK], parts, arm.rollout, CollectSettings(3), iteration, tmp_path / name)
        assert group.rollouts == rollouts
    here, there = (sorted((tmp_path / name).rglob("*")) for name in ("here", "there"))
    assert [path.name for path in here] == [path.name for path in there] and len(here) == 1
    assert here[0].read_bytes() == there[0].read_bytes()


@pytest.mark.parametrize("suffix", [".row", ".parquet"])
def test_what_was_stored_alone_is_not_run_again_also_by_older_programs(arm, rollouts, suffix, tmp_path):
    parts = replace(arm.parts, virtual_time=False)
    given = [TASK], parts, arm.rollout, CollectSettings(3)
    with pytest.raises(UserError, match="stopped"):
        collect_groups(*given, Iteration(5, 0, executor=Brings(rollouts, with_rows=True, stop_after=2)), tmp_path)
    paths = [unfinished_path(tmp_path, 0, TASK, number) for number in range(2)]
    assert rollout_files(tmp_path) == paths  # written, although the collection ended in an error
    if suffix == ".parquet":
        for path in paths:
            write_rollouts(path.with_suffix(suffix), read_rollouts(path))
            path.unlink()
    rest = Brings([one for one in rollouts if one.coordinates == Coordinates(5, 0, TASK.task_id, 2)], with_rows=True)
    [group] = collect_groups(*given, Iteration(5, 0, executor=rest), tmp_path)
    assert group.rollouts == rollouts and not (tmp_path / "unfinished").exists()
    assert [path.name for path in rollout_files(tmp_path)] == [f"0000-{TASK.task_id}.parquet"]
