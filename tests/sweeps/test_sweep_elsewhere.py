"""Chunks that others compute: in another order, by another command, or as Ray would; the bytes are the same."""

import pickle
from collections.abc import Iterator

import pytest
from small_sweep import BASE, KNOWN, CountingRunner, small_plan

from lts_jax.errors import UserError
from lts_jax.sweeps.cells import cells, chunks
from lts_jax.sweeps.elsewhere import Share, chunk_function, read_share
from lts_jax.sweeps.run import Computing, rows_of, run_sweep
from lts_jax.systems.run_folder import RunFolder, working_in


def test_parts_by_several_commands_make_the_table_of_one(tmp_path):
    whole = run_sweep(tmp_path / "whole", small_plan(), CountingRunner())
    runners = [CountingRunner() for _ in range(3)]
    for number, runner in zip((2, 3, 1), runners, strict=True):
        folder = run_sweep(tmp_path / "s", small_plan(), runner, how=Computing(share=Share(number, 3)))
        assert folder.results.exists() == (number == 1)  # the last to end
    assert folder.results.read_bytes() == whole.results.read_bytes()
    everything = chunks(cells(BASE, KNOWN, small_plan().points), small_plan().seeds, small_plan().pairs_per_program)
    assert sorted(one.digest for n in (1, 2, 3) for one in Share(n, 3).of(everything)) == sorted(
        one.digest for one in everything
    )


def test_two_parts_may_be_at_work_at_once_and_one_part_only_once(tmp_path):
    folder = run_sweep(tmp_path / "s", small_plan(), CountingRunner(), how=Computing(share=Share(1, 2)))
    with working_in(RunFolder(folder.path), lock=Share(1, 2).lock):
        run_sweep(tmp_path / "s", small_plan(), CountingRunner(), how=Computing(share=Share(2, 2)))
        with (
            pytest.raises(UserError, match="another process works"),
            working_in(RunFolder(folder.path), lock=".lock-1-of-2"),
        ):
            pass
    assert folder.results.exists()


def test_chunks_that_end_in_another_order_make_the_same_table(tmp_path):
    whole = run_sweep(tmp_path / "whole", small_plan(), CountingRunner())
    news = []

    def backwards(missing) -> Iterator:
        for chunk in reversed(missing):
            again = pickle.loads(pickle.dumps(chunk))  # it travels
            assert again.digest == chunk.digest
            yield chunk, rows_of(again, CountingRunner())

    folder = run_sweep(tmp_path / "s", small_plan(), CountingRunner(), news.append, Computing(mapper=backwards))
    assert folder.results.read_bytes() == whole.results.read_bytes()
    assert news[0].doing == "on workers" and news[-1].num_done == news[-1].num_chunks


def test_the_function_of_a_chunk_travels():
    function = chunk_function("simulator", "runs/sweep", small_plan())
    assert pickle.loads(pickle.dumps(function)).args[0] == "simulator"


def test_how_a_part_is_named():
    assert read_share("") == Share(1, 1) and read_share("3/8") == Share(3, 8)
    assert Share().lock == ".lock" and Share(3, 8).lock == ".lock-3-of-8"
    for wrong in ("0/8", "9/8", "3", "a/b", "3/", "-1/2"):
        with pytest.raises(UserError, match="part: expected NUMBER/COUNT"):
            read_share(wrong)
