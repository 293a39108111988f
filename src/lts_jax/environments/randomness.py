"""Random numbers made from coordinates inside a compiled loop: the same place in a rollout draws the same number.

A rollout has two seed words. A place is a small integer (a team's step, a writer and a reader); every purpose at a
place has its own number. Nothing is taken from a running stream, so flipping one admission leaves every other draw as
it was, and a number costs a dozen integer operations. The mixing function is lowbias32
(found by C. Wellons' public search).
"""

import jax
import jax.numpy as jnp
from jax import Array

_GOLDEN = 0x9E3779B9  # 2^32 divided by the golden ratio: consecutive integers land far apart


def seed_words(prng_key: Array) -> Array:
    """u32[..., 2] from a typed key: what a rollout's draws depend on."""
    return jax.random.bits(prng_key, (2,), jnp.uint32)


def place_words(seed_w: Array, place: Array) -> Array:
    """u32[..., 2] of one place of a rollout, from its seed words u32[2] and any integers [...]."""
    first = _mix(place.astype(jnp.uint32) * jnp.uint32(_GOLDEN) + seed_w[0])
    return jnp.stack([first, _mix(first ^ seed_w[1])], axis=-1)


def words(place_w: Array, count: int) -> Array:
    """u32[count] at one place u32[2]: word p belongs to purpose p."""
    purpose = jnp.arange(count, dtype=jnp.uint32) * jnp.uint32(_GOLDEN)
    return _mix(_mix(purpose + place_w[0]) ^ place_w[1])


def uniforms(word: Array) -> Array:
    """f32 in (0, 1) from u32: the middles of 2^23 equal cells, so neither 0 nor 1 ever comes out."""
    return (word >> 9).astype(jnp.float32) * jnp.float32(2.0**-23) + jnp.float32(2.0**-24)


def pair_uniform(base: Array, reader: Array) -> Array:
    """f32 in (0, 1) for an entry's own word u32[...] and a reader's number."""
    return uniforms(_mix(base ^ ((reader.astype(jnp.uint32) + jnp.uint32(1)) * jnp.uint32(_GOLDEN))))


def byte_noise(word: Array) -> Array:
    """f32[4 n] with mean 0 and variance 1 from u32[n]: each byte is one uniform draw of 256 levels."""
    shifts = jnp.arange(0, 32, 8, dtype=jnp.uint32)
    level = (word[:, None] >> shifts) & jnp.uint32(255)
    scale = 12**0.5 / (256**2 - 1) ** 0.5  # the variance of 0..255 is (256^2 - 1) / 12
    return ((level.astype(jnp.float32) - 127.5) * scale).reshape(-1)


def _mix(word: Array) -> Array:
    word = word ^ (word >> 16)
    word = word * jnp.uint32(0x7FEB352D)
    word = word ^ (word >> 15)
    word = word * jnp.uint32(0x846CA68B)
    return word ^ (word >> 16)
