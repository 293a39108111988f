"""The arithmetic of the credit leaderboard, by hand: what is chosen, what is gained over a coin, what is printed."""

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from lts_jax import cli

FOLDER = Path(__file__).parents[2] / "experiments" / "credit_leaderboard"


@pytest.fixture(scope="module")
def study():
    """The study's modules; other studies have modules of the same names, so they are put away again."""
    sys.path.insert(0, str(FOLDER))
    names = [path.stem for path in FOLDER.glob("*.py")]
    away = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    try:
        import add
        import run as whole

        assert add.__doc__

        found = {name: sys.modules[name] for name in names if name != "run"} | {"run": whole}
    finally:
        sys.path.remove(str(FOLDER))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(away)
    return found


def row(credit: str, seed: int, reward: float, saved: float, **others: float | str) -> dict:
    """A row whose coin earns .5 in 80 of 100 seconds: a gain of .54 at a price of .2."""
    fixed = {"world": "clear cues", "reward_random_matched": 0.5, "runtime_seconds_random_matched": 80.0}
    fixed |= {"runtime_seconds_none": 100.0, "admission_fraction": 0.5, "read_rate": 0.25, "sparsity_weight": 0.0}
    gain = reward + 0.2 * saved / 100.0
    return fixed | {"credit": credit, "seed": seed, "reward": reward, "saved_percent": saved, "gain": gain} | others


def test_gain_weighs_reward_and_time(study: dict[str, ModuleType]) -> None:
    assert study["trained"].gain({"reward": 0.6, "saved_percent": 25.0}, 0.2) == pytest.approx(0.65)


def test_the_weight_with_the_best_mean_gain_is_chosen_in_each_world(study: dict[str, ModuleType]) -> None:
    # Mean gains: .55 at 0, .60 at .1, .60 at .3: the smaller of equals. In the other world 0 is all there is.
    rows = [row("a", seed, 0.5 + 0.1 * seed, 0.0) for seed in (0, 1)]
    rows += [row("a", seed, 0.55, 25.0, sparsity_weight=weight) for seed in (0, 1) for weight in (0.3, 0.1)]
    rows += [row("a", 0, 0.9, 0.0, world="faint cues")]
    assert study["trained"].chosen_weight(rows, "clear cues", 0.2) == 0.1
    assert study["trained"].chosen_weight(rows, "clear cues", 0.0) == 0.0
    assert study["trained"].chosen_weight(rows, "faint cues", 0.2) == 0.0


def test_finer_weights_are_tried_where_the_grid_steps_over_the_switch(study: dict[str, ModuleType]) -> None:
    def rows(*admitted: float) -> list[dict]:
        weights = (0.0, 0.1, 0.4)
        return [
            row("a", 0, 0.5, 0.0, sparsity_weight=weight, admission_fraction=one)
            for weight, one in zip(weights, admitted, strict=True)
        ]

    finer, larger = study["trained"].finer_weights, (0.5, 0.6)
    assert finer(rows(0.6, 0.2, 0.0), larger) == ()
    assert finer(rows(1.0, 0.9, 0.2), larger) == (0.2, 0.3)  # thirds of the way from .1 to .4
    assert finer(rows(1.0, 0.9, 0.8), larger) == larger
    elsewhere = [dict(one, world="faint cues") for one in rows(0.9, 0.2, 0.0)]
    assert finer(rows(0.6, 0.2, 0.0) + elsewhere, larger) == pytest.approx((0.1 / 3, 0.2 / 3), abs=1e-6)


def test_a_coin_is_met_on_the_same_seed(study: dict[str, ModuleType]) -> None:
    # Against .54: gains .64, .54 (to rounding) and .50 over six seeds make 2 x (+.10, 0, -.04).
    rewards = [0.64, 0.54, 0.5] * 2
    difference, better = study["tables"].over_coin([row("a", n, reward, 0.0) for n, reward in enumerate(rewards)], 0.2)
    assert difference.estimate == pytest.approx(0.02)
    assert better.estimate == pytest.approx(0.5)  # two better, two equal, two worse


def test_tables_name_every_scheme_and_its_place(study: dict[str, ModuleType]) -> None:
    rows = [row("usage_aware", seed, 0.6, 0.0) for seed in range(6)]
    rows += [row("shapley", seed, 0.6 + 0.01 * (seed + 1), 10.0) for seed in range(6)]
    rows += [dict(one, world="faint cues") for one in rows]
    ranking = study["tables"].rankings(rows)["clear cues"]
    text = study["tables"].ranking_table(ranking, rows, "clear cues", 0.2)
    lines = text.splitlines()
    assert lines[2].startswith("  1 shapley") and "1.00 [" in lines[2]
    assert lines[3].startswith("  2 usage_aware")
    known = {"shapley": 0.5, "reinforce": 0.1, "gae": None}
    judged = [
        {
            "policy": "random(0.5)",
            "effect": "expected_reward_effect",
            "credit": name,
            "overall": {"rank_correlation": {"estimate": one}},
        }
        for name, one in known.items()
    ]
    rows += [row(name, seed, reward, 0.0) for seed in range(6) for name, reward in (("gae", 0.5), ("reinforce", 0.4))]
    ranking = study["tables"].rankings(rows)["clear cues"]
    short = study["tables"].readme_table(ranking, rows, "clear cues", judged, 0.2).splitlines()
    assert short[2].startswith("| shapley | 0.655 | 0.635 | 10.0 | 0.50 | 1.00 | 1.00 | 0.50 |")
    assert short[3].startswith("| **usage_aware (LTS)** | 0.600 |")
    assert short[4].startswith(
        "| from reward alone: gae, reinforce | 0.400 to 0.500 | 0.400 to 0.500 | 0.0 | 0.50 | 0.00"
    )
    assert short[4].endswith("| 0.00 | 0.00 to 0.10 |") and len(short) == 5


def test_what_json_cannot_hold_becomes_null(study: dict[str, ModuleType]) -> None:
    assert study["parts"].finite({"a": [np.nan, 1.0, {"b": np.inf}]}) == {"a": [None, 1.0, {"b": None}]}


def test_samples_of_several_seeds_keep_their_rollouts_apart(study: dict[str, ModuleType]) -> None:
    from lts_jax.lab.credit_samples import CreditSamples

    column, flag = np.array([1.0, 2.0]), np.array([True, False])
    one = CreditSamples({"a": column}, column, column, column, column, ("0", "0"), np.array([0, 4]), flag, flag)
    both = study["judged"]._joined([one, one])
    assert both.rollouts.tolist() == [0, 4, 5, 9]
    assert both.tasks == ("0-0", "0-0", "1-0", "1-0")
    assert both.credit["a"].tolist() == both.reward_effect.tolist() == [1.0, 2.0, 1.0, 2.0]


def test_a_stranger_finds_his_place(
    study: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path, capsys
) -> None:
    config = replace(study["config"].Config(), parts=tmp_path)
    (tmp_path / "mine.py").write_text("def paid(trajectory, *, price: float = 0.1):\n    return trajectory\n")
    text = f"{tmp_path}/mine.py:paid"
    worlds, calls = study["config"].WORLDS, []
    known = [row(name, seed, reward, 0.0, world=world)
             for world in worlds for seed in range(6)
             for name, reward in (("usage_aware", 0.6), ("gae", 0.5), ("all", 0.4))]  # fmt: skip

    def train(scheme: str, _: object) -> tuple:
        calls.append(scheme)
        return (
            [],
            [row(scheme, seed, 0.55 + 0.001 * seed, 0.0, world=world) for world in worlds for seed in range(6)],
            {},
        )

    monkeypatch.setattr(study["add"], "train_scheme", train)
    rows = study["add"].added(text, config)
    assert study["add"].added(text, config) == rows and calls == [text]  # kept
    said = study["add"].told(text, rows, known, config)
    assert said.count(f"{text} is number 2 of 4") == len(worlds) and "usage_aware" in said
    (tmp_path / "mine.py").write_text("def paid(trajectory):\n    return trajectory\n")
    study["add"].added(text, config)
    assert len(calls) == 2  # another content is another scheme
    with pytest.raises(SystemExit) as stopped:
        cli.main(["leaderboard", "add", "reinforce"])
    assert stopped.value.code == 2 and "stands on the leaderboard already" in capsys.readouterr().err
