"""What the controller is shown of a step: latent features in a noisy embedding, shaped like embeddings of text.

The first NUM_CUES components are cues, the rest names the node. Instruction, summary and output show different cues;
the summary is also the entry's key. All are unit vectors, as a text encoder's.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

from lts_jax.environments.once import pick
from lts_jax.environments.randomness import byte_noise
from lts_jax.environments.teams.settings import NUM_CUES
from lts_jax.environments.teams.state import NOTHING, Scene
from lts_jax.environments.teams.working import Outcome

# Cues: a value was found; it looks wrong; the node is of use; nothing came of the step; hard to find; how long it took.
_SHOWN_3C = np.array(
    [
        [0.0, 0.0, 0.5, 0.0, 0.5, 0.0],  # the instruction knows the aim, not the outcome
        [1.0, 0.5, 1.0, 1.0, 1.0, 0.5],  # the summary knows both
        [1.0, 1.0, 0.5, 1.0, 0.5, 1.0],  # the output knows the outcome best
    ],
    np.float32,
)
_NAME_WEIGHT = 2.0  # length of the name beside cues of length one
_USE_OF_KIND = (1.0, 0.5, -0.5, 0.0)  # needed, detour, dead end, absent


def step_triplet(scene: Scene, outcome: Outcome, step_seconds: Array, noise_word_w: Array) -> Array:
    """f32[3, D] embeddings of instruction, summary and output: unit vectors."""
    shape, params, task = scene.shape, scene.params, scene.task
    node = outcome.offered_node
    has_value = (outcome.offered_variant != NOTHING).astype(jnp.float32)
    cue_c = jnp.stack(
        [
            has_value,
            -outcome.looks_wrong,
            pick(jnp.asarray(_USE_OF_KIND), pick(task.kind_m, node)),
            has_value - 1.0,
            -0.5 * pick(task.find_logit_m, node),
            jnp.log(jnp.maximum(step_seconds, 1e-3)) - params.step_log_seconds,
        ]
    )
    shown_3d = jnp.concatenate(
        [
            _SHOWN_3C * cue_c,
            jnp.broadcast_to(_NAME_WEIGHT * pick(task.name_md, node), (3, shape.embedding_width - NUM_CUES)),
        ],
        axis=1,
    )
    noise = byte_noise(noise_word_w)[: 3 * shape.embedding_width].reshape(3, -1)
    seen_3d = shown_3d + params.cue_noise * noise / shape.embedding_width**0.5
    return seen_3d / jnp.maximum(jnp.sqrt(jnp.sum(seen_3d**2, axis=1, keepdims=True)), 1e-6)
