"""The arithmetic of the studies of the objective, by hand: crossings, switches, advantages of replays, contrasts."""

import importlib.util
import itertools
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def loaded(study: str, name: str) -> ModuleType:
    """A module of a study under a name of its own; the folder is on the path while it is read."""
    sys.path.insert(0, str(EXPERIMENTS / study))
    try:
        spec = importlib.util.spec_from_file_location(f"{study}_{name}", EXPERIMENTS / study / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(EXPERIMENTS / study))
    return module


@pytest.fixture(scope="module")
def tabular() -> ModuleType:
    return loaded("threshold_law", "tabular")


@pytest.fixture(scope="module")
def switch() -> ModuleType:
    return loaded("threshold_law", "switch")


@pytest.fixture(scope="module")
def probes() -> ModuleType:
    return loaded("threshold_law", "probes")


@pytest.fixture(scope="module")
def factorial() -> ModuleType:
    return loaded("objective_factorial", "run")


def test_a_crossing_lies_on_the_line_between_two_points(tabular):
    # From .2 at x = 1 to .6 at x = 2: one half lies three quarters of the way.
    assert tabular.crossing(np.array([0.0, 1.0, 2.0]), np.array([0.1, 0.2, 0.6])) == pytest.approx(1.75)
    assert tabular.crossing(np.array([0.0, 1.0]), np.array([0.9, 0.1])) == pytest.approx(0.5)
    assert np.isnan(tabular.crossing(np.array([0.0, 1.0]), np.array([0.6, 0.9])))


def test_a_table_admits_what_is_used_more_often_than_the_ratio(tabular):
    settings = tabular.TabularSettings(usage_weight=4.0, sparsity_weight=2.0, num_steps=400, num_replicates=16)
    probability_u = tabular.tables(settings, 0).mean(axis=0)
    assert probability_u[:8].max() < 0.1 and probability_u[13:].min() > 0.9  # u up to .35, and from .65 on


def test_a_switch_is_found_with_its_usage(switch):
    # Two ratios, three equal seeds, ten probes each: admission 1 and 0, usage .6 and .4, so half at .5 with usage .5.
    ones = np.ones((2, 5))
    sums = {
        "count": 10.0 * ones,
        "admit_probability": 10.0 * ones * [[1.0], [0.0]],
        "is_paid": ones * [[6.0], [4.0]],
        "advantage_effect": ones * [[1.0], [1.0]],
    }
    found = switch.find_switch("any", "all steps", (0.4, 0.6), sums, usage_weight=0.5, group_part=True)
    values = [found.ratio, found.paid, found.worth, found.distance, found.full_distance]
    # The advantage adds .1 / beta = .2 to what a step is worth.
    assert [one.estimate for one in values] == pytest.approx([0.5, 0.5, 0.7, 0.0, -0.2])
    assert (found.ratio.low, found.ratio.high) == pytest.approx((0.5, 0.5))
    without = switch.find_switch("any", "all steps", (0.4, 0.6), sums, usage_weight=0.5, group_part=False)
    assert without.worth.estimate == pytest.approx(0.5)


def test_a_shift_of_the_switch_is_paired_over_seeds(switch):
    # Admission falls from 1 to 0 between .4 and .6, or between .6 and .8: the same in all seeds, so a sure shift of .2.
    ones, admitted = np.ones((3, 5)), np.array([[1.0], [0.0], [0.0]])
    early = {"count": ones, "admit_probability": ones * admitted, "is_paid": ones, "advantage_effect": ones}
    late = early | {"admit_probability": ones * admitted[[0, 0, 1]]}
    shift, resolvable = switch.ratio_shift((0.4, 0.6, 0.8), late, early)
    assert (shift.estimate, shift.low, shift.high) == pytest.approx((0.2, 0.2, 0.2))
    assert resolvable == pytest.approx(0.0)


def test_a_replay_moves_the_advantage_of_its_own_rollout(probes):
    # Returns (1, 0): advantages (1, -1). With the first at 0 all are equal, so 0; with it at 1 nothing changes.
    changes_gr = probes.advantage_changes(jnp.array([1.0, 0.0]), jnp.array([[0.0, 1.0], [2.0, 0.0]]))
    # The second one at 2 has advantage 1 instead of -1.
    np.testing.assert_allclose(changes_gr, [[1.0, 0.0], [-2.0, 0.0]], atol=1e-5)


def cells() -> np.ndarray:
    """Signs of all sixteen cells."""
    return np.array([[1 if cell & bit else -1 for bit in (8, 4, 2, 1)] for cell in range(16)])


def test_contrasts_find_what_was_put_into_the_cells(factorial):
    sign_cp = cells()
    # 1 for the first part on against off (2 between the signs halved), and an interaction of the second and fourth.
    value_c = 0.5 * sign_cp[:, 0] + 0.25 * sign_cp[:, 1] * sign_cp[:, 3] + 7.0
    sizes = {name: weight_c @ value_c for name, weight_c in factorial.factorial_contrasts(sign_cp).items()}
    told = {name: pytest.approx(size) for name, size in sizes.items() if abs(size) > 1e-9}
    assert told == {"group-relative": 1.0, "usage bonus x sparsity": 0.5}
    assert len(sizes) == 15


def test_an_ablation_is_the_full_objective_without_a_part(factorial):
    sign_cp = cells()
    weights = factorial.ablation_contrasts(sign_cp)
    number_c = np.arange(16.0)  # the full objective is the last cell, 15; without sparsity it is 14
    assert weights["without sparsity"] @ number_c == -1.0
    assert weights["without group-relative"] @ number_c == -8.0


def test_parts_that_are_on_everywhere_have_no_contrast(factorial):
    sign_cp = cells()
    kept = sign_cp[sign_cp[:, 1] > 0]
    assert not [name for name in factorial.factorial_contrasts(kept) if "usage bonus" in name]
    assert "without usage bonus" not in factorial.ablation_contrasts(kept)


def test_effects_have_intervals_over_seeds(factorial):
    weights = {"second - first": np.array([-1.0, 1.0])}
    value_cs = np.array([[0.0, 0.0, 0.0, 0.0, 0.0, np.nan], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    [effect] = factorial.effects("reward", value_cs, weights)
    assert (effect.size.estimate, effect.num_seeds) == (3.0, 5)
    assert effect.p_holm == pytest.approx(2 / 32)  # the two patterns of one sign, of 2^5


def test_the_factorial_reads_a_sweep_and_writes_its_tables(factorial, tmp_path, capsys):
    levels = {name: list(values) for name, values in factorial.PARTS.values()}
    rows = [dict(zip(levels, cell, strict=True)) for cell in itertools.product(*levels.values())]
    table = []
    for row, seed in itertools.product(rows, range(6)):
        bonus, stored = row["credit.usage_weight"], 1.0 if row["learning.sparsity_weight"] == 0.0 else 0.0
        seconds = 300.0 - 100.0 * bonus + seed  # fifty seconds less with the bonus, in every seed
        measured = {"reward": 0.1 * seed, "runtime_seconds": seconds, "read_rate": 0.4}
        table.append(row | {"seed": seed} | measured | {"admission_fraction": max(stored, bonus)})
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "results.parquet")
    (tmp_path / "sweep.json").write_text(json.dumps({"fields": list(levels)}))
    factorial.main(factorial.Config(sweep=tmp_path, results=tmp_path / "out"))
    effects = {
        (one["measure"], one["contrast"]): one for one in json.loads((tmp_path / "out/effects.json").read_text())
    }
    assert effects["runtime_seconds", "usage bonus"]["size"]["estimate"] == pytest.approx(-50.0)
    assert effects["runtime_seconds", "without usage bonus"]["size"]["estimate"] == pytest.approx(50.0)
    assert effects["reward", "sparsity"]["size"]["estimate"] == pytest.approx(0.0)
    assert ("read_rate", "usage bonus") not in effects  # some cells without the bonus store nothing
    assert "usage bonus x sparsity" in capsys.readouterr().out
    assert (tmp_path / "out/effects.png").stat().st_size > 10_000


def test_the_law_says_how_it_is_run():
    script = EXPERIMENTS / "threshold_law/run.py"
    said = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, check=True).stdout
    assert "--quick" in said and "--seeds" in said
