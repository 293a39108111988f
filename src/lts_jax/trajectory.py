"""Arrays of the array side: `Trajectory` (what credit reads) and `DecisionContext` (what the controller reads).

Axis letters, everywhere: B tasks, G rollouts of a group, K teams, T steps of a team, N entries of a bank, A actions,
J targets of an action, R readings, D embedding width. One group is `[G, K, T]`; `jax.vmap` adds B in front. Three
masks, never just "mask": `step_mask` (a real step, not padding), `decision_mask` (the controller was asked),
`rollout_mask` (the rollout finished without an infrastructure failure, so its rewards count).
"""

from dataclasses import dataclass

import jax
from jax import Array

from lts_jax.actions import ADMIT, REJECT

__all__ = [
    "ADMIT", "ALIVE", "REJECT", "Coalitions", "DecisionContext", "FlippedRollouts", "ReadingContext",
    "RegroupedRollouts", "Trajectory",
]  # fmt: skip

ALIVE = 2**31 - 1
"""`died_gn` of an entry that nothing has ended."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FlippedRollouts:
    """What each rollout would have been had one decision gone the other way, all random numbers kept.

    Rewards and runtime are those of the rollout replayed with that one action turned; NaN where no decision was
    taken or none was replayed. Later decisions are taken anew by the same policy with the same random numbers.
    """

    reward_agg_gkt: Array  # f32[G, K, T]
    reward_first_gkt: Array  # f32[G, K, T]
    runtime_gkt: Array  # f32[G, K, T]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ReadingContext:
    """What a reader of shared values was offered in the rollouts of a group, and what came of it. R: readings."""

    query_grd: Array  # f32[G, R, D] the instruction that it went by
    key_gnd: Array  # f32[G, N, D]
    visible_grn: Array  # bool[G, R, N] entries that were offered
    chosen_grn: Array  # bool[G, R, N] entries that were taken
    reading_mask_gr: Array  # bool[G, R] readings, not padding
    log_prob_gr: Array  # f32[G, R] of the choice under the reader
    reward_g: Array  # f32[G] of the rollout; NaN where there is none
    needed_grn: Array | None = None  # bool[G, R, N] entries that the step needed, where that is known


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Coalitions:
    """Each rollout replayed with growing parts of its bank, for Shapley values by sampled permutations.

    Permutation p cuts the admitted entries into C blocks; replay c keeps the entries of blocks 0 .. c - 1 and withholds
    the rest, so replay 0 has an empty bank and replay C is the rollout itself.
    """

    block_gpkt: Array  # i32[G, P, K, T] block of the admitted step, 0..C-1; anything where nothing was admitted
    reward_agg_gpc: Array  # f32[G, P, C + 1]
    reward_first_gpc: Array  # f32[G, P, C + 1]
    runtime_gpc: Array | None = None  # f32[G, P, C + 1] seconds; needed where the return charges for time


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class RegroupedRollouts:
    """Re-rollouts from the state right before a decision: the same history and bank; it and all after it drawn anew.

    NaN where no decision was taken or none was replayed.
    """

    reward_agg_gmkt: Array  # f32[G, M, K, T] of re-rollout m
    reward_first_gmkt: Array  # f32[G, M, K, T]
    runtime_gmkt: Array | None = None  # f32[G, M, K, T] seconds; needed where the return charges for time


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Trajectory:
    """One group of G rollouts of one task, padded to K teams and T steps. Seconds are on each rollout's own clock.

    `used_gkt` is true where the step was admitted and its entry was pulled at least once by the teams that count
    (all of them, or only others; chosen when collating). Padding is 0, false, or +inf for times.

    The fields from `tokens_g` on may be None: tokens and dollars where nobody counts them, `use_share_gkt` where no
    entry is merged (then all is owed to the one who wrote it), `num_spared_gkt` in a world that cannot say, masks and
    targets where all actions are legal and none has a target, local rewards where teams have none, the others unless
    somebody went to the length of making them: a value head, or replays.
    """

    reward_agg_g: Array  # f32[G] score of the aggregated answer; NaN where missing
    reward_first_g: Array  # f32[G] score of the first finisher's answer; NaN where missing
    runtime_g: Array  # f32[G] seconds to the aggregated answer
    finish_seconds_gk: Array  # f32[G, K] seconds to the team's answer; +inf if it gave none of its own
    action_gkt: Array  # i32[G, K, T] 0 = reject, 1 = admit; more than these where a memory can be edited (`actions`)
    behavior_log_prob_gkt: Array  # f32[G, K, T] log-probability of the action when it was taken
    decision_seconds_gkt: Array  # f32[G, K, T] when the decision was taken; +inf where none was
    used_gkt: Array  # bool[G, K, T] admitted and pulled
    num_other_readers_gkt: Array  # i32[G, K, T] distinct other teams that pulled the entry, 0..K-1
    first_pull_seconds_gkt: Array  # f32[G, K, T] time of the first counted pull; +inf if never
    step_seconds_gkt: Array  # f32[G, K, T] how long the step took, from its instruction to its output
    step_mask_gkt: Array  # bool[G, K, T]
    decision_mask_gkt: Array  # bool[G, K, T]
    rollout_mask_g: Array  # bool[G]
    tokens_g: Array | None = None  # f32[G] prompt and completion tokens of all calls
    usd_g: Array | None = None  # f32[G] US dollars of all calls
    use_share_gkt: Array | None = None  # f32[G, K, T] of the use of a merged entry, what is owed to this admission
    num_spared_gkt: Array | None = None  # i32[G, K, T] other teams that pulled the entry instead of such a step, 0..K-1
    action_mask_gkta: Array | None = None  # bool[G, K, T, A] legal actions; at least one at every decision
    target_gkt: Array | None = None  # i32[G, K, T] what the action points at; -1 where it points at nothing
    target_mask_gktj: Array | None = None  # bool[G, K, T, J] what that action could have pointed at
    local_reward_gk: Array | None = None  # f32[G, K] each team's own reward, in [0, 1]
    value_gkt: Array | None = None  # f32[G, K, T] expected return before the decision, from a value head
    flipped: FlippedRollouts | None = None
    coalitions: Coalitions | None = None
    regrouped: RegroupedRollouts | None = None


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class DecisionContext:
    """What the controller saw at every decision of one group, without repeating the bank per decision.

    The bank only grows, so a decision's memory is a prefix: the first `num_keys_gkt` rows of `key_gnd`. Where entries
    can be deleted or replaced, an entry that ended stays in its row, and a decision sees it only if it was taken
    before that: `died_gn` > `sequence_gkt`. Both are None where entries never end.
    """

    query_d: Array  # f32[D] embedding of the question
    key_gnd: Array  # f32[G, N, D] embeddings of all keys admitted in the rollout, in order
    num_keys_gkt: Array  # i32[G, K, T] keys committed before the decision
    step_gktsd: Array  # f32[G, K, T, 3, D] embeddings of instruction, summary, output
    died_gn: Array | None = None  # i32[G, N] place of the first decision that no longer sees it; ALIVE if none
    sequence_gkt: Array | None = None  # i32[G, K, T] place of the decision in the rollout's order
