"""Random numbers from coordinates: uniform, independent of each other, and the same at the same place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.environments.randomness import byte_noise, pair_uniform, place_words, seed_words, uniforms, words

NUM_CELLS = 64
FIXED = jnp.asarray([123456789, 987654321], jnp.uint32)


def chi_square(draw_x: np.ndarray) -> float:
    """Of NUM_CELLS equal cells; mean 63, deviation 11.2 for uniform draws."""
    count = np.bincount((np.asarray(draw_x).ravel() * NUM_CELLS).astype(int), minlength=NUM_CELLS)
    expected = draw_x.size / NUM_CELLS
    return float(np.sum((count - expected) ** 2) / expected)


def draws(seed_w: jax.Array, num_places: int, num_purposes: int) -> np.ndarray:
    """f32[places, purposes]."""
    place_x = jnp.arange(num_places)
    return np.asarray(jax.vmap(lambda place: uniforms(words(place_words(seed_w, place), num_purposes)))(place_x))


def test_golden_words() -> None:
    """lowbias32 maps 0 to 0 and 1 to 0x688B1A21... worked with Python integers."""

    def mix(word: int) -> int:
        word ^= word >> 16
        word = word * 0x7FEB352D % 2**32
        word ^= word >> 15
        word = word * 0x846CA68B % 2**32
        return word ^ word >> 16

    first = mix((3 * 0x9E3779B9 + 7) % 2**32)
    place = [first, mix(first ^ 11)]
    expected = [mix(mix((purpose * 0x9E3779B9 + place[0]) % 2**32) ^ place[1]) for purpose in range(3)]
    place_w = place_words(jnp.asarray([7, 11], jnp.uint32), jnp.asarray(3))
    assert np.asarray(place_w).tolist() == place
    assert np.asarray(words(place_w, 3)).tolist() == expected


@pytest.mark.parametrize("seed", range(4))
def test_uniform_over_places_purposes_and_seeds(seed: int) -> None:
    draw_xp = draws(seed_words(jax.random.key(seed)), 4096, 16)
    assert 25 < chi_square(draw_xp) < 120  # five deviations
    for purpose in range(16):
        assert 15 < chi_square(draw_xp[:, purpose]) < 130
    over_seeds = jax.vmap(lambda key: uniforms(words(place_words(seed_words(key), jnp.asarray(seed)), 1)))(
        jax.random.split(jax.random.key(seed), 4096)
    )
    assert 15 < chi_square(np.asarray(over_seeds)) < 130


def test_purposes_places_and_seeds_are_uncorrelated() -> None:
    one, other = draws(FIXED, 4096, 16), draws(FIXED ^ jnp.uint32(1), 4096, 16)
    limit = 5 / 4096**0.5  # five deviations of a correlation of independent draws
    between_purposes = np.corrcoef(one.T) - np.eye(16)
    assert np.abs(between_purposes).max() < limit
    assert abs(np.corrcoef(one[:-1, 0], one[1:, 0])[0, 1]) < limit
    for purpose in range(16):
        assert abs(np.corrcoef(one[:, purpose], other[:, purpose])[0, 1]) < limit
    pairs_nk = np.asarray(pair_uniform(words(place_words(FIXED, jnp.asarray(5)), 2048)[:, None], jnp.arange(8)))
    assert 25 < chi_square(pairs_nk) < 120
    assert np.abs(np.corrcoef(pairs_nk.T) - np.eye(8)).max() < 5 / 2048**0.5


def test_one_bit_of_seed_or_place_turns_half_of_the_bits() -> None:
    place_x = jnp.arange(256)
    many = jax.vmap(lambda seed_w, place: words(place_words(seed_w, place), 4), in_axes=(None, 0))
    word_xp = many(FIXED, place_x)
    for at in range(2):
        for bit in range(0, 32, 5):
            turned = many(FIXED.at[at].set(FIXED[at] ^ jnp.uint32(1 << bit)), place_x)
            flipped = float(jnp.mean(jax.lax.population_count(word_xp ^ turned).astype(jnp.float32))) / 32
            assert 0.47 < flipped < 0.53, (at, bit)
    flipped = jax.lax.population_count(word_xp[:-1] ^ word_xp[1:]).astype(jnp.float32)
    assert 0.47 < float(jnp.mean(flipped)) / 32 < 0.53


def test_neither_zero_nor_one() -> None:
    extreme = np.asarray(uniforms(jnp.asarray([0, 2**32 - 1], jnp.uint32)))
    assert extreme.tolist() == [2.0**-24, 1.0 - 2.0**-24]


def test_byte_noise_has_mean_zero_and_variance_one() -> None:
    level = jnp.arange(256, dtype=jnp.uint32)
    each = np.asarray(byte_noise(level | level << 8 | level << 16 | level << 24), np.float64)
    assert each.shape == (1024,)
    assert abs(each.mean()) < 1e-6 and abs(each.var() - 1.0) < 1e-6
    first = np.asarray(byte_noise(jnp.asarray([0x00FF0080], jnp.uint32)))
    np.testing.assert_allclose(first, np.array([0.5, -127.5, 127.5, -127.5]) * 12**0.5 / 65535**0.5, rtol=1e-6)


def test_the_same_place_draws_the_same_number_whatever_was_drawn_before() -> None:
    few, many = draws(FIXED, 8, 3), draws(FIXED, 64, 30)
    np.testing.assert_array_equal(few, many[:8, :3])
