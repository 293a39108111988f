"""Rollouts on a Ray cluster of this machine: the same records as in one process, whatever becomes of its workers.

One cluster for the whole module, in a process of its own (`ray_child.py`), since starting Ray takes most of the time.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

CHILD = Path(__file__).with_name("ray_child.py")


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """What the child found, by part."""
    folder = tmp_path_factory.mktemp("ray")
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    command = [sys.executable, str(CHILD), str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1700, check=False)
    lines = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith('{"part"')]
    wanted = {"equal", "nodes", "bank", "paid", "unseen", "spread", "money"}
    assert {line["part"] for line in lines} >= wanted, ended.stderr[-3000:]
    return {line["part"]: line for line in lines}


def test_forty_rollouts_over_two_nodes_equal_those_of_one_process(parts):
    assert parts["equal"]["same"] and parts["equal"]["ledger"] == "40 rollouts: 40 done, 0 given up"


def test_so_do_they_when_nodes_are_taken_away_at_ten_moments(parts):
    assert len(parts["nodes"]["rows"]) == 5
    for *moments, same, num_done, num_lost, adds_up in parts["nodes"]["rows"]:
        assert same and num_done == 40 and adds_up, moments
        assert num_lost >= 2, moments


def test_a_killed_and_a_stopped_worker_cost_no_finished_call(parts):
    paid = parts["paid"]
    assert paid["same"] and paid["marks"] == 2 and paid["lost"] >= 2
    assert paid["repeated"] == 0  # finished calls that were asked again
    assert paid["lines"] == paid["calls"] == paid["charged"]  # each call is in one journal, and was charged once
    assert 0 <= paid["asked_twice"] <= paid["most_asked_twice"]  # those in flight, with the same idempotency key
    assert "workers lost" in paid["told"] and "calls in flight asked again" in paid["told"]


def test_workers_that_see_no_run_folder_send_their_calls_and_none_is_charged_twice(parts):
    unseen = parts["unseen"]
    assert unseen["same"] and unseen["marks"] == 2 and unseen["lost"] >= 1
    assert unseen["distinct"] == unseen["calls"]
    assert 0 <= unseen["asked_twice"] <= unseen["most_asked_twice"]  # of finished calls none


def test_two_nodes_share_the_teams_of_each_task_and_one_that_dies_costs_no_finished_call(parts):
    spread = parts["spread"]
    assert spread["rollouts"] == spread["scored"] == 12 and spread["adds_up"]
    assert spread["killed"] and spread["lost"] >= 1 and spread["repeated"] == 0
    assert spread["numbered"] and spread["writers"].count([0, 1]) >= 8 and spread["pulls"] > 12
    assert spread["over_two"] >= 8  # while one worker was gone the other had both teams


def test_a_budget_is_never_exceeded(parts):
    money = parts["money"]
    assert "the budget of the run is used up" in money["said"]
    assert money["limit"] - 40 * money["most_of_a_call"] < money["tokens"] <= money["limit"]


def test_a_bank_that_two_nodes_write_is_that_of_one_process_until_its_owner_is_gone(parts):
    bank = parts["bank"]
    assert bank["same"] and bank["prefixes"] and bank["entries"] == 40 and bank["pulls"] > 40
    assert "no memory entry 999" in bank["refused"]
    assert len(bank["errors"]) == 3 and len(set(bank["errors"])) == 1
    assert bank["errors"][0].startswith("bank: the process that owns it is gone") and "\n" not in bank["errors"][0]
