"""Memory Sharing (MS, INMS; arXiv 2404.09982): a pool filled by interaction, and a retriever that every pair trains.

Agents write questions for known answers, others answer, a judge's score decides what enters the pool; each stored pair
teaches a retriever which of BM25's candidates help. Beside it: the frozen encoder, BM25, a shuffled teacher, what the
release trains, and chance. Every seed is a file, and with a language model every block of texts, so that a run that
was killed goes on and ends with the same numbers.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from lts_jax.bridge.answer_likelihood import AnswerScorer
from lts_jax.bridge.answer_writing import AnswerWriter
from lts_jax.memory.encoder_parts import make_encoder
from lts_jax.memory.pool import Pair, append_pairs, read_pool, told_cut
from lts_jax.plain import from_plain, to_plain
from lts_jax.reports.svg import Figure
from lts_jax.storage import read_json, write_document
from lts_jax.systems.kept import kept
from lts_jax.systems.ms_filling import fill
from lts_jax.systems.ms_seed import study_seed
from lts_jax.systems.ms_settings import MsSettings
from lts_jax.systems.ms_tables import figures, tables
from lts_jax.systems.run_folder import RunFolder
from lts_jax.tasks.exemplars import draw_exemplars

Say = Callable[[str], None]


def ms(settings: MsSettings, run_folder: RunFolder, say: Say) -> tuple[dict[str, Any], Sequence[Figure]]:
    """Pools and retrievers of all seeds, then the tables. What a file has is not computed again.

    Raises:
        UserError: no such encoder or model folder, or a pool that cannot be read.
    """
    encoder = make_encoder(settings.encoder, where="ms.encoder")
    scorer = writer = None
    if settings.model is not None:
        scorer = AnswerScorer(settings.model, run_folder.path / "read")
        writer = AnswerWriter(settings.model, run_folder.path / "written") if settings.token_f1 else None
    held = _held(settings, run_folder, say)
    seeds = []
    for seed in settings.seeds:
        path = run_folder.path / "seeds" / f"{seed}.json"
        own = held if seed == settings.first_seed else ()
        study = partial(study_seed, settings, seed, encoder, scorer, writer, own)
        seeds.append(kept(path, study, partial(say, f"seed {seed}: done")))
    if settings.pool is not None:
        initial, problems, tests = settings.sizes
        drawn = draw_exemplars(
            settings.first_seed, initial_per_domain=initial, problems_per_domain=problems, tests_per_kind=tests
        )
        num_new = append_pairs(settings.pool, fill(settings, drawn, settings.first_seed, held).pool)
        say(f"{settings.pool}: {num_new} new pairs")
    world = None
    if settings.world_streams:
        from lts_jax.systems.ms_world import study_world

        told = partial(say, "offline world: done")
        world = kept(run_folder.path / "world.json", partial(study_world, settings), told)
    document = tables(settings, seeds, world)
    return document, figures(settings, seeds)


def _held(settings: MsSettings, run_folder: RunFolder, say: Say) -> tuple[Pair, ...]:
    """What the outliving pool held when this run began, kept in the run's folder for when it goes on.

    Raises:
        UserError: the pool cannot be read.
    """
    if settings.pool is None:
        return ()
    path = run_folder.path / "pool_before.json"
    if not path.exists():
        read = read_pool(settings.pool)
        if told_cut(settings.pool, read):
            say(told_cut(settings.pool, read))
        write_document(path, {"pairs": [to_plain(pair) for pair in read.pairs]})
    return tuple(from_plain(Pair, one, str(path)) for one in read_json(path, dict)["pairs"])
