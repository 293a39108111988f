"""A retriever that learned from readings: trained on what a reader who knows better took, kept in a file, and read by.

f(x) = W phi(x) / |W phi(x)| (`models.retriever`), x the instruction of a reading, its candidates the keys that were
offered: taken ones are positives, the others negatives. One lesson is one reading that took some and left some.
"""

import io
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from lts_jax.bridge.collate import CollateSettings
from lts_jax.bridge.collate_readings import collate_readings
from lts_jax.bridge.score_entries import EntryScorer
from lts_jax.errors import UserError
from lts_jax.learning.retrieval import Lessons, RetrievalSettings, new_state, train
from lts_jax.memory.encoded_texts import TextEncoder
from lts_jax.models.retriever import RetrieverParams, cosines
from lts_jax.records import RolloutGroup
from lts_jax.storage import write_bytes
from lts_jax.trajectory import ReadingContext


def train_reader(
    groups: Sequence[RolloutGroup],
    encoder: TextEncoder,
    sizes: CollateSettings,
    settings: RetrievalSettings,
    seed: int = 0,
) -> tuple[RetrieverParams, list[float]]:
    """The retriever after `settings.num_epochs` passes over the lessons in random order, and the loss of each update.

    Raises:
        UserError: rollouts without a reading that took some entries and left others.
    """
    contexts = [collate_readings(group, encoder, sizes) for group in groups]
    places = [(at, *place) for at, one in enumerate(contexts) for place in np.argwhere(_teaches(one)).tolist()]
    if not places:
        raise UserError("trained reader: expected readings that took some entries and left others, got none")
    order = np.random.default_rng(seed)
    batches = (
        batch for _ in range(settings.num_epochs) for batch in _batches(contexts, order.permutation(places), settings)
    )
    state, losses = train(settings, new_state(settings, encoder.dim), batches)
    return state.params, losses


def save_reader(path: Path, params: RetrieverParams) -> None:
    """W as a NumPy archive, whole or not at all."""
    content = io.BytesIO()
    np.savez(content, map=np.asarray(params["map"], np.float32))
    write_bytes(path, content.getvalue())


def reader_scorer(file: str, encoder: TextEncoder) -> EntryScorer:
    """Cosines of f(instruction) and f(key) with the W of a file.

    Raises:
        UserError: no such file, not one of `save_reader`, or one for embeddings of another width.
    """
    path = Path(file)
    try:
        with np.load(path, allow_pickle=False) as stored:
            weight_dd = np.asarray(stored["map"], np.float32)
    except FileNotFoundError:
        raise UserError(f"trained(file): expected a file of a trained reader, got {path}, which is not there") from None
    except Exception:
        raise UserError(f"trained(file): {path} is not a file of a trained reader") from None
    if weight_dd.shape != (encoder.dim, encoder.dim) or not np.isfinite(weight_dd).all():
        raise UserError(
            f"trained(file): expected a finite map of {encoder.dim} x {encoder.dim} for this encoder, got "
            f"{' x '.join(str(size) for size in weight_dd.shape)} in {path}"
        )
    return EntryScorer(cosines, {"map": jnp.asarray(weight_dd)}, encoder)


def _teaches(context: ReadingContext) -> np.ndarray:
    """bool[G, R]: readings that took some of what was offered and left some."""
    visible, chosen = np.asarray(context.visible_grn), np.asarray(context.chosen_grn)
    taught: np.ndarray = np.asarray(context.reading_mask_gr) & chosen.any(-1) & (visible & ~chosen).any(-1)
    return taught


def _batches(contexts: Sequence[ReadingContext], places: np.ndarray, settings: RetrievalSettings) -> Iterator[Lessons]:
    """Lessons in this order; those that do not fill a last batch are left out, unless there are no others."""
    size = min(settings.batch_size, len(places))
    for first in range(0, len(places) - size + 1, size):
        rows = [_lesson(contexts[at], group, reading) for at, group, reading in places[first : first + size].tolist()]
        stacked = [np.stack(parts) for parts in zip(*rows, strict=True)]
        yield Lessons(*map(jnp.asarray, stacked))


def _lesson(context: ReadingContext, group: int, reading: int) -> tuple[np.ndarray, ...]:
    at = partial(_at, group, reading)
    visible, chosen = at(context.visible_grn), at(context.chosen_grn)
    return at(context.query_grd), np.asarray(context.key_gnd)[group], chosen & visible, visible & ~chosen


def _at(group: int, reading: int, array: object) -> np.ndarray:
    found: np.ndarray = np.asarray(array)[group, reading]
    return found
