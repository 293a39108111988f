"""A small transformer over the tokens of an admission decision: query, memory keys, step triplet.

Inputs as in LTS (arXiv 2602.05965, section on the controller): each text is one frozen embedding, mapped by its own
linear map (W_q, W_m, W_s) into the controller's width; the last position's state is read out as logits over (NO, YES).
The paper's body is Qwen3-0.6B with LoRA; this one is two small layers.

Who sees whom is our choice: the query sees itself; a key sees itself and the query; the three step tokens see the
query, the keys committed before the decision and each other. There are no positions, so logits do not depend on the
order of keys; and no context token depends on a decision, so all decisions of a rollout share one pass over its keys.
A key that has ended (`DecisionContext.died_gn`) is left out by the mask alone, since no other key has seen it. With
`targets`, a decision points at key or own token j by <W_p state, x_j> / sqrt(width), of its last state and theirs.
Beyond the paper's inputs, each step token carries the largest cosines of the step's texts to the visible keys
(`models.key_cosines`), through one more linear map; `inputs="paper"` leaves them out.
"""

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from lts_jax.errors import UserError
from lts_jax.models.key_cosines import check_inputs, largest_cosines, living_keys, visible_keys
from lts_jax.models.policy_network import Params, PolicyNetwork
from lts_jax.trajectory import DecisionContext

CONTEXT_KINDS = 2  # of tokens: query, key; then one for every token of a step
STEP_TOKENS = 3  # instruction, summary, output


@dataclass(frozen=True, slots=True)
class SetTransformerSettings:
    """Shape of the network. The paper uses Qwen3-0.6B (width 1024, 28 layers); all values here are ours."""

    embedding_width: int = 256  # D, of the text encoder
    width: int = 64
    num_layers: int = 2
    num_heads: int = 4
    mlp_ratio: int = 2  # hidden width of the MLP over width
    num_actions: int = 2  # NO, YES first; then what edits (`lts_jax.actions`), which needs `targets`
    projection_bias: bool = False  # in W_q, W_m, W_s; the paper does not say
    key_window: int = 96  # a decision sees the newest this many keys; K = 3 teams of 30 steps make at most 90
    matmul_precision: Literal["default", "highest"] = "highest"  # "default" is faster and less exact on accelerators
    value_head: bool = False  # also estimate the return, from the state that the logits are read from; LTS has none
    inputs: Literal["cosines", "paper"] = "cosines"  # "paper" leaves out the largest cosines of the step to the keys
    targets: bool = False  # also say what an action points at, by one more linear map; LTS has no such actions
    num_step_tokens: int = STEP_TOKENS  # texts or vectors of a decision's own

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        sizes = ("embedding_width", "width", "num_layers", "num_heads", "mlp_ratio", "key_window", "num_step_tokens")
        for name in sizes:
            if getattr(self, name) < 1:
                raise UserError(f"set_transformer: {name}: expected at least 1, got {getattr(self, name)}")
        if self.num_actions < 2:
            raise UserError(f"set_transformer: num_actions: expected at least 2, got {self.num_actions}")
        if self.width % self.num_heads:
            raise UserError(
                f"set_transformer: width: expected a multiple of num_heads = {self.num_heads}, got {self.width}"
            )
        if self.matmul_precision not in ("default", "highest"):
            raise UserError(
                f'set_transformer: matmul_precision: expected "default" or "highest", got {self.matmul_precision!r}'
            )
        check_inputs("set_transformer", self.inputs)


def init(settings: SetTransformerSettings, prng_key: Array) -> Params:
    """Parameters as nested dicts of f32 arrays. The output layer is zero: untrained, all actions are equally likely."""
    return nnx.to_pure_dict(nnx.state(_SetTransformer(settings, nnx.Rngs(prng_key))))


def decision_logits(
    settings: SetTransformerSettings, params: Params, query: Array, key: Array, num_keys: Array, step: Array
) -> Array:
    """Logits of single decisions, each with its own keys.

    Args:
        settings: shape of the network.
        params: as made by `init`.
        query: f32[..., D].
        key: f32[..., N, D], padded; rows from `num_keys` on do not count.
        num_keys: i32[...].
        step: f32[..., 3, D] instruction, summary, output.

    Returns:
        f32[..., A].
    """
    return living_logits(settings, params, query, key, num_keys, step, None)


def living_logits(
    settings: SetTransformerSettings,
    params: Params,
    query: Array,
    key: Array,
    num_keys: Array,
    step: Array,
    alive: Array | None,
) -> Array:
    """`decision_logits` of decisions that see the keys that are `alive` bool[..., N]; all, if None."""
    states, network = _single_states(settings, params, (query, key, num_keys, step), alive)
    return network.head(states.step_xw).reshape(*query.shape[:-1], settings.num_actions)


def decision_targets(
    settings: SetTransformerSettings,
    params: Params,
    query: Array,
    key: Array,
    num_keys: Array,
    step: Array,
    alive: Array,
) -> tuple[Array, Array]:
    """Logits f32[..., A] and pointers f32[..., J] of single decisions that see the keys that are `alive` bool[..., N].

    Everything else is as in `decision_logits`.
    """
    states, network = _single_states(settings, params, (query, key, num_keys, step), alive)
    lead = query.shape[:-1]
    logits = network.head(states.step_xw).reshape(*lead, settings.num_actions)
    return logits, network.point(states).reshape(*lead, -1)


def _single_states(
    settings: SetTransformerSettings, params: Params, arrays: tuple[Array, ...], alive: Array | None
) -> tuple["States", "_SetTransformer"]:
    query, key, num_keys, step = arrays
    width, num_rows, num_entries = query.shape[-1], num_keys.size, key.shape[-2]
    network = nnx.merge(_graph_definition(settings), params)
    living = None if alive is None else alive.reshape(num_rows, 1, num_entries)
    states = network(
        query.reshape(num_rows, width),
        key.reshape(num_rows, num_entries, width),
        _visible(num_keys.reshape(num_rows, 1), num_entries, settings.key_window, living),
        step.reshape(num_rows, 1, settings.num_step_tokens, width),
    )
    return states, network


def packed_logits(settings: SetTransformerSettings, params: Params, context: DecisionContext) -> Array:
    """Logits of all decisions of a group (or of B groups, with a leading axis), one pass per rollout.

    Returns:
        f32[(B,) G, K, T, A], equal to `decision_logits` of every decision. Padded decisions get finite values.
    """
    states, network = _packed_states(settings, params, context)
    return network.head(states.step_xw).reshape(*context.num_keys_gkt.shape, settings.num_actions)


def packed_targets(settings: SetTransformerSettings, params: Params, context: DecisionContext) -> Array:
    """How much each decision of a group (or of B groups) would point at each key, then at each of its own tokens.

    Returns:
        f32[(B,) G, K, T, J = N + S]; of a key that the decision does not see, anything.
    """
    states, network = _packed_states(settings, params, context)
    return network.point(states).reshape(*context.num_keys_gkt.shape, -1)


def packed_values(settings: SetTransformerSettings, params: Params, context: DecisionContext) -> Array:
    """Return expected before each decision of a group (or of B groups), read from the same state as its logits.

    Returns:
        f32[(B,) G, K, T], zero before any training. Padded decisions get finite values.

    Raises:
        UserError: the network has no value head.
    """
    if not settings.value_head:
        raise UserError("set_transformer: value_head: expected True for values, got False")
    states, network = _packed_states(settings, params, context)
    return network.value_head(states.step_xw).reshape(context.num_keys_gkt.shape)


def _packed_states(
    settings: SetTransformerSettings, params: Params, context: DecisionContext
) -> tuple["States", "_SetTransformer"]:
    """The last states of all decisions and keys, and the network with its parameters in place."""
    decisions = context.num_keys_gkt.shape  # (B,) G, K, T
    num_rows = context.num_keys_gkt.size // (decisions[-1] * decisions[-2])
    per_row = decisions[-1] * decisions[-2]
    num_entries, width = context.key_gnd.shape[-2:]
    query = jnp.broadcast_to(context.query_d[..., None, :], (*decisions[:-2], width))
    network = nnx.merge(_graph_definition(settings), params)
    living = None
    if context.died_gn is not None and context.sequence_gkt is not None:
        sequence_rc = context.sequence_gkt.reshape(num_rows, per_row)
        living = living_keys(context.died_gn.reshape(num_rows, num_entries), sequence_rc)
    states = network(
        query.reshape(num_rows, width),
        context.key_gnd.reshape(num_rows, num_entries, width),
        _visible(context.num_keys_gkt.reshape(num_rows, per_row), num_entries, settings.key_window, living),
        context.step_gktsd.reshape(num_rows, per_row, settings.num_step_tokens, width),
    )
    return states, network


@lru_cache(maxsize=64)
def set_transformer(settings: SetTransformerSettings) -> PolicyNetwork:
    """The network behind the common interface. Equal settings give the same object, hence the same compiled code."""
    return PolicyNetwork(
        init=partial(init, settings),
        decision_logits=partial(decision_logits, settings),
        packed_logits=partial(packed_logits, settings),
        key_window=settings.key_window,
        name=f"set_transformer_{settings.num_layers}x{settings.width}"
        + ("_value" if settings.value_head else "")
        + ("_paper" if settings.inputs == "paper" else "")
        + ("_targets" if settings.targets else ""),
        packed_values=partial(packed_values, settings) if settings.value_head else None,
        packed_targets=partial(packed_targets, settings) if settings.targets else None,
        decision_targets=partial(decision_targets, settings) if settings.targets else None,
        living_logits=partial(living_logits, settings),
        knows_lives=True,
        num_actions=settings.num_actions,
    )


class States(NamedTuple):
    """What the heads read."""

    step_xw: Array  # [R * C, W] of the last token of each decision
    key_rnw: Array  # [R, N, W] of the keys, as the last layer sees them
    own_rcsw: Array  # [R, C, S, W] of the decision's own tokens


class _Layer(nnx.Module):
    """Pre-norm attention and MLP. R rows, S context tokens (query, keys), C decisions a row, H heads, F head width."""

    def __init__(self, settings: SetTransformerSettings, rngs: nnx.Rngs) -> None:
        width, hidden = settings.width, settings.mlp_ratio * settings.width
        dense = partial(nnx.Linear, precision=_precision(settings), rngs=rngs)
        self.num_heads = settings.num_heads
        self.attention_norm = nnx.LayerNorm(width, rngs=rngs)
        self.query_key_value = dense(width, 3 * width)
        self.attention_out = dense(width, width)
        self.mlp_norm = nnx.LayerNorm(width, rngs=rngs)
        self.mlp_in = dense(width, hidden)
        self.mlp_out = dense(hidden, width)
        self.precision = _precision(settings)

    def __call__(
        self, context_rsw: Array, step_rcjw: Array, visible_rcs: Array, *, is_last: bool
    ) -> tuple[Array, Array]:
        (num_rows, num_context, width), num_decisions = context_rsw.shape, step_rcjw.shape[1]
        split = num_rows * num_context
        # One flat table of tokens: dense layers on [tokens, width] are faster on CPU than batched ones.
        token_xw = jnp.concatenate([context_rsw.reshape(-1, width), step_rcjw.reshape(-1, width)])
        heads = self.query_key_value(self.attention_norm(token_xw)).reshape(
            -1, 3, self.num_heads, width // self.num_heads
        )
        context = heads[:split].reshape(num_rows, num_context, *heads.shape[1:])
        step = heads[split:].reshape(num_rows, num_decisions, step_rcjw.shape[2], *heads.shape[1:])
        attended_xw = self._step_attention(context, step, visible_rcs).reshape(-1, width)
        if is_last:  # nobody looks at the context any more
            token_xw, split = token_xw[split:], 0
        else:
            attended_xw = jnp.concatenate([self._context_attention(context).reshape(-1, width), attended_xw])
        token_xw = token_xw + self.attention_out(attended_xw)
        token_xw = token_xw + self.mlp_out(nnx.gelu(self.mlp_in(self.mlp_norm(token_xw))))
        context_out = context_rsw if is_last else token_xw[:split].reshape(context_rsw.shape)
        return context_out, token_xw[split:].reshape(step_rcjw.shape)

    def _context_attention(self, context: Array) -> Array:
        """Each context token over (itself, the query); the query (position 0) over itself alone."""
        q, k, v = context[:, :, 0], context[:, :, 1], context[:, :, 2]  # [R, S, H, F]
        scale = q.shape[-1] ** -0.5
        to_self = jnp.sum(q * k, axis=-1) * scale
        to_query = jnp.sum(q * k[:, :1], axis=-1) * scale
        weight = jax.nn.sigmoid(to_self - to_query)[..., None]  # softmax over two; position 0 gets v either way
        return weight * v + (1.0 - weight) * v[:, :1]

    def _step_attention(self, context: Array, step: Array, visible_rcs: Array) -> Array:
        """Each step token over the visible context and the three tokens of its own decision."""
        num_rows, num_decisions = step.shape[:2]
        num_context, head_width = context.shape[1], step.shape[-1]
        einsum = partial(jnp.einsum, precision=self.precision)
        # All step tokens of a row are one axis against the context (two large products a head, not one per decision).
        q = step[:, :, :, 0].reshape(num_rows, -1, self.num_heads, head_width)
        to_context = einsum("rqhf,rshf->rhqs", q, context[:, :, 1]).reshape(
            num_rows, self.num_heads, num_decisions, step.shape[2], num_context
        )
        to_context = jnp.where(visible_rcs[:, None, :, None, :], to_context, -jnp.inf)
        to_own = einsum("rcjhf,rcihf->rhcji", step[:, :, :, 0], step[:, :, :, 1])
        scores = jnp.concatenate([to_context, to_own], axis=-1) * head_width**-0.5
        weight = jax.nn.softmax(scores, axis=-1)
        to_values = weight[..., :num_context].reshape(num_rows, self.num_heads, -1, num_context)
        from_context = einsum("rhqs,rshf->rqhf", to_values, context[:, :, 2]).reshape(step[:, :, :, 0].shape)
        return from_context + einsum("rhcji,rcihf->rcjhf", weight[..., num_context:], step[:, :, :, 2])


class _SetTransformer(nnx.Module):
    """Tokens to the state that the heads read. Used only through `nnx.merge`; parameters live outside as dicts."""

    def __init__(self, settings: SetTransformerSettings, rngs: nnx.Rngs) -> None:
        project = partial(
            nnx.Linear,
            settings.embedding_width,
            settings.width,
            use_bias=settings.projection_bias,
            precision=_precision(settings),
            rngs=rngs,
        )
        self.project_query, self.project_key, self.project_step = project(), project(), project()
        small = nnx.initializers.normal(0.1)
        num_kinds = CONTEXT_KINDS + settings.num_step_tokens
        self.token_kind = nnx.Param(small(rngs.params(), (num_kinds, settings.width)))
        self.layers = nnx.List([_Layer(settings, rngs) for _ in range(settings.num_layers)])
        self.final_norm = nnx.LayerNorm(settings.width, rngs=rngs)
        self.head = nnx.Linear(settings.width, settings.num_actions, kernel_init=nnx.initializers.zeros, rngs=rngs)
        if settings.inputs == "cosines":
            self.project_cosines = nnx.Linear(
                settings.num_step_tokens, settings.width, use_bias=False, precision=_precision(settings), rngs=rngs
            )
        if settings.value_head:  # last, so that it takes no random number from another parameter
            self.value_head = nnx.Linear(settings.width, 1, kernel_init=nnx.initializers.zeros, rngs=rngs)
        if settings.targets:
            self.project_state = nnx.Linear(
                settings.width, settings.width, use_bias=False, precision=_precision(settings), rngs=rngs
            )
        self.has_cosines = settings.inputs == "cosines"
        # Embeddings have unit length; this gives their components unit variance, so projections start at scale one.
        self.input_scale = settings.embedding_width**0.5

    def __call__(self, query_rd: Array, key_rnd: Array, visible_rcs: Array, step_rcjd: Array) -> States:
        (num_rows, num_entries, embedding_width), num_decisions = key_rnd.shape, step_rcjd.shape[1]
        kind = self.token_kind[...]
        query = self.project_query(query_rd * self.input_scale) + kind[0]
        key = self.project_key(key_rnd.reshape(-1, embedding_width) * self.input_scale) + kind[1]
        step = self.project_step(step_rcjd.reshape(-1, embedding_width) * self.input_scale)
        width = query.shape[-1]
        step_rcjw = step.reshape(num_rows, num_decisions, -1, width) + kind[CONTEXT_KINDS:]
        if self.has_cosines:
            cosine_rcj = largest_cosines(key_rnd, visible_rcs[:, :, 1:], step_rcjd)
            step_rcjw = step_rcjw + self.project_cosines(cosine_rcj)[:, :, None]
        context_rsw = jnp.concatenate([query[:, None], key.reshape(num_rows, num_entries, width)], axis=1)
        for index, layer in enumerate(self.layers):
            is_last = index == len(self.layers) - 1
            context_rsw, step_rcjw = layer(context_rsw, step_rcjw, visible_rcs, is_last=is_last)
        return States(self.final_norm(step_rcjw[:, :, -1].reshape(-1, width)), context_rsw[:, 1:], step_rcjw)

    def point(self, states: States) -> Array:
        """<W_p state, x> / sqrt(width) of every decision with the keys of its row and its own tokens: f32[R, C, J]."""
        num_rows, num_decisions, _, width = states.own_rcsw.shape
        state_rcw = self.project_state(states.step_xw).reshape(num_rows, num_decisions, width)
        einsum = partial(jnp.einsum, precision=self.project_state.precision)
        to_keys = einsum("rcw,rnw->rcn", state_rcw, states.key_rnw)
        to_own = einsum("rcw,rcsw->rcs", state_rcw, states.own_rcsw)
        return jnp.concatenate([to_keys, to_own], axis=-1) * width**-0.5


def _visible(num_keys_rc: Array, num_entries: int, key_window: int, living_rcn: Array | None) -> Array:
    """bool[R, C, 1 + N]: the query, and the newest `key_window` of the first `num_keys` keys, if they live."""
    key_visible = visible_keys(num_keys_rc, num_entries, key_window)
    if living_rcn is not None:
        key_visible = key_visible & living_rcn
    return jnp.concatenate([jnp.ones_like(key_visible[:, :, :1]), key_visible], axis=-1)


def _precision(settings: SetTransformerSettings) -> jax.lax.Precision:
    return jax.lax.Precision.HIGHEST if settings.matmul_precision == "highest" else jax.lax.Precision.DEFAULT


@lru_cache(maxsize=64)
def _graph_definition(settings: SetTransformerSettings) -> nnx.GraphDef:
    """Structure without values; `nnx.merge` with parameters happens only while tracing."""
    abstract = nnx.eval_shape(lambda: _SetTransformer(settings, nnx.Rngs(0)))
    return nnx.graphdef(abstract)
