"""`lts system simplemem`: every switch changes what is stored or read, and a killed run goes on with equal results."""

import json

import pytest

from lts_jax.commands.system import IN_WORDS, SYSTEMS
from lts_jax.errors import UserError
from lts_jax.memory.consolidate import MergeSettings
from lts_jax.memory.fact_memory import FactSettings
from lts_jax.systems.run_folder import open_run
from lts_jax.systems.simplemem import simplemem
from lts_jax.systems.simplemem_settings import SimplememSettings
from lts_jax.systems.simplemem_tables import FACT_ROWS, RAW_ROWS, rows_of

SMALL = SimplememSettings(stream_tasks=7, num_streams=2, num_seeds=1, rollout_tasks=0, split="train")


def run(path, settings=SMALL):
    said = []
    document, figures = simplemem(settings, open_run(path, settings, name="simplemem"), said.append)
    return json.dumps(document), figures, said


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("simplemem") / "run"
    return path, *run(path)


def blocks(path, start):
    return [json.loads(file.read_text()) for file in sorted((path / "streams").glob(f"{start}_*"))]


def test_it_is_listed_as_a_system_over_text():
    assert "simplemem" in SYSTEMS and "simplemem" in IN_WORDS


def test_a_killed_run_goes_on_with_equal_results(whole):
    path, document, _, said = whole
    assert len(said) == 2 * (1 + 1 + 3 + 1)
    for file in ("facts_1_1.json", "raw_0.json", "slips_0_0.json"):
        (path / "streams" / file).unlink()
    again, _, said = run(path)
    assert said == ["raw 0", "slips 0 0", "facts 1 1"]

    def timeless(text):  # the last column of the second table is of the clock
        found = json.loads(text)
        for row in found["tables"][1]["rows"]:
            row.pop()
        return found

    assert timeless(again) == timeless(document)
    assert run(path)[2] == []


def test_each_switch_changes_what_is_stored_or_what_is_read(whole):
    for block in blocks(whole[0], "facts"):
        stored = {name: one["digest"] for name, one in block["stored"].items()}
        assert len(set(stored.values())) == len(stored) == 3
        read = {name: [one["read"] for one in row] for name, row in block["rows"].items()}
        for name in FACT_ROWS[1:]:
            assert read[name] != read["facts"], name


def test_facts_are_fewer_tokens_and_the_reader_scores_above_chance(whole):
    path, document, figures, _ = whole
    assert "Simulated." in json.loads(document)["headline"] and figures[0]
    rows = rows_of(blocks(path, "raw"), {0: blocks(path, "facts")[:1], 1: blocks(path, "facts")[1:]})
    assert set(rows) == {*RAW_ROWS, *FACT_ROWS}
    assert rows["full context"].mean("score") == 1.0
    assert rows["facts"].mean("score") > rows["random"].mean("score") + 0.3
    assert rows["facts"].mean("prompt_tokens") < rows["raw bank"].mean("prompt_tokens")
    for block, raw in zip(blocks(path, "facts"), blocks(path, "raw"), strict=True):
        assert raw["tokens"] > 5 * block["stored"]["facts"]["tokens"]


def test_without_slips_merging_loses_nothing_that_is_needed(tmp_path):
    from lts_jax.memory.encoder_parts import make_encoder
    from lts_jax.systems.fact_streams import stream_of
    from lts_jax.systems.simplemem import _Work, streams_of
    from lts_jax.tasks.almanac.world import build_almanac

    almanac = build_almanac(0)
    tasks = streams_of(almanac, SMALL)[0]
    for threshold in (0.7, 0.8, 2.0):
        facts = FactSettings(merge=MergeSettings(threshold=threshold))
        settings = SimplememSettings(stream_tasks=7, num_streams=2, split="train", facts=facts)
        work = _Work(almanac, tasks, stream_of(almanac, tasks), make_encoder("hashing"), settings)
        stored = work.slips(0.0)["stored"]["facts"]
        assert stored["kept"] == stored["needed"] > 10


@pytest.mark.parametrize(
    ("values", "told"),
    [({"slips": 2.0}, "slips"), ({"num_streams": 0}, "num_streams"), ({"split": "dev"}, "split")],
)
def test_wrong_settings_are_one_line(values, told):
    with pytest.raises(UserError, match=told):
        SimplememSettings(**values)


def test_more_streams_than_tasks_are_refused(tmp_path):
    settings = SimplememSettings(num_streams=100)
    with pytest.raises(UserError, match="num_streams"):
        simplemem(settings, open_run(tmp_path / "run", settings, name="simplemem"), print)
