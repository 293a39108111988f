"""`lts system ms`: pools, retrievers and tables in a run folder that goes on after a kill; what reduces to what."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from lts_jax.cli import main
from lts_jax.errors import UserError
from lts_jax.memory.encoder_parts import make_encoder
from lts_jax.memory.pool import Pair, append_pairs, prompt_with, read_pool
from lts_jax.reports.tables_page import tables_html, tables_text
from lts_jax.storage import read_json
from lts_jax.systems import ms as system
from lts_jax.systems import ms_world
from lts_jax.systems.ms import ms
from lts_jax.systems.ms_filling import fill, right_share, teacher_of
from lts_jax.systems.ms_seed import Finder, study_seed, trained
from lts_jax.systems.ms_settings import MsSettings
from lts_jax.systems.ms_tables import figures, tables
from lts_jax.systems.ms_world import study_world, world_table
from lts_jax.systems.run_folder import open_run
from lts_jax.tasks.exemplars import KINDS, draw_exemplars

SMALL = MsSettings(
    num_seeds=2,
    initial_per_domain=9,
    problems_per_domain=6,
    tests_per_kind=2,
    bits_per_kind=1,
    world_streams=0,
    num_epochs=1,
)
ENCODER = make_encoder("hashing")


def drawn_of(settings, seed=1):
    initial, problems, tests = settings.sizes
    return draw_exemplars(seed, initial_per_domain=initial, problems_per_domain=problems, tests_per_kind=tests)


class Killed(Exception):
    """In place of a kill."""


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A run in one go."""
    folder = open_run(tmp_path_factory.mktemp("ms") / "run", SMALL, name="ms")
    return folder, ms(SMALL, folder, lambda line: None)[0]


def test_a_killed_run_goes_on_with_equal_numbers(unbroken, tmp_path, monkeypatch):
    folder, document = unbroken
    again = tmp_path / "run"
    shutil.copytree(folder.path, again)
    (again / "seeds" / "2.json").unlink()

    def killed(*arguments):
        raise Killed

    broken = open_run(again, SMALL, name="ms")
    with monkeypatch.context() as patch:
        patch.setattr(system, "study_seed", killed)
        with pytest.raises(Killed):
            ms(SMALL, broken, lambda line: None)
    assert not (again / "seeds" / "2.json").exists()
    told = []
    assert ms(SMALL, broken, told.append)[0] == document
    assert told == ["seed 2: done"]
    assert read_json(again / "seeds" / "2.json") == read_json(folder.path / "seeds" / "2.json")


def test_tables_fit_and_say_what_is_simulated(unbroken):
    document = unbroken[1]
    json.dumps(document, allow_nan=False)
    text = tables_text(document)
    assert text.startswith("Simulated:")
    assert max(map(len, text.splitlines())) <= 100
    assert "random (chance)" in text and "a stand-in" in text and "could resolve" in text
    page = tables_html(document, figures(SMALL, [read_json(unbroken[0].path / "seeds" / "1.json")]))
    assert page.count("<svg") == 1


def test_without_shots_no_retriever_matters(unbroken):
    found = read_json(unbroken[0].path / "seeds" / "1.json")
    assert found["bits"]["trained 0"] == found["bits"]["bm25 0"] == found["bits"]["random 0"]
    assert found["bits"]["size 100"] == found["bits"]["trained 2"]
    assert 2 * len(found["bits"]["trained 0"]) == len(found["kinds"]) == 2 * len(KINDS)


def test_tau_0_keeps_every_pair_and_101_none():
    drawn = drawn_of(SMALL)
    everything, nothing = (fill(replace(SMALL, tau=tau), drawn, 1) for tau in (0.0, 101.0))
    assert len(everything.pool) == len(drawn.initial) + len(drawn.problems)
    assert nothing.pool == ()
    found = study_seed(replace(SMALL, tau=101.0), 1, ENCODER)
    assert {value for row in found["found"].values() for value in row} == {0.0}
    assert found["bits"]["trained 3"] == found["bits"]["trained 0"]


def test_a_pool_holds_bare_questions_only():
    drawn = drawn_of(SMALL)
    filled = fill(SMALL, drawn, 1)
    questions = {one.question for one in drawn.problems}
    assert {pair.question for pair in filled.later} <= questions
    assert not any("Question:" in pair.question or "Answer:" in pair.question for pair in filled.pool)


@pytest.mark.parametrize(("kind", "expected"), [("haiku", 1.0), ("limerick", 0.0)])
def test_a_scripted_model_with_the_right_memory_is_right(kind, expected):
    """It answers with what stands next to its question; the right memory is the pair that has the reference answer."""

    def scripted(prompt):
        return prompt.split("\n\nQuestion:")[-2].split("Answer: ")[-1]

    item = next(one for one in drawn_of(SMALL).tests if one.kind == "haiku")
    wrong = next(one for one in drawn_of(SMALL).tests if one.kind == "limerick")
    own = item if kind == "haiku" else wrong
    pair = Pair(own.question, own.answer, "verse", 90.0, "x", 0.0)
    filled = replace(fill(SMALL, drawn_of(SMALL), 1), initial=(pair,), later=(), kind={pair: kind}, asked={pair: kind})
    found = Finder(ENCODER, {}, 0).found(filled.pool, [item], "cosine", "domain")[0]
    answered = scripted(prompt_with(found, item.question))
    assert float(answered == item.answer) == expected
    assert right_share(filled, found, item) == expected / 2  # one of the two places is empty


def test_a_useful_teacher_beats_a_shuffled_one_and_bm25():
    """Simulated; the release's own sizes, a seed that nothing was chosen on."""
    settings = MsSettings(num_seeds=1, tests_per_kind=20)
    drawn = drawn_of(settings, 11)
    filled = fill(settings, drawn, 11)
    teacher = teacher_of(filled, None)
    states = {arm: trained(settings, filled, teacher, ENCODER, 11, arm) for arm in ("trained", "shuffled")}
    finder = Finder(ENCODER, {"domain": states}, 11)
    share = {}
    for name in ("trained", "shuffled", "bm25", "cosine"):
        found = finder.found(filled.pool, drawn.tests, name, "domain")
        share[name] = np.mean([right_share(filled, one, item) for one, item in zip(found, drawn.tests, strict=True)])
    assert share["trained"] > max(share["bm25"], share["shuffled"], share["cosine"]) + 0.05
    assert share["bm25"] < 0.7


def test_an_outliving_pool_is_read_and_added_to(tmp_path):
    path = tmp_path / "pool.jsonl"
    settings = replace(SMALL, num_seeds=1, pool=path)
    held = Pair("What is a mill?", "A house that grinds.", "logic", 90.0, "before", 0.0)
    append_pairs(path, [held])
    path.write_bytes(path.read_bytes() + b'{"question": "half')
    told = []
    folder = open_run(tmp_path / "run", settings, name="ms")
    document, _ = ms(settings, folder, told.append)
    assert "half a last line" in told[0] and told[-1].endswith("new pairs")
    pairs = read_pool(path).pairs
    assert pairs[0] == held and len(pairs) > 20
    assert ms(settings, folder, told.append)[0] == document  # goes on from what the pool held when it began
    assert told[-1].endswith(": 0 new pairs")
    assert read_pool(path).pairs == pairs
    drawn = drawn_of(settings)
    again = fill(settings, drawn, 1, pairs)  # the same agents once more: nothing enters twice, what is known is told
    assert again.pool == pairs and again.later == ()
    assert [again.kind[pair] for pair in pairs[:1]] == ["unknown"]
    assert "unknown" not in {again.kind[pair] for pair in pairs[1:]}
    assert set(teacher_of(again, None)(held, pairs)) == {0.0}


@pytest.mark.slow
def test_the_offline_world_keeps_its_splits_apart(monkeypatch):
    monkeypatch.setattr(ms_world, "NUM_TRAININGS", 2)
    settings = MsSettings(world_streams=2, world_encoder="hashing(width=64)", num_epochs=1)
    found = study_world(settings)
    assert found["tasks"] == 378
    for pool in ("all", "stream"):
        rows = found["found"][pool]
        assert {name: len(row) for name, row in rows.items()} == {"bm25": 1, "cosine": 1, "trained": 2, "shuffled": 2}
        assert len({tuple(value is None for value in row) for some in rows.values() for row in some}) == 1
    assert sum(value is not None for value in found["found"]["all"]["bm25"][0]) == 310
    document = {"headline": "", "foot": "", "tables": [world_table(found)]}
    assert max(map(len, tables_text(document).splitlines())) <= 100


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--ms.tau", "102"], "tau: expected from 0"),
        (["--ms.num-seeds", "0"], "num_seeds: expected at least 1, got 0"),
        (["--ms.model", "none/such"], "none/such: no such folder"),
        (["--ms.encoder", "none"], "ms.encoder: "),
        (["--ms.tests-per-kind", "200", "--ms.world-streams", "0"], "at most 144 of a kind"),
        (["--ms.token-f1"], "token_f1: expected a language model"),
        (["--ms.learning-rate", "0"], "learning_rate: expected more than 0"),
    ],
)
def test_a_wrong_setting_is_one_line(arguments, told, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["system", "ms", "--run", "run", *arguments])
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert told in said.err and len(said.err.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_pool_of_another_schema_is_one_line(tmp_path):
    path = tmp_path / "pool.jsonl"
    path.write_text('{"pool_schema": 9}\n')
    settings = replace(SMALL, pool=path)
    with pytest.raises(UserError, match="pool of schema 9"):
        ms(settings, open_run(tmp_path / "run", settings, name="ms"), lambda line: None)
    assert path.read_text() == '{"pool_schema": 9}\n'


def test_a_document_needs_no_world():
    seeds = [study_seed(replace(SMALL, problems_per_domain=3), 1, ENCODER)]
    assert len(tables(SMALL, seeds, None)["tables"]) == 6
