"""One Ray cluster on this machine, a head and two nodes of one processor, and everything that is tried on it.

Run by `test_ray.py` in a process of its own, without jax before Ray. Prints a line of JSON for each part.
"""

import json
import os
import random
import runpy
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

from lts_jax.distributed.starting import ENVIRONMENT

os.environ.update(ENVIRONMENT)
import ray
from ray.cluster_utils import Cluster

TESTS = Path(__file__).parent.parent
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


def start():
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    return cluster, [cluster.add_node(**NODE) for _ in range(2)]


def until(condition):
    """Wait for a condition."""
    while not condition():
        time.sleep(0.005)


def when(condition, act):
    """Do something in a thread as soon as a condition holds."""

    def wait():
        until(condition)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def short(**given):
    """Settings of short rollouts of two teams."""
    from lts_jax.rollouts.settings import RolloutSettings
    from lts_jax.systems.train_settings import TrainSettings
    from lts_jax.teams.settings import TeamSettings

    return TrainSettings(rollout=RolloutSettings(num_teams=2, team=TeamSettings(max_rounds=6)), **given)


def arm_of(training, budget=None):
    from lts_jax.systems.comparison import ComparisonSettings, make_arm, make_policy
    from lts_jax.systems.run_parts import make_parts

    run = make_parts(training)
    return make_arm("all", run, make_policy("all", run, ComparisonSettings()), budget)


def evaluate_on(arm, num_tasks, num_seeds, folder=None, **options):
    from lts_jax.evaluation.evaluate import EvaluationSettings, evaluate
    from lts_jax.systems.world import almanac_tasks

    settings = EvaluationSettings(num_tasks, num_seeds, num_in_flight=4)
    return evaluate([arm], almanac_tasks(0, "test", num_tasks), settings, folder, **options)["all"]


def say(part, **found):
    print(json.dumps({"part": part} | found), flush=True)


def workers_at(cluster, folder, **options):
    from lts_jax.distributed.executor import Workers
    from lts_jax.distributed.ray_staff import RayStaff

    return Workers(RayStaff(f"ray://{cluster.address}", folder / "workers"), folder, **options)


def pids(workers):
    return [int(worker.incarnation.split("-")[-2]) for worker in workers._driver.workers.values()]


def recorded(calls, pattern="*.jsonl"):
    """Digests of the calls that journals hold."""
    return [
        json.loads(line)["call"] for path in sorted(calls.glob(pattern)) for line in path.read_bytes().split(b"\n")[:-1]
    ]


def simulated(cluster, nodes, folder):
    """Forty rollouts over two nodes; then five times over three, of which two are taken away at moments drawn."""
    arm = arm_of(short())
    local = evaluate_on(arm, 8, 5)
    workers = workers_at(cluster, folder)
    started = time.monotonic()
    far = evaluate_on(arm, 8, 5, executor=workers)
    say("equal", same=far == local, seconds=time.monotonic() - started, ledger=workers.ledger.told())
    workers.close()
    draw = random.Random(17)
    rows = []
    for moments in zip(draw.sample(range(12), 5), draw.sample(range(16, 28), 5), strict=True):  # rollouts that are back
        nodes += [cluster.add_node(**NODE) for _ in range(3 - len(nodes))]
        workers = workers_at(cluster, folder / str(moments))
        takes = [partial(take_away, cluster, nodes.pop(draw.randrange(len(nodes))), workers) for _ in moments]
        again = evaluate_on(arm, 8, 5, on_rollout=after(dict(zip(moments, takes, strict=True))), executor=workers)
        ledger = workers.ledger
        rows.append([*moments, again == local, ledger.num_done, ledger.num_workers_lost, ledger.adds_up])
        workers.close()
    say("nodes", rows=rows)


def take_away(cluster, node, workers):
    """A node, and wait until its worker is gone: it answers until it sees that its node is."""
    at_work = [path for pid in pids(workers) if (path := Path(f"/proc/{pid}")).exists()]
    cluster.remove_node(node, allow_graceful=False)
    until(lambda: not all(process.exists() for process in at_work))


def after(acts):
    """What is told of each rollout: act in a thread when so many are back, and let no more than two come before it has.

    Else a fast machine is through before the worker is gone.
    """
    ended = []
    acting = {number: when(lambda least=number: len(ended) >= least, act) for number, act in acts.items()}

    def note(name, one):
        ended.append(one)
        if len(ended) - 2 in acting:
            acting[len(ended) - 2].join()

    return note


def paid(cluster, folder):
    """A worker killed, then one stopped, while they ask an endpoint that notes every request."""
    from lts_jax.systems.world import ModelSettings

    endpoint_class = runpy.run_path(str(TESTS / "rollouts" / "test_kill_collection.py"))["CountingEndpoint"]
    with endpoint_class() as endpoint:
        model = ModelSettings(name="simulated", base_url=endpoint.base_url)
        whole = evaluate_on(arm_of(short()), 6, 4)
        arm = arm_of(short(model=model))
        workers = workers_at(cluster, folder)
        num_calls = sum(len(one.calls) for one in whole)
        draw = random.Random(3)
        marks = {}

        def hurt(number):
            pid = draw.choice(pids(workers))
            marks[number] = (pid, len(endpoint.requests))
            os.kill(pid, number)

        when(lambda: len(endpoint.charged) >= num_calls // 6, lambda: hurt(signal.SIGKILL))
        when(lambda: len(endpoint.charged) >= num_calls // 2, lambda: hurt(signal.SIGSTOP))
        far = evaluate_on(arm, 6, 4, folder / "evaluation", executor=workers)
        keys = [key for _, key in endpoint.requests]
        lines = recorded(folder / "calls")
        repeated = len(lines) - len(set(lines))  # a finished call that is asked again stands in a journal twice
        twice = len(keys) - len(set(keys))
        ledger = workers.ledger
        say(
            "paid",
            same=far == whole,
            lost=ledger.num_workers_lost,
            run_again=ledger.num_run_again,
            told=ledger.told(),
            calls=num_calls,
            lines=len(lines),
            charged=len(endpoint.charged),
            asked_twice=twice,
            most_asked_twice=ledger.num_calls_asked_again,
            repeated=repeated,
            marks=len(marks),
        )
        workers.close()
        with endpoint_class() as another:
            unseen(cluster, folder / "unseen", another, whole)
        with endpoint_class() as another:
            spread(cluster, folder / "spread", another)
        money(cluster, folder / "money", endpoint.base_url)


def unseen(cluster, folder, endpoint, whole):
    """As if no machine saw the run folder: lines go to the keeper. A worker is killed, then the keeper itself."""
    from lts_jax.systems.world import ModelSettings

    arm = arm_of(short(model=ModelSettings(name="simulated", base_url=endpoint.base_url)))
    workers = workers_at(cluster, folder, is_shared=False)
    num_calls = sum(len(one.calls) for one in whole)

    def kill_a_worker():
        os.kill(pids(workers)[0], signal.SIGKILL)

    def kill_the_keeper():
        ray.kill(next(iter(workers._keepers.values()))._actor, no_restart=False)

    marks = [
        when(lambda: len(endpoint.charged) >= num_calls // 6, kill_a_worker),
        when(lambda: len(endpoint.charged) >= num_calls // 2, kill_the_keeper),
    ]
    far = evaluate_on(arm, 6, 4, folder / "evaluation", executor=workers)
    lines, keys = recorded(folder / "calls"), [key for _, key in endpoint.requests]
    say(
        "unseen",
        same=far == whole,
        lost=workers.ledger.num_workers_lost,
        asked_twice=len(keys) - len(set(keys)),
        most_asked_twice=workers.ledger.num_calls_asked_again,
        calls=num_calls,
        distinct=len(set(lines)),
        marks=sum(not one.is_alive() for one in marks),
    )
    workers.close()


def spread(cluster, folder, endpoint):
    """The two teams of each task on two nodes, on the real clock; a worker is killed in the middle."""
    from dataclasses import replace

    from lts_jax.systems.world import ModelSettings

    training = short(model=ModelSettings(name="far", base_url=endpoint.base_url))
    training = replace(training, rollout=replace(training.rollout, spread_teams=True))
    workers = workers_at(cluster, folder)

    def both_are_at_work():
        return sum(path.read_bytes().count(b"\n") >= 30 for path in (folder / "calls").glob("*.jsonl")) == 2

    killed = when(both_are_at_work, lambda: os.kill(pids(workers)[0], signal.SIGKILL))
    rollouts = evaluate_on(arm_of(training), 6, 2, folder / "evaluation", executor=workers)
    lines, by_worker = recorded(folder / "calls"), {}
    for path in (folder / "calls").glob("*.jsonl"):
        for line in path.read_bytes().split(b"\n")[:-1]:
            by_worker.setdefault(json.loads(line)["asked_for"], set()).add(path.name)
    say(
        "spread",
        rollouts=len(rollouts),
        scored=sum(one.reward_agg == one.reward_agg for one in rollouts),
        writers=[sorted({entry.team for entry in one.entries}) for one in rollouts],
        numbered=all([entry.entry for entry in one.entries] == list(range(len(one.entries))) for one in rollouts),
        over_two=sum(len(names) > 1 for names in by_worker.values()),
        pulls=sum(len(one.pulls) for one in rollouts),
        repeated=len(lines) - len(set(lines)),
        killed=not killed.is_alive(),
        lost=workers.ledger.num_workers_lost,
        told=workers.ledger.told(),
        adds_up=workers.ledger.adds_up,
    )
    workers.close()


def money(cluster, folder, url):
    """A budget that is not enough."""
    from lts_jax.errors import UserError
    from lts_jax.llm.budget import Budget, BudgetSettings
    from lts_jax.systems.world import ModelSettings

    limits = BudgetSettings(max_tokens=300_000)
    model = ModelSettings(name="simulated", base_url=url, budget=limits, max_completion_tokens=1000)
    workers = workers_at(cluster, folder)
    budget = Budget(limits)
    try:
        evaluate_on(arm_of(short(model=model), budget), 6, 4, folder / "evaluation", executor=workers)
        said = ""
    except UserError as error:
        said = str(error)
    lines = [
        json.loads(line) for path in (folder / "calls").glob("*.jsonl") for line in path.read_bytes().split(b"\n")[:-1]
    ]
    tokens = sum(line["prompt_tokens"] + line["completion_tokens"] for line in lines)
    say(
        "money",
        said=said,
        tokens=tokens,
        limit=limits.max_tokens,
        most_of_a_call=max(line["prompt_tokens"] + line["completion_tokens"] for line in lines),
    )
    workers.close()


def write_to(owner, team, number):
    """What another process does to a bank: adds, and pulls what it finds."""
    from lts_jax.memory.remote_bank import RemoteBank
    from lts_jax.records import Step

    bank = RemoteBank(owner)
    for place in range(number):
        bank.add(Step(team, place, "Searcher", "look", "", f"value {team}.{place}", f"pond {place}"), float(place))
        bank.catch_up()
        for entry in bank.list_entries(team, window=3, include_own=True):
            bank.pull(team, entry.entry, place, float(place))
    return bank.entries, bank.pulls


def refusal_of(act):
    """What is said where something is refused; nothing where it is done."""
    from lts_jax.errors import UserError

    try:
        act()
    except UserError as error:
        return str(error)
    return ""


def bank_across():
    """Two nodes write one bank; every reader sees what one bank in one process would hold; then its owner is killed."""
    from lts_jax.distributed.ray_bank import start_bank
    from lts_jax.memory.bank import EditRefused, MemoryBank
    from lts_jax.memory.remote_bank import RemoteBank

    owner = start_bank()
    remote = ray.remote(num_cpus=1)(write_to)
    seen = ray.get([remote.remote(owner, team, 20) for team in range(2)])
    reader, local = RemoteBank(owner), MemoryBank()
    for deed in owner.since(0):
        deed.on(local)
    same = (reader.entries, reader.pulls, reader.list_entries(0)) == (local.entries, local.pulls, local.list_entries(0))
    prefixes = all(
        entries == local.entries[: len(entries)] and pulls == local.pulls[: len(pulls)] for entries, pulls in seen
    )
    try:
        reader.delete(999, 0, 0, 0.0)
        refused = ""
    except EditRefused as error:
        refused = str(error)
    ray.kill(owner.actor)
    while "ActorDiedError" not in refusal_of(reader.catch_up):  # a kill takes a moment
        time.sleep(0.02)
    acts = (reader.catch_up, lambda: reader.revoke(0), lambda: reader.pull(0, 1, 0, 0.0))
    errors = [refused_with for act in acts if (refused_with := refusal_of(act))]
    say("bank", same=same, prefixes=prefixes, entries=len(reader), pulls=len(local.pulls), refused=refused,
        errors=errors)  # fmt: skip


def main(folder):
    started = time.monotonic()
    cluster, nodes = start()
    try:
        ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False, configure_logging=False)
        say("up", seconds=time.monotonic() - started)
        simulated(cluster, nodes, folder / "simulated")
        cluster.add_node(**NODE)
        bank_across()
        paid(cluster, folder / "paid")
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
