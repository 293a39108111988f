"""What a fit to one world explains on others, by the power of novelty, and how far its outcomes are believed.

    python experiments/main_comparison/explained.py     # two minutes; from the rollouts that `run.py` trained on

With X_g = sum_t (z_t - p_t) phi(c_t) and y_g the outcome of rollout g less that of its siblings, weights w explain
mean_g (2 y_g X_g . w - (X_g . w)^2) of the mean of y_g^2: what they take off the square of the error, which is below 0
where they mislead.
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro

sys.path.insert(0, str(Path(__file__).parent))

from config import OURS, Config, training
from kinds import coin_groups

from lts_jax.bridge.collate import collate, stack
from lts_jax.learning.admission_value import OUTCOMES
from lts_jax.learning.objective_parts import AdmissionValue
from lts_jax.learning.ridge import RidgeState, fit_once, init_ridge, solve
from lts_jax.models.linear import LinearSettings, linear
from lts_jax.storage import write_text
from lts_jax.systems.run_parts import make_parts

POWERS = (0.0, 8.0)
SHOWN = (0, 1)  # reward, runtime


def sums_of(config: Config, folder: Path, seed: int) -> list[RidgeState]:
    """The sums of the regression on a world's coin rollouts, for every power."""
    run = make_parts(training(config, OURS, seed))
    batches = [stack([collate(group, run.encoder, run.settings.padding)]) for group in coin_groups(folder, seed)]
    found = []
    for power in POWERS:
        network = linear(LinearSettings(embedding_width=run.encoder.dim, novelty_power=power))
        state = init_ridge(network.init(jax.random.key(0)))
        fit = jax.jit(partial(fit_once, network, AdmissionValue(), run.settings.learning))
        for batch in batches:
            state = fit(state, batch)[1]
        found.append(state)
    return found


def added(states: Sequence[RidgeState]) -> RidgeState:
    """The sums of several worlds."""
    return jax.tree.map(lambda *parts: jnp.sum(jnp.stack(parts), axis=0), *states)


def explained(weight_of: np.ndarray, state: RidgeState) -> np.ndarray:
    """Share of each outcome's mean square that weights f32[O, F] explain on other rollouts: f32[O]."""
    gram, moment = np.asarray(state.gram_ff, np.float64), np.asarray(state.moment_of, np.float64)
    square = np.maximum(np.asarray(state.square_o, np.float64), 1e-12)
    return (2.0 * np.sum(weight_of * moment, axis=1) - np.einsum("of,fh,oh->o", weight_of, gram, weight_of)) / square


def row(outcome: int, place: int, by_seed: Sequence[Sequence[RidgeState]]) -> str:
    """What fits with the power at `place` explain of an outcome, with belief and without; a line of the table."""
    own = [states[place] for states in by_seed]
    found = []
    for world, state in enumerate(own):
        weight_of, _, belief_o = (np.asarray(part, np.float64) for part in solve(state))
        others = added([one for other, one in enumerate(own) if other != world])
        shares = [explained(weight, others)[outcome] for weight in (weight_of, weight_of / belief_o[:, None])]
        found.append((*shares, belief_o[outcome]))
    kept, bare, belief = np.array(found).T
    cells = (OUTCOMES[outcome], f"{POWERS[place]:g}", _said(100.0 * kept), f"{100.0 * kept.mean():.2f}")
    return "| " + " | ".join((*cells, f"{100.0 * bare.mean():.2f}", _said(belief))) + " |"


def _said(values: np.ndarray) -> str:
    return ", ".join(f"{one:.2f}" for one in values)


def told(config: Config) -> str:
    """A table of one of the two worlds."""
    folder = config.runs / config.weaknesses
    by_seed = [sums_of(config, folder, seed) for seed in config.train_worlds]
    heads = ("outcome", "novelty_power", "explained on four other worlds, %", "mean", "without belief", "beliefs")
    lines = [f"## World of {config.weaknesses}s (simulated; a coin decides)", "", "| " + " | ".join(heads) + " |"]
    lines.append(len(heads) * "|---" + "|")
    lines += [row(outcome, place, by_seed) for outcome in SHOWN for place in range(len(POWERS))]
    belief_o = np.asarray(solve(added([states[-1] for states in by_seed]))[2])
    return "\n".join(
        [*lines, "", f"Belief that admissions change the reward, all five worlds as one: {belief_o[0]:.2f}"]
    )


def main(config: Config) -> None:
    """Print and store the tables of both worlds."""
    worlds = [Config(world, config.runs, config.results) for world in ("omission", "commission")]
    printed = "\n\n".join(told(one) for one in worlds if (one.runs / one.weaknesses / "threshold.json").exists())
    print(printed)
    write_text(config.results / "explained.md", printed + "\n")


if __name__ == "__main__":
    main(tyro.cli(Config))
