"""From records to arrays: what readers were offered and took, for readers that are trained."""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from lts_jax.bridge.collate import CollateSettings, TextEncoder
from lts_jax.errors import UserError
from lts_jax.records import Choice, Rollout, RolloutGroup
from lts_jax.trajectory import ReadingContext

Needed = Callable[[Rollout, Choice], Collection[int]]
"""The entries, of those that were offered, that the coming step needed; known where the truth is."""


def collate_readings(
    group: RolloutGroup, encoder: TextEncoder, settings: CollateSettings, *, needed: Needed | None = None
) -> ReadingContext:
    """Every choice of a group's readers as arrays [G, R, ...] with R = K * T; readings in order of the record.

    Args:
        group: rollouts of one task, with choices.
        encoder: of instructions and keys.
        settings: padded sizes; a team reads at most once before each of its steps, and before its answer.
        needed: which entries were needed; without it `needed_grn` is None.

    Raises:
        UserError: more entries or readings than the padding holds.
    """
    rollouts, width = group.rollouts, encoder.dim
    num_readings = max(rollout.num_teams for rollout in rollouts) * (settings.max_steps + 1)
    shape = (len(rollouts), num_readings, settings.max_entries)
    query, key = np.zeros((*shape[:2], width), np.float32), np.zeros((shape[0], shape[2], width), np.float32)
    visible, chosen, wanted = (np.zeros(shape, bool) for _ in range(3))
    mask, log_prob = np.zeros(shape[:2], bool), np.zeros(shape[:2], np.float32)
    for place, rollout in enumerate(rollouts):
        _check_size(rollout, shape)
        if rollout.entries:
            key[place, : len(rollout.entries)] = encoder.encode([entry.key for entry in rollout.entries])
        if rollout.choices:
            texts = [choice.instruction for choice in rollout.choices]
            query[place, : len(texts)] = encoder.encode(texts)
        for number, choice in enumerate(rollout.choices):
            mask[place, number], log_prob[place, number] = True, choice.log_prob
            visible[place, number, list(choice.offered)] = True
            chosen[place, number, list(choice.taken)] = True
            if needed is not None:
                wanted[place, number, list(needed(rollout, choice))] = True
    arrays: dict[str, Any] = {
        "query_grd": query,
        "key_gnd": key,
        "visible_grn": visible,
        "chosen_grn": chosen,
        "reading_mask_gr": mask,
        "log_prob_gr": log_prob,
        "reward_g": np.array([rollout.reward_agg for rollout in rollouts], np.float32),
        "needed_grn": None if needed is None else wanted & visible,
    }
    return ReadingContext(**arrays)


def _check_size(rollout: Rollout, shape: tuple[int, int, int]) -> None:
    for name, count, most in (
        ("entries", len(rollout.entries), shape[2]),
        ("readings", len(rollout.choices), shape[1]),
    ):
        if count > most:
            raise UserError(f"collate: expected at most {most} {name} of a rollout, got {count}")
