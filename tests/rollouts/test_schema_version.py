"""What docs/data_schema_policy.md promises: what an older program wrote reads, what a newer one added is refused."""

from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

import lts_jax as lts
from lts_jax.errors import UserError
from lts_jax.plain import field_types, to_plain, without_none
from lts_jax.records import SCHEMA_VERSION, Rollout
from lts_jax.rollouts.rows import column_types
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.rollouts.store import read_rollouts, write_rollouts
from lts_jax.teams.settings import TeamSettings

FROZEN = Path(__file__).parent / "schema_version_2.txt"
SHORT = lts.TrainSettings(rollout=RolloutSettings(num_teams=2, team=TeamSettings(max_rounds=3)))
KEY = b"lts_jax_schema"


@pytest.fixture(scope="module")
def rollout():
    made = lts.rollout(settings=SHORT, policy="all")
    assert made.calls and made.entries and made.policy == "all"
    return made


def rewritten(path, rollout, change, version=b"2"):
    """The file of a rollout, after `change` of its one row as plain values."""
    row = to_plain(rollout)
    change(row)
    parquet.write_table(pyarrow.Table.from_pylist([row]).replace_schema_metadata({KEY: version}), path)
    return path


def test_a_file_says_its_version_and_reads(rollout, tmp_path):
    write_rollouts(tmp_path / "one.parquet", [rollout])
    assert parquet.read_schema(tmp_path / "one.parquet").metadata[KEY] == b"2"
    assert read_rollouts(tmp_path / "one.parquet") == (rollout,)


def test_a_file_without_what_was_added_later_reads(rollout, tmp_path):
    def before(row):
        for name in ("edits", "drawers", "may_edit", "reader", "choices", "listing_window"):
            del row[name]
        for call in row["calls"]:
            del call["thought"], call["is_cut"]
        del row["task"]["told"]

    thoughtful = replace(rollout, calls=tuple(replace(one, thought="hm", is_cut=True) for one in rollout.calls))
    path = rewritten(tmp_path / "old.parquet", thoughtful, before)
    assert read_rollouts(path) == (rollout,)


@pytest.mark.parametrize(
    ("version", "told"),
    [
        (b"3", "schema version 3, this program reads 2; a newer one wrote it"),
        (b"1", "schema version 1, this program reads 2"),
        (b"two", "schema version two, this program reads 2"),
    ],
)
def test_another_version_is_refused_in_a_line(rollout, tmp_path, version, told):
    path = rewritten(tmp_path / "other.parquet", rollout, lambda row: None, version)
    with pytest.raises(UserError) as caught:
        read_rollouts(path)
    assert str(caught.value) == f"{path}: {told}"


@pytest.mark.parametrize("place", ["weather", "task.weather", "calls.weather"])
def test_a_column_that_a_newer_program_added_is_named(rollout, tmp_path, place):
    def later(row):
        room, _, name = place.rpartition(".")
        for one in [row[room]] if room == "task" else row[room] if room else [row]:
            one[name] = "rain"

    path = rewritten(tmp_path / "later.parquet", rollout, later)
    with pytest.raises(UserError) as caught:
        read_rollouts(path)
    assert str(caught.value) == f"{path}: a newer program wrote it, this one does not know the column {place}"


def test_what_version_2_had_when_it_was_frozen_is_there_in_its_order():
    frozen = [tuple(line.split(": ")) for line in FROZEN.read_text(encoding="utf-8").splitlines()]
    assert SCHEMA_VERSION == 2, "freeze the columns of the new version, and read the old one"
    assert [(name, kind) for name, kind in column_types().items() if name in dict(frozen)] == frozen
    records = dict(records_of(Rollout))
    assert {name.rpartition(".")[0] for name in column_types()} <= records.keys()
    for name in column_types().keys() - dict(frozen).keys():
        record, _, field = name.rpartition(".")
        [added] = [one for one in fields(records[record]) if one.name == field]
        assert added.default is not MISSING or added.default_factory is not MISSING, f"{name} needs a default"
        assert added in fields(records[record])[num_frozen(record, frozen) :], f"{name} belongs at the end"


def num_frozen(record, frozen):
    """How many fields a record had when it was frozen."""
    return sum(name.rpartition(".")[0] == record for name, _ in frozen)


def records_of(record, name=""):
    """Every dataclass below `record` with its dotted name."""
    yield name, record
    for field, kind in field_types(record).items():
        inner = kind if not hasattr(kind, "__args__") else without_none(kind)
        if is_dataclass(inner):
            yield from records_of(inner, f"{name}.{field}".lstrip("."))
