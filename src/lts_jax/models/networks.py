"""Controller networks by name, and how a network of your own becomes one of them."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

from flax import nnx

from lts_jax.errors import UserError, describe, show
from lts_jax.models.check import check_network
from lts_jax.models.linear import LinearSettings, linear
from lts_jax.models.matching import MatchingSettings, matching
from lts_jax.models.module_network import module_network
from lts_jax.models.policy_network import PolicyNetwork
from lts_jax.models.pooled import PooledSettings, pooled
from lts_jax.models.qwen3_folder import qwen3
from lts_jax.models.set_transformer import SetTransformerSettings, set_transformer
from lts_jax.parts import Part, function_part, parameters_of, resolve

SUPPLIED = ("embedding_width", "rngs", "settings", "mesh")
"""What a network may take that no text gives: the width of its inputs, keys for its parameters, Qwen3's settings."""

Network = str | PolicyNetwork | nnx.Module | Callable[..., Any]
"""A text such as `set_transformer(width=64)`; a network; a Flax module or its class; a function that makes either."""


def small_transformer(
    embedding_width: int = 256,
    *,
    width: int = 64,
    num_layers: int = 2,
    num_heads: int = 4,
    mlp_ratio: int = 2,
    num_actions: int = 2,
    projection_bias: bool = False,
    key_window: int = 96,
    matmul_precision: Literal["default", "highest"] = "highest",
    value_head: bool = False,
    inputs: Literal["cosines", "paper"] = "cosines",
    targets: bool = False,
    num_step_tokens: int = 3,
) -> PolicyNetwork:
    """A small transformer over the tokens of a decision: the paper's inputs (LTS, arXiv 2602.05965) on two layers.

    Args:
        embedding_width: D, of the text encoder.
        width: of a token.
        num_layers: of attention and MLP.
        num_heads: of attention; width is a multiple of it.
        mlp_ratio: hidden width of the MLP over width.
        num_actions: NO, YES first; on text 2, or with `targets` 4: do nothing, add, update, delete.
        projection_bias: in W_q, W_m, W_s; the paper does not say.
        key_window: a decision sees the newest this many keys.
        matmul_precision: "default" is faster and less exact on accelerators.
        value_head: also estimate the return, for schemes that need values.
        inputs: "paper" leaves out how near the step comes to the keys.
        targets: also say what an action points at, where actions edit a memory.
        num_step_tokens: vectors that a decision has of its own; three texts, or as many as the world shows.
    """
    return set_transformer(
        SetTransformerSettings(
            embedding_width=embedding_width,
            width=width,
            num_layers=num_layers,
            num_heads=num_heads,
            mlp_ratio=mlp_ratio,
            num_actions=num_actions,
            projection_bias=projection_bias,
            key_window=key_window,
            matmul_precision=matmul_precision,
            value_head=value_head,
            inputs=inputs,
            targets=targets,
            num_step_tokens=num_step_tokens,
        )
    )


def small_pooled(
    embedding_width: int = 16,
    *,
    hidden_width: int = 32,
    key_window: int = 96,
    sees_keys: bool = True,
    value_head: bool = False,
    inputs: Literal["cosines", "paper"] = "cosines",
) -> PolicyNetwork:
    """A few similarities and the step through one hidden layer: for sweeps by the thousand.

    Args:
        embedding_width: D, of the text encoder.
        hidden_width: of the layer.
        key_window: a decision sees the newest this many keys.
        sees_keys: else the step is judged alone.
        value_head: also estimate the return, for schemes that need values.
        inputs: "paper" leaves out how near the step comes to the keys.
    """
    return pooled(
        PooledSettings(
            embedding_width=embedding_width,
            hidden_width=hidden_width,
            key_window=key_window,
            sees_keys=sees_keys,
            value_head=value_head,
            inputs=inputs,
        )
    )


def weighted_sum(
    embedding_width: int = 256,
    *,
    texts: Literal["none", "summary", "all"] = "summary",
    key_window: int = 96,
    inputs: Literal["cosines", "paper"] = "cosines",
    novelty_power: float = 8.0,
) -> PolicyNetwork:
    """Log-odds linear in a few named numbers and the summary's embedding; `admission_value` fits it in closed form.

    Args:
        embedding_width: D, of the text encoder.
        texts: of the step, whose embeddings are features themselves.
        key_window: a decision sees the newest this many keys.
        inputs: "paper" leaves out how near the step comes to the keys.
        novelty_power: features are multiplied by 1 - max(0, c)^novelty_power, c the largest cosine of the summary to
            the keys, so that repeats are worth nothing; 0 leaves them as they are, as `inputs="paper"` does. For
            `policy_gradient` choose 0: a step that is worth nothing has even odds, and learns slowly to be refused.
    """
    return linear(
        LinearSettings(
            embedding_width=embedding_width,
            texts=texts,
            key_window=key_window,
            inputs=inputs,
            novelty_power=novelty_power,
        )
    )


def small_matching(
    embedding_width: int = 32,
    *,
    hidden_width: int = 24,
    num_actions: int = 2,
    num_step_tokens: int = 3,
    key_window: int = 96,
    value_head: bool = False,
) -> PolicyNetwork:
    """Matches what a memory holds with what lies before it: small and fast, for memories that are edited.

    Args:
        embedding_width: D, of a vector.
        hidden_width: of the two hidden layers.
        num_actions: NO, YES first.
        num_step_tokens: vectors that a decision has of its own; the last says what is going on.
        key_window: a decision sees the newest this many keys.
        value_head: also estimate the return, for schemes that need values.
    """
    return matching(
        MatchingSettings(
            embedding_width=embedding_width,
            hidden_width=hidden_width,
            num_actions=num_actions,
            num_step_tokens=num_step_tokens,
            key_window=key_window,
            value_head=value_head,
        )
    )


NETWORKS: dict[str, Callable[..., PolicyNetwork]] = {
    "set_transformer": small_transformer,
    "pooled": small_pooled,
    "linear": weighted_sum,
    "matching": small_matching,
    "qwen3": qwen3,  # the paper's; its settings are those of `--qwen3.*`
}
"""Networks by the name that the command line uses."""


def make_network(network: Network, *, where: str = "controller", **supplied: Any) -> PolicyNetwork:
    """The network that a text, a module or a function stands for; equal texts give the same object.

    Args:
        network: see `Network`.
        where: the setting that holds it, for messages.
        supplied: at least `embedding_width`; each is given to what takes it and does not set it itself.

    Raises:
        UserError: one line: no such network, a wrong setting, what it lacks; for a network of your own, whatever in it
            would spoil training (see `models.check`).
    """
    if isinstance(network, PolicyNetwork):
        return _check(network, supplied["embedding_width"], where)
    if isinstance(network, nnx.Module):
        own = module_network(lambda rngs: network, name=type(network).__name__, fixed=True, where=where)
        return _check(own, supplied["embedding_width"], where)
    part = network_part(network, where=where)
    return _make(part, where, tuple(sorted(supplied.items())))


def network_part(network: str | Callable[..., Any], *, where: str = "controller") -> Part:
    """The part that a text names, or a function or class of your own as a part."""
    if isinstance(network, str):
        return resolve(network, NETWORKS, where=where, supplied=SUPPLIED)
    return function_part(network, where=where)


@lru_cache(maxsize=64)
def _make(part: Part, where: str, given: tuple[tuple[str, Any], ...]) -> PolicyNetwork:
    supplied = dict(given)
    takes = parameters_of(part.function)
    fitting = {name: value for name, value in supplied.items() if name in takes and name not in part.settings}
    if "rngs" in takes:
        made = module_network(lambda rngs: part(**fitting, rngs=rngs), name=part.text, where=where)
    else:
        try:
            made = part(**fitting)  # of a user's function, anything
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
        except Exception as error:
            raise UserError(f"{where}: {part.text}: making it raises {describe(error)}") from error
        if isinstance(made, nnx.Module):
            module = made
            made = module_network(lambda rngs: module, name=part.text, fixed=True, where=where)
    if not isinstance(made, PolicyNetwork):
        found = f"gives a value of type {type(made).__name__}"
        raise UserError(f"{where}: {part.text} {found}, expected a PolicyNetwork or a Flax module")
    return made if part.function in NETWORKS.values() else _check(made, supplied["embedding_width"], where)


def _check(network: PolicyNetwork, embedding_width: int, where: str) -> PolicyNetwork:
    if network.frozen is None:  # a base of gigabytes is not tried out here
        check_network(network, embedding_width, where=f"{where}: {show(network.name)[1:-1]}")
    return network
