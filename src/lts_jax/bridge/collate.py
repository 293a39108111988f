"""THE BRIDGE from text to arrays: one `RolloutGroup` becomes a `Trajectory` and a `DecisionContext`.

Here and in `collate_edits` alone a record becomes an array. Padding is decided here once: K teams, T steps, N entries.
The memory of a decision is the prefix of entries committed before it, without those that had ended, so keys are stored
once per rollout, not once per decision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import jax
import numpy as np

from lts_jax.bridge.collate_edits import edit_arrays, has_edits, has_lives, life_arrays
from lts_jax.errors import UserError
from lts_jax.memory.lives import check_lives, owed_pulls
from lts_jax.memory.merged_credit import use_shares
from lts_jax.memory.usage import first_pull_seconds, readers_of_entries, spared_readers
from lts_jax.records import EARLIER, Rollout, RolloutGroup, StopReason
from lts_jax.rollouts.outcomes import has_own_end, ran_out_of_budget
from lts_jax.trajectory import DecisionContext, FlippedRollouts, RegroupedRollouts, Trajectory

Place = tuple[int, int, int]
"""A decision of a group: number of the rollout in the group, team, step."""


class TextEncoder(Protocol):
    """Texts to unit vectors f32[n, D]."""

    @property
    def dim(self) -> int:
        """Embedding width D."""
        ...

    def encode(self, texts: Sequence[str]) -> Any:
        """f32[n, D], one row per text."""
        ...


@dataclass(frozen=True, slots=True)
class CollateSettings:
    """Padded sizes, and which pulls count as use."""

    max_steps: int = 32  # T; a team with more steps is an error, not a cut
    max_entries: int = 96  # N: 3 teams of 32 steps
    own_pulls_count: bool = False  # whether a team's pull of its own entry makes it used (open in the paper; ours)
    edits: bool = (
        False  # masks, targets and lives also where no rollout of a group has an edit, as others of a batch do
    )
    lives: bool = False  # lives also where nothing of a group ended, as in others of a batch
    merged_credit: Literal["equal", "full"] = "equal"  # a merged entry's use: split among its writers, or each in full

    def __post_init__(self) -> None:
        if self.merged_credit not in ("equal", "full"):
            raise UserError(f"collate.merged_credit: expected equal or full, got {self.merged_credit!r}")
        for name in ("max_steps", "max_entries"):
            if getattr(self, name) < 1:
                raise UserError(f"collate.{name}: expected at least 1, got {getattr(self, name)}")


def collate(group: RolloutGroup, encoder: TextEncoder, settings: CollateSettings) -> tuple[Trajectory, DecisionContext]:
    """One group as arrays [G, K, T] and the controller's inputs of every decision.

    What edits add (`collate_edits`) is None unless a rollout of the group has any, or the settings ask for it. The use
    of an entry that replaced others counts for those too; of one that was merged, in shares (`memory.merged_credit`).

    Raises:
        ValueError: rollouts of different size, more steps or entries than the padding holds, a decision whose step is
            missing, or an edit that cannot be: one line says what was expected.
    """
    rollouts = group.rollouts
    num_teams = {rollout.num_teams for rollout in rollouts}
    if len(num_teams) != 1:
        raise ValueError(f"rollouts of one group must have one number of teams, got {sorted(num_teams)}")
    shape = (len(rollouts), num_teams.pop(), settings.max_steps)
    arrays = _empty(shape)
    keys = np.zeros((shape[0], settings.max_entries, encoder.dim), np.float32)
    steps = np.zeros((*shape, 3, encoder.dim), np.float32)
    for index, rollout in enumerate(rollouts):
        _check_size(rollout, settings)
        _fill(arrays, index, rollout, settings)
        if rollout.entries:
            keys[index, : len(rollout.entries)] = encoder.encode([entry.key for entry in rollout.entries])
        _fill_steps(steps[index], rollout, encoder)
    chosen: dict[str, Any] = {}
    seen: dict[str, Any] = {}
    if settings.edits or settings.lives or has_lives(rollouts):
        seen = life_arrays(rollouts, shape, settings.max_entries)
        if settings.merged_credit == "equal":
            chosen = {"use_share_gkt": _use_shares(rollouts, shape, settings)}
    if settings.edits or has_edits(rollouts):
        chosen |= edit_arrays(rollouts, seen)
    context = DecisionContext(
        query_d=encoder.encode([group.task.question])[0],
        key_gnd=keys,  # type: ignore[arg-type]
        num_keys_gkt=arrays.pop("num_keys_gkt"),  # type: ignore[arg-type]
        step_gktsd=steps,  # type: ignore[arg-type]
        **seen,
    )
    return Trajectory(**arrays, **chosen), context  # type: ignore[arg-type]


def collate_flipped(
    group: RolloutGroup, replays: Mapping[Place, Rollout], settings: CollateSettings
) -> FlippedRollouts:
    """Rollouts with one decision turned, by the place of that decision, as arrays [G, K, T].

    NaN where there is no replay, or the replay does not count (see `rollout_counts`).

    Raises:
        ValueError: a rollout of the group has more steps or entries than the padding holds.
    """
    for rollout in group.rollouts:
        _check_size(rollout, settings)
    shape = (len(group.rollouts), group.rollouts[0].num_teams, settings.max_steps)
    agg, first, runtime = (np.full(shape, np.nan, np.float32) for _ in range(3))
    for place, rollout in replays.items():
        if rollout_counts(rollout):
            agg[place], first[place], runtime[place] = rollout.reward_agg, rollout.reward_first, rollout.seconds
    return FlippedRollouts(reward_agg_gkt=agg, reward_first_gkt=first, runtime_gkt=runtime)  # type: ignore[arg-type]


def collate_regrouped(
    group: RolloutGroup, futures: Sequence[Mapping[Place, Rollout]], settings: CollateSettings
) -> RegroupedRollouts:
    """M re-rollouts of every decision, by the place of that decision, as arrays [G, M, K, T].

    NaN, and errors, as in `collate_flipped`.
    """
    each = [collate_flipped(group, replays, settings) for replays in futures]
    return RegroupedRollouts(
        runtime_gmkt=np.stack([one.runtime_gkt for one in each], axis=1),  # type: ignore[arg-type]
        reward_agg_gmkt=np.stack([one.reward_agg_gkt for one in each], axis=1),  # type: ignore[arg-type]
        reward_first_gmkt=np.stack([one.reward_first_gkt for one in each], axis=1),  # type: ignore[arg-type]
    )


def stack(groups: Sequence[tuple[Trajectory, DecisionContext]]) -> tuple[Trajectory, DecisionContext]:
    """Stack groups of equal size along a new first axis B. Arrays stay on the host.

    Raises:
        ValueError: arrays of different size, or replays, values or edits in some groups and not in others.
    """
    if len({(context.died_gn is None, found.target_gkt is None) for found, context in groups}) > 1:
        raise ValueError(
            "groups of one batch: expected edits in all or in none; collate all of them with edits=True, or with "
            "lives=True where entries are merged"
        )
    return jax.tree.map(lambda *parts: np.stack(parts), *groups)


def _empty(shape: tuple[int, int, int]) -> dict[str, np.ndarray]:
    rollouts, teams, _ = shape
    return {
        "reward_agg_g": np.full(rollouts, np.nan, np.float32),
        "reward_first_g": np.full(rollouts, np.nan, np.float32),
        "runtime_g": np.zeros(rollouts, np.float32),
        "tokens_g": np.zeros(rollouts, np.float32),
        "usd_g": np.zeros(rollouts, np.float32),
        "finish_seconds_gk": np.full((rollouts, teams), np.inf, np.float32),
        "action_gkt": np.zeros(shape, np.int32),
        "behavior_log_prob_gkt": np.zeros(shape, np.float32),
        "decision_seconds_gkt": np.full(shape, np.inf, np.float32),
        "used_gkt": np.zeros(shape, bool),
        "num_other_readers_gkt": np.zeros(shape, np.int32),
        "num_spared_gkt": np.zeros(shape, np.int32),
        "first_pull_seconds_gkt": np.full(shape, np.inf, np.float32),
        "step_seconds_gkt": np.zeros(shape, np.float32),
        "step_mask_gkt": np.zeros(shape, bool),
        "decision_mask_gkt": np.zeros(shape, bool),
        "rollout_mask_g": np.zeros(rollouts, bool),
        "num_keys_gkt": np.zeros(shape, np.int32),
    }


def _check_size(rollout: Rollout, settings: CollateSettings) -> None:
    longest = max((step.step + 1 for step in rollout.steps), default=0)
    if longest > settings.max_steps:
        raise ValueError(f"a team took {longest} steps, the padding holds {settings.max_steps}")
    if len(rollout.entries) > settings.max_entries:
        raise ValueError(f"a bank has {len(rollout.entries)} entries, the padding holds {settings.max_entries}")
    check_lives(rollout.entries, rollout.edits)


def _fill(arrays: dict[str, np.ndarray], index: int, rollout: Rollout, settings: CollateSettings) -> None:
    arrays["reward_agg_g"][index] = rollout.reward_agg
    arrays["reward_first_g"][index] = rollout.reward_first
    arrays["runtime_g"][index] = rollout.seconds
    arrays["tokens_g"][index] = rollout.tokens
    arrays["usd_g"][index] = sum(call.usd for call in rollout.calls)
    arrays["rollout_mask_g"][index] = rollout_counts(rollout)
    for answer in rollout.answers:
        if has_own_end(answer):  # a team that was stopped or broke down has not finished
            arrays["finish_seconds_gk"][index, answer.team] = answer.seconds
    for step in rollout.steps:
        arrays["step_mask_gkt"][index, step.team, step.step] = True
        arrays["step_seconds_gkt"][index, step.team, step.step] = step.finished_seconds - step.started_seconds
    for decision in rollout.decisions:
        place = (index, decision.team, decision.step)
        if not arrays["step_mask_gkt"][place]:
            raise ValueError(f"decision of team {decision.team}, step {decision.step} has no step")
        arrays["decision_mask_gkt"][place] = True
        arrays["action_gkt"][place] = decision.action
        arrays["behavior_log_prob_gkt"][place] = decision.log_prob
        arrays["decision_seconds_gkt"][place] = decision.seconds
        arrays["num_keys_gkt"][place] = decision.num_keys
    _fill_usage(arrays, index, rollout, settings)


def rollout_counts(rollout: Rollout) -> bool:
    """False after a crash of every team, a spent budget, without a reward, or if a revoked origin reached a team.

    None of these is a fault of the policy, and none teaches it anything.
    """
    if rollout.revoked:
        return False
    broken = {StopReason.CRASHED, StopReason.MODEL_ERROR}
    crashed = all(answer.stop_reason in broken for answer in rollout.answers)
    return not crashed and not ran_out_of_budget(rollout.answers) and bool(np.isfinite(rollout.reward_agg))


def _fill_usage(arrays: dict[str, np.ndarray], index: int, rollout: Rollout, settings: CollateSettings) -> None:
    places = {entry.entry: (index, entry.team, entry.step) for entry in rollout.entries}
    pulls = owed_pulls(rollout.pulls, rollout.entries, rollout.edits)
    pulls = [pull for pull in pulls if pull.writer != EARLIER]  # no decision of this rollout is behind the entry
    first_pulls = first_pull_seconds(pulls, include_writer=settings.own_pulls_count)
    for entry, seconds in first_pulls.items():
        arrays["used_gkt"][places[entry]] = True
        arrays["first_pull_seconds_gkt"][places[entry]] = seconds
    for entry, readers in readers_of_entries(pulls).items():
        arrays["num_other_readers_gkt"][places[entry]] = len(readers)
    for entry, readers in spared_readers(rollout.steps, rollout.entries, rollout.pulls).items():
        arrays["num_spared_gkt"][places[entry]] = len(readers)


def _use_shares(rollouts: Sequence[Rollout], shape: tuple[int, int, int], settings: CollateSettings) -> np.ndarray:
    share = np.ones(shape, np.float32)
    for index, rollout in enumerate(rollouts):
        for entry, found in use_shares(rollout, include_writer=settings.own_pulls_count).items():
            share[index, rollout.entries[entry].team, rollout.entries[entry].step] = found
    return share


def _fill_steps(steps: np.ndarray, rollout: Rollout, encoder: TextEncoder) -> None:
    decided = {(decision.team, decision.step) for decision in rollout.decisions}
    chosen = [step for step in rollout.steps if (step.team, step.step) in decided]
    if not chosen:
        return
    texts = [text for step in chosen for text in (step.instruction, step.summary, step.output)]
    vectors = encoder.encode(texts).reshape(len(chosen), 3, -1)
    for step, triplet in zip(chosen, vectors, strict=True):
        steps[step.team, step.step] = triplet
