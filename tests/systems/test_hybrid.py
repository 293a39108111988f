"""`lts system hybrid`, small: what was trained stays, tables and page are whole, modes share one program."""

import json
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.commands import system
from lts_jax.commands.system import SYSTEMS, Command
from lts_jax.environments.grid.speaking import SpeakingShape
from lts_jax.environments.teams.settings import SimulatorShape
from lts_jax.errors import UserError
from lts_jax.lab.ppo_training import advance, begin_run, play
from lts_jax.learning.ppo import PpoSettings
from lts_jax.models.gated_memory import GATES
from lts_jax.systems import hybrid as wiring
from lts_jax.systems.hybrid_settings import CHANNELS, DEAR, ROWS, RULES, HybridSettings
from lts_jax.systems.hybrid_tables import document_of, figures_of, switch_less
from lts_jax.systems.run_folder import RunFolder

TINY = HybridSettings(
    task=("corridors", "joined"),
    mode=("pool", "switch"),
    num_seeds=1,
    agent_steps=64,
    lengths=(1,),
    block_episodes=2,
    limit=3,
    num_test_blocks=4,
    width=4,
    history=1,
    ppo=PpoSettings(num_environments=4, rollout_steps=4),
    num_parts=2,
    num_at_once=1,
)


class Stopped(Exception):
    """A kill, as far as a training is concerned."""


def without_times(document):
    """A document without the seconds that a training took."""
    return {name: value for name, value in document.items() if name != "seconds"}


def test_a_stopped_run_goes_on_and_the_page_is_written(tmp_path, capsys):
    whole, figures = wiring.hybrid(TINY, RunFolder(tmp_path / "whole"), lambda line: None)
    assert len(figures) == 4
    folder, told = RunFolder(tmp_path / "stopped"), []

    def stop(line):
        told.append(line)
        if len(told) == 4:  # both parts of a training, its file, and a part of the next one
            raise Stopped

    with pytest.raises(Stopped):
        wiring.hybrid(TINY, folder, stop)
    first = len(told)
    again, _ = wiring.hybrid(TINY, folder, told.append)
    assert without_times(again) == without_times(whole)
    assert told[3].startswith("corridors, switch, seed 1: 32 agent steps") and told[3] not in told[first:]
    assert [row[0] for row in again["tables"][0]["rows"]] == ["pool", "switch"]
    assert list(again["differences"]["joined"]) == ["better single, pool", "pool"]
    tested = {name: values[0] for name, values in again["tested"]["joined, switch"].items()}
    assert abs(sum(tested[f"share_{gate}"] for gate in ("none", "latent", "pool")) - 1.0) < 1e-3

    run = tmp_path / "run"
    system.run(Command("hybrid", run=run, hybrid=replace(TINY, task=("joined",))))
    assert "a switch between them" in (run / "report.html").read_text()
    report = json.loads((run / "report.json").read_text())
    assert report["tested"]["joined, pool"] == whole["tested"]["joined, pool"] and report["num_skipped"] == 0
    assert "Simulated: joined: switch less better single, pool" in capsys.readouterr().out


def test_teams_of_the_simulator_small(tmp_path):
    """Through the command's own path: rules beside a mode, no curve of a rule, a table."""
    settings = replace(
        TINY,
        task=("simulator",),
        mode=("symbols", "switch"),
        simulator_steps=32,
        teams=SimulatorShape(num_teams=2, max_steps=4, num_entries=8),
        num_parts=1,
    )
    document, figures = wiring.hybrid(settings, RunFolder(tmp_path), lambda line: None)
    assert [row[0] for row in document["tables"][0]["rows"]] == ["switch", *RULES]  # symbols are for corridors alone
    assert document["differences"]["simulator"].keys() == set(RULES)
    tested = document["tested"]
    assert tested["simulator, admit all"]["admitted"] == [1.0] and tested["simulator, admit none"]["sent"] == [0.0]
    assert len(figures) == 2 and document["num_skipped"] == 0


def test_what_symbols_have_no_number_for_is_a_dash():
    tested = {"return": 0.5, "csr": 1.0, "first_soc": 9.0, "later_soc": 8.0, "sent": 7.0, "share_none": 0.25}
    part = {"tested": tested, "curves": {"return": [0.1]}, "num_skipped": 0, "seconds": 1.0}
    settings = HybridSettings(task=("corridors",), mode=("symbols",), num_seeds=1)
    document = document_of(settings, {("corridors", "symbols"): [part]})
    row = ["symbols", "0.500", "1.00", "9.0", "8.0", "7", "–", "0.25", "–", "–", "–"]
    assert document["tables"][0]["rows"] == [row]
    assert isinstance(wiring.world_of(settings, "corridors", "symbols").shape, SpeakingShape)


@pytest.mark.parametrize("mode", ["none", "latent", "pool"])
def test_one_mode_alone_is_the_switch_that_never_takes_another(mode):
    """The same parameters with the logits of other gates, and of writing where nothing is read, out of reach.

    Moves and prices are the same, block by block; a gate holds from the second step on, and at the first there is
    nothing to read.
    """
    plan = wiring.plan_of(TINY, "joined", "switch")
    params = jax.jit(plan.network.init)(jax.random.key(3))
    bias = params["policy"]["bias"].at[7:].set(-1e6).at[7 + GATES.index(mode)].set(0.0)
    bias = bias if mode == "pool" else bias.at[6].set(-1e6)
    params |= {"policy": {"weight": params["policy"]["weight"], "bias": bias}}
    seed_ew = jax.random.bits(jax.random.key(1), (TINY.num_test_blocks, 2), jnp.uint32)
    found = []
    for row in (mode, "switch"):
        world = wiring.world_of(TINY, "joined", row)
        measures, _ = play(plan.environment, plan.network, 6, world.params, params, seed_ew)
        found.append({name: np.asarray(value) for name, value in measures.items()})
    assert (found[0][f"share_{mode}"] == 1.0).all() and (found[1][f"share_{mode}"] > 0.5).all()
    for name in ("return", "sent", "written", "soc", "csr"):
        np.testing.assert_array_equal(found[0][name], found[1][name])
    assert (found[0]["sent"].sum() > 0) == (mode != "none")


def test_all_modes_but_symbols_and_both_tasks_in_corridors_are_one_program():
    plans = {wiring.plan_of(TINY, task, row) for task in ("corridors", "joined") for row in ROWS}
    assert len(plans) == 2  # symbols, and all others
    assert len({wiring.plan_of(TINY, "consensus", row) for row in CHANNELS}) == 2
    prices = [wiring.world_of(TINY, "joined", row).params.price for row in ("switch", DEAR)]
    assert prices == [TINY.price, TINY.dear_price] and "hybrid" in SYSTEMS


def test_differences_are_paired_and_the_better_single_mode_has_the_higher_mean():
    rows = {"none": (0.9, 0.9), "latent": (0.1, 0.7), "pool": (0.5, 0.2), "switch": (0.6, 0.6)}
    parts = {row: [{"tested": {"return": value}} for value in values] for row, values in rows.items()}
    found = switch_less(parts)
    assert found["better single, latent"] == found["latent"] == [0.5, -0.1]
    assert found["none"] == [-0.3, -0.3] and found["pool"] == [0.1, 0.4]


def test_a_switch_alone_is_compared_with_nothing():
    tested = dict.fromkeys((*wiring.BLOCKS,), 0.5)
    part = {"tested": tested, "curves": {"return": [0.1]}, "num_skipped": 0, "seconds": 1.0}
    document = document_of(
        HybridSettings(task=("joined",), mode=("switch",), num_seeds=1), {("joined", "switch"): [part]}
    )
    assert document["differences"] == {} and document["headline"] == "Simulated: modes without a comparison."


def test_times_faster_by_hand():
    """Neither needs 4 and 6 steps, symbols 2 and 2: 2 and 3 times faster, 2.5 in the mean; memories 1 and 2."""
    steps = {"latent": (4.0, 3.0), "symbols": (2.0, 2.0), "neither": (4.0, 6.0)}
    parts = {
        ("consensus", row): [
            {"tested": {"steps": value, "agreed": 1.0}, "curves": {"steps": [value]}, "num_skipped": 0, "seconds": 1.0}
            for value in values
        ]
        for row, values in steps.items()
    }
    settings = HybridSettings(task=("consensus",), num_seeds=2)
    document = document_of(settings, parts)
    assert document["tables"][0]["rows"] == [
        ["latent", "3.50", "1.00", "1.50"],
        ["symbols", "2.00", "1.00", "2.50"],
        ["neither", "5.00", "1.00", "–"],
    ]
    assert "symbols agree 2.50 times faster than neither" in document["headline"]
    assert len(figures_of(settings, document)) == 1


@pytest.mark.slow
def test_symbols_that_mean_something_emerge():
    """With symbols nearly all agree at the second step at the latest, 1.63 steps in the mean; with none it takes 4."""
    settings = HybridSettings(width=8, history=1)
    plan = wiring.plan_of(settings, "consensus", "symbols")
    begin, go_on = jax.jit(partial(begin_run, plan)), jax.jit(partial(advance, plan, 80))
    steps = {}
    for row in ("symbols", "neither"):
        numbers = (wiring.world_of(settings, "consensus", row).params, plan.settings)
        _, told = go_on(begin(numbers, jax.random.key(1)), numbers)
        steps[row] = float(np.mean(told["steps"][-10:]))
    assert steps["symbols"] < 2.0 and steps["neither"] > 3.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": ("maze",)}, "hybrid.task: expected some of corridors, joined, consensus, simulator, got"),
        (
            {"mode": ("all",)},
            "hybrid.mode: expected some of none, latent, pool, both, switch, dear switch, symbols, got",
        ),
        ({"price": -1.0}, "hybrid.price: expected at least 0, got -1"),
        ({"own_fraction": 1.5}, "hybrid.own_fraction: expected from 0 to 1, got 1.5"),
        ({"num_entries": 1}, "hybrid.num_entries: expected at least 2, which are read at once, got 1"),
        ({"lengths": ()}, "hybrid.lengths: expected some of at least 1, got"),
        ({"agent_steps": 5}, "hybrid.agent_steps: expected at least one update, 4096, got 5"),
        ({"limit": 0}, "hybrid.limit: expected at least 1, got 0"),
    ],
)
def test_what_cannot_be_meant_is_one_line(changes, message):
    with pytest.raises(UserError, match=message):
        HybridSettings(**changes)
