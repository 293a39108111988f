"""The paper's controller: soft tokens through Qwen3 with LoRA, answered YES or NO (arXiv 2602.05965).

A decision is the sequence [W_q query; W_m key_1; ...; W_m key_n; W_s instruction; W_s summary; W_s output] of frozen
text embeddings behind three trained linear maps. Qwen3 reads it causally at positions 0, 1, ..., n + 3; the logits of
its last position at the tokens NO and YES are those of the actions 0 (reject) and 1 (admit). Trained are the adapters
and the three maps; the base is frozen.

Keys have positions here, so logits depend on their order, which is that of admission. (The small set transformer has
none, and there they do not.)

`decision_logits` is the plain reading: one forward a decision. `packed_logits` is one forward a rollout: the query, its
keys, then three tokens for every decision, each at the positions it has on its own and seeing what it sees on its own.
A key's state does not depend on what comes after it, so all decisions can share it; both are equal up to rounding.

With `key_visibility="own"` a key sees the query and itself alone, at the position that it has anyway. Its state then
says nothing of other keys, and an entry that has ended (`DecisionContext.died_gn`) is left out by the mask alone;
positions count it all the same. In the causal reading, which is the paper's, an ended key would colour all after it.

With `inputs="cosines"` one more soft token stands before the instruction, W_c of the largest cosines of the step's
texts to the keys that are read (`models.key_cosines`); the paper has none.
"""

from functools import lru_cache, partial

import jax.numpy as jnp
from jax import Array

from lts_jax.errors import UserError
from lts_jax.models.key_cosines import living_keys, visible_keys
from lts_jax.models.lora import LoraSettings, Tuning
from lts_jax.models.policy_network import Frozen, Joined, PolicyNetwork
from lts_jax.models.qwen3 import Qwen3Settings
from lts_jax.models.qwen3_controller_cache import decision_cache
from lts_jax.models.qwen3_soft_tokens import (
    STEP_TOKENS,
    ControllerSettings,
    Shape,
    answer_logits,
    base,
    context_visibility,
    init,
    soft_tokens,
    step_tokens,
)
from lts_jax.trajectory import DecisionContext


@lru_cache(maxsize=8)
def qwen3_controller(
    settings: ControllerSettings, qwen3: Qwen3Settings, lora: LoraSettings, frozen: Frozen
) -> PolicyNetwork:
    """The controller behind the common interface. Equal settings over one base give the same object.

    Args:
        settings: of the soft tokens and the answer.
        qwen3: shape of the base.
        lora: of the adapters. Dropout must be 0: decisions and updates draw no random numbers inside the network.
        frozen: base weights, as a loader gives them.

    Raises:
        UserError: dropout, or an answer beyond the vocabulary.
    """
    if lora.dropout:
        raise UserError(f"LoraSettings.dropout: expected 0 for a controller, got {lora.dropout}")
    if max(settings.answer_ids) >= qwen3.vocabulary_size:
        raise UserError(
            f"ControllerSettings.answer_ids: expected tokens below {qwen3.vocabulary_size}, got {settings.answer_ids}"
        )
    shape = Shape(settings, qwen3, lora)
    return PolicyNetwork(
        init=partial(init, shape),
        decision_logits=partial(decision_logits, shape),
        packed_logits=partial(packed_logits, shape),
        key_window=settings.key_window,
        name=f"qwen3_{qwen3.num_layers}x{qwen3.width}_{frozen.digest[:8]}"
        + ("_cosines" if shape.has_cosines else "")
        + ("" if shape.keys_see_keys else "_own"),
        frozen=frozen,
        cache=decision_cache(shape),
        living_logits=None if shape.keys_see_keys else partial(decision_logits, shape),
        knows_lives=not shape.keys_see_keys,
    )


def decision_logits(
    shape: Shape,
    params: Joined,
    query: Array,
    key: Array,
    num_keys: Array,
    step: Array,
    alive: Array | None = None,
) -> Array:
    """Logits of single decisions, each with its own keys, of which the newest `key_window` are read.

    Args:
        shape: of the controller.
        params: trained and frozen.
        query: f32[..., D].
        key: f32[..., N, D], padded; rows from `num_keys` on do not count.
        num_keys: i32[...].
        step: f32[..., 3, D] instruction, summary, output.
        alive: bool[..., N], keys that are seen; None for all of them. Only where keys see no other keys.

    Returns:
        f32[..., 2].
    """
    lead, width = query.shape[:-1], query.shape[-1]
    num_rows, num_entries = num_keys.size, key.shape[-2]
    num_keys_r = num_keys.reshape(num_rows)
    first_r = jnp.maximum(num_keys_r - shape.controller.key_window, 0)  # older keys are left out
    count_r = num_keys_r - first_r
    place_n = jnp.arange(num_entries)
    position_rs = jnp.concatenate(
        [
            jnp.zeros((num_rows, 1), jnp.int32),
            jnp.maximum(place_n - first_r[:, None] + 1, 0),
            count_r[:, None] + 1 + jnp.arange(shape.num_step_tokens),
        ],
        axis=1,
    )
    is_read_rs = jnp.concatenate(
        [
            jnp.ones((num_rows, 1), bool),
            (place_n >= first_r[:, None]) & (place_n < num_keys_r[:, None]),
            jnp.ones((num_rows, shape.num_step_tokens), bool),
        ],
        axis=1,
    )
    if alive is not None:
        is_read_rs = is_read_rs.at[:, 1 : 1 + num_entries].set(
            is_read_rs[:, 1 : 1 + num_entries] & alive.reshape(num_rows, num_entries)
        )
    sees_st = jnp.tril(jnp.ones((position_rs.shape[1],) * 2, bool))
    if not shape.keys_see_keys:
        context = 1 + num_entries
        sees_st = sees_st.at[:context, :context].set(context_visibility(shape, context))
    key_rnd, step_rc3d = key.reshape(num_rows, num_entries, width), step.reshape(num_rows, 1, STEP_TOKENS, width)
    embeds_rsw = jnp.concatenate(
        [
            soft_tokens(shape, params, "query", query.reshape(num_rows, 1, width)),
            soft_tokens(shape, params, "key", key_rnd),
            step_tokens(shape, params, key_rnd, is_read_rs[:, None, 1 : 1 + num_entries], step_rc3d),
        ],
        axis=1,
    )
    network = base(shape, params)
    state_rsw = network(
        embeds_rsw,
        position_rs,
        sees_st & is_read_rs[:, None, :],
        tuning=Tuning(params.trained["adapters"], shape.lora),
    )
    return answer_logits(shape, network, state_rsw[:, -1]).reshape(*lead, 2)


def packed_logits(shape: Shape, params: Joined, context: DecisionContext) -> Array:
    """Logits of all decisions of a group (or of B groups, with a leading axis), one sequence of 1 + N + P K T tokens
    per rollout, P = 3 or, with cosines, 4.

    Returns:
        f32[(B,) G, K, T, 2], equal to `decision_logits` of every decision. Padded decisions get finite values.

    Raises:
        UserError: more keys than the window holds. Where old keys leave the window, the others move to other positions
            and no longer see what they saw, so decisions cannot share them.
    """
    decisions = context.num_keys_gkt.shape  # (B,) G, K, T
    num_entries, width = context.key_gnd.shape[-2:]
    if num_entries > shape.controller.key_window:
        raise UserError(
            f"ControllerSettings.key_window: expected at least the {num_entries} keys that a rollout may have, "
            f"got {shape.controller.key_window}: decisions that leave out old keys cannot share the others"
        )
    per_row = decisions[-1] * decisions[-2]  # C
    num_rows = context.num_keys_gkt.size // per_row  # R
    num_keys_rc = context.num_keys_gkt.reshape(num_rows, per_row)
    query = jnp.broadcast_to(context.query_d[..., None, :], (*decisions[:-2], width))
    key_rnd = context.key_gnd.reshape(num_rows, num_entries, width)
    step_rc3d = context.step_gktsd.reshape(num_rows, per_row, STEP_TOKENS, width)
    visible_rcn = visible_keys(num_keys_rc, num_entries, shape.controller.key_window)
    if context.died_gn is not None and context.sequence_gkt is not None:
        if shape.keys_see_keys:
            raise UserError(
                'qwen3.key_visibility: expected "own" for a memory that is edited, got "causal", where what has ended '
                "colours the keys after it"
            )
        died_rn = context.died_gn.reshape(num_rows, num_entries)
        visible_rcn = visible_rcn & living_keys(died_rn, context.sequence_gkt.reshape(num_rows, per_row))
    embeds_rsw = jnp.concatenate(
        [
            soft_tokens(shape, params, "query", query.reshape(num_rows, 1, width)),
            soft_tokens(shape, params, "key", key_rnd),
            step_tokens(shape, params, key_rnd, visible_rcn, step_rc3d),
        ],
        axis=1,
    )
    num_tokens = shape.num_step_tokens
    lives = () if shape.keys_see_keys else (context_visibility(shape, 1 + num_entries), visible_rcn)
    position_rs, visible_rst = packed_layout(num_keys_rc, num_entries, num_tokens, *lives)
    network = base(shape, params)
    state_rsw = network(embeds_rsw, position_rs, visible_rst, tuning=Tuning(params.trained["adapters"], shape.lora))
    last_rcw = state_rsw[:, num_entries + num_tokens :: num_tokens]  # after 1 + N tokens, the last of each step
    return answer_logits(shape, network, last_rcw).reshape(*decisions, 2)


def packed_layout(
    num_keys_rc: Array,
    num_entries: int,
    num_step_tokens: int = STEP_TOKENS,
    context_ts: Array | None = None,
    visible_rcn: Array | None = None,
) -> tuple[Array, Array]:
    """Positions i32[R, S] and visibility bool[R, S, S] of packed sequences, S = 1 + N + P C, P tokens a step.

    Query and keys see among themselves what `context_ts` bool[1 + N, 1 + N] says, by default all before them, and no
    step. Decision c sees the query, of its first `num_keys` keys those of `visible_rcn` bool[R, C, N], by default all,
    and its own tokens so far; they follow its last key.
    """
    num_rows, num_decisions = num_keys_rc.shape
    num_context, num_steps = 1 + num_entries, num_step_tokens * num_decisions
    if context_ts is None:
        context_ts = jnp.tril(jnp.ones((num_context, num_context), bool))
    decision_s, place_s = jnp.divmod(jnp.arange(num_steps), num_step_tokens)
    is_own_st = (decision_s[:, None] == decision_s) & (place_s[:, None] >= place_s)
    sees_rct = jnp.arange(num_context) <= num_keys_rc[:, :, None]  # token 0 is the query, token i the i-th key
    if visible_rcn is not None:
        sees_rct = sees_rct & jnp.pad(visible_rcn, ((0, 0), (0, 0), (1, 0)), constant_values=True)
    upper_rst = jnp.broadcast_to(
        jnp.pad(context_ts, ((0, 0), (0, num_steps))), (num_rows, num_context, num_context + num_steps)
    )
    lower_rst = jnp.concatenate(
        [
            jnp.repeat(sees_rct, num_step_tokens, axis=1),
            jnp.broadcast_to(is_own_st, (num_rows, num_steps, num_steps)),
        ],
        axis=2,
    )
    context_position_rs = jnp.broadcast_to(jnp.arange(num_context), (num_rows, num_context))
    step_position_rs = jnp.repeat(num_keys_rc, num_step_tokens, axis=1) + 1 + place_s
    return (
        jnp.concatenate([context_position_rs, step_position_rs], axis=1),
        jnp.concatenate([upper_rst, lower_rst], axis=1),
    )
