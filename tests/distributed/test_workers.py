"""What a worker makes of an order, in this process: the parts, the journal, the calls that were paid for before."""

import asyncio
import json
import socket
from dataclasses import replace

import pytest

from lts_jax.distributed.calls import RecordedCalls
from lts_jax.distributed.crew import Assignment, Errand
from lts_jax.distributed.executor import Workers
from lts_jax.distributed.leases import Spent, Terms
from lts_jax.distributed.starting import read_workers, wait_for, workers_of
from lts_jax.distributed.worker import RolloutWorker, parts_of_order
from lts_jax.errors import UserError
from lts_jax.evaluation.evaluate import EvaluationSettings, evaluate
from lts_jax.llm.budget import Budget
from lts_jax.llm.simulated import SimulatedModel
from lts_jax.records import Coordinates
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.rollouts.executor import Finished, Job, Work, given_up
from lts_jax.rollouts.restart import purpose_of
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.rollouts.store import read_group
from lts_jax.systems.comparison import ComparisonSettings, make_arm, make_policy
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.systems.world import ModelSettings, almanac_tasks
from lts_jax.teams.settings import TeamSettings

SHORT = RolloutSettings(num_teams=2, team=TeamSettings(max_rounds=3))
TRAINING = TrainSettings(rollout=SHORT)
TASK = almanac_tasks(0, "test", 1)[0]
JOB = Job(TASK, Coordinates(5, 0, TASK.task_id, 0))


def arm_of(training=TRAINING, policy="all"):
    run = make_parts(training)
    return make_arm(policy, run, make_policy(policy, run, ComparisonSettings()))


class InProcess:
    """A staff of one worker in this process."""

    def __init__(self):
        self.worker = RolloutWorker("here-1-1")

    def places(self):
        return [0]

    async def hire(self, place):
        return _Direct(self.worker)

    def keep_calls(self, folder):
        return None

    def hand_over(self, params):
        return params


class _Direct:
    def __init__(self, worker):
        self._worker, self.incarnation = worker, worker.incarnation

    async def prepare(self, assignment):
        self._worker.prepare(assignment)

    async def run(self, errand):
        return await self._worker.run(errand)

    async def beat(self, terms):
        return self._worker.beat(terms)

    def stop(self):
        pass

    def last_lines(self):
        return []


@pytest.mark.parametrize("policy", ["all", "similarity(threshold=0.6)", "m1_parallel"])
def test_workers_give_the_records_of_this_process(policy, tmp_path):
    arm = arm_of(policy=policy)
    given = [TASK], arm.parts, arm.rollout, CollectSettings(2, 4)
    here = collect_groups(*given, Iteration(5, 0), tmp_path / "here")
    there = collect_groups(*given, Iteration(5, 0, executor=Workers(InProcess(), tmp_path)), tmp_path / "rollouts")
    assert there == here == [read_group(path) for path in (tmp_path / "rollouts").glob("*.parquet")]
    files = [[path.read_bytes() for path in (tmp_path / name).rglob("*.parquet")] for name in ("here", "rollouts")]
    assert files[0] == files[1] and len(files[0]) == 1  # a worker made the rows of the one, the driver of the other
    ledger = json.loads((tmp_path / "workers.json").read_text())
    assert (ledger["num_jobs"], ledger["num_done"]) == (2, 2) and "2 done" in ledger["told"]
    assert Workers(InProcess(), tmp_path).ledger.num_done == 2  # of an earlier life


def test_a_learned_policy_travels_as_settings_and_parameters(tmp_path):
    import jax

    from lts_jax.systems.lts import learned_policy

    run = make_parts(replace(TRAINING, controller="linear"))
    params = run.fresh_state(jax.random.key(3)).params
    arm = make_arm("lts", run, learned_policy(run, params))
    given = [TASK], arm.parts, arm.rollout, CollectSettings(2, 4)
    here = collect_groups(*given, Iteration(5, 0, arm.counter))
    executor = Workers(InProcess(), tmp_path)
    assert collect_groups(*given, Iteration(5, 0, arm.counter, executor=executor)) == here


def test_objects_that_cannot_travel_are_refused_in_a_line(tmp_path):
    arm = arm_of()
    brought = replace(arm.parts, order=None)
    with pytest.raises(UserError, match="workers: expected parts that settings name, got objects"):
        Workers(InProcess(), tmp_path).run([JOB], Work(brought, SHORT, 1), lambda finished: None)


def prepared(tmp_path, monkeypatch, version=1):
    """A worker that asks a model which costs something, and records."""
    monkeypatch.setattr("lts_jax.distributed.worker.bare_model", lambda settings: (Counting(), "{}"))
    order = replace(arm_of().parts.order, settings=replace(TRAINING, model=ModelSettings(max_completion_tokens=99)))
    worker = RolloutWorker("here-1-1")
    worker.prepare(Assignment(version, order, SHORT, 1, str(tmp_path)))
    worker.beat(Terms(share=8))
    return worker


class Counting:
    """The simulated model, which counts."""

    name = "simulated"
    asked = 0

    async def complete(self, messages, *, seed, json_reply=False):
        Counting.asked += 1
        return await SimulatedModel().complete(messages, seed=seed, json_reply=json_reply)


def test_a_job_that_is_run_again_asks_only_what_no_journal_holds(tmp_path, monkeypatch):
    worker = prepared(tmp_path, monkeypatch)
    Counting.asked = 0
    whole = asyncio.run(worker.run(Errand(JOB, 1))).rollout
    num_calls, journal = Counting.asked, tmp_path / "here-1-1.jsonl"
    assert num_calls == len(whole.calls) > 10
    lines = journal.read_bytes().splitlines(keepends=True)
    # killed after two thirds, in the middle of a line
    journal.write_bytes(b"".join(lines[: num_calls * 2 // 3]) + lines[-1][:50])
    purpose = purpose_of("all", JOB.coordinates)
    calls = RecordedCalls(tmp_path)
    calls.read_all(["all another", purpose])
    budget = Budget()
    calls.prepay(budget, TRAINING.model.price, [purpose])
    cut = num_calls * 2 // 3
    assert budget.tokens == tokens_of(lines[:cut])
    Counting.asked = 0
    again = asyncio.run(worker.run(Errand(JOB, 1, calls.lines(purpose)))).rollout
    assert again == whole and Counting.asked == num_calls - cut
    assert worker.beat(Terms(8)).charged.tokens == whole.tokens + tokens_of(lines[cut:])


def tokens_of(lines):
    return sum(one["prompt_tokens"] + one["completion_tokens"] for one in map(json.loads, lines))


def test_a_lost_workers_journal_is_read_once_and_charged_by_line(tmp_path, monkeypatch):
    worker = prepared(tmp_path, monkeypatch)
    rollout = asyncio.run(worker.run(Errand(JOB, 1))).rollout
    calls, purpose = RecordedCalls(tmp_path), purpose_of("all", JOB.coordinates)
    found = calls.read_lost("here-1-1.jsonl", [purpose])
    assert sum(one.prompt_tokens + one.completion_tokens for one in found) == rollout.tokens
    assert calls.read_lost("here-1-1.jsonl", [purpose]) == []  # nothing is counted twice
    assert calls.read_lost("nobody.jsonl", [purpose]) == []
    calls.forget(purpose)
    assert calls.lines(purpose) == ()


def test_an_older_version_is_refused(tmp_path, monkeypatch):
    worker = prepared(tmp_path, monkeypatch, version=3)
    assert "asked for version 2, has 3" in asyncio.run(worker.run(Errand(JOB, 2))).error
    with pytest.raises(UserError, match="expected version 3 or newer"):
        worker.prepare(Assignment(2, arm_of().parts.order, SHORT, 1))
    assert "has none" in asyncio.run(RolloutWorker("new").run(Errand(JOB, 1))).error


def test_a_policy_that_its_name_does_not_make_is_refused():
    order = arm_of().parts.order
    with pytest.raises(UserError, match="rule"):
        parts_of_order(replace(order, policy="no such rule"))


@pytest.mark.parametrize("on_failure", ["requeue", "stop"])
def test_a_job_that_was_given_up_is_stored_without_a_score_or_ends_the_run(on_failure, tmp_path):
    arm = arm_of()

    class GivesUp:
        def run(self, jobs, work, keep):
            for job in jobs:
                keep(Finished(job, None, "its worker was lost 3 times (killed)"))

    collecting = CollectSettings(2, on_failure=on_failure)
    given = [TASK], arm.parts, arm.rollout, collecting, Iteration(5, 0, executor=GivesUp()), tmp_path
    if on_failure == "stop":
        with pytest.raises(UserError, match=r"its worker was lost 3 times .*on-failure: stop"):
            collect_groups(*given)
        return
    [group] = collect_groups(*given)
    assert [one.reward_agg == one.reward_agg for one in group.rollouts] == [False, False]  # not a number
    assert "given up: its worker was lost 3 times (killed)" in group.rollouts[0].outcome.detail
    [again] = collect_groups(*given[:4], Iteration(5, 0), tmp_path)  # stored: read, not run
    assert [one.outcome.detail for one in again.rollouts] == [one.outcome.detail for one in group.rollouts]


@pytest.mark.parametrize("on_failure", ["requeue", "drop", "stop"])
def test_an_evaluation_hands_on_what_becomes_of_the_lost(on_failure, tmp_path):
    words = []

    class Listens:
        def run(self, jobs, work, keep):
            words.append(work.on_failure)
            raise UserError("heard")

    for settings in (EvaluationSettings(1, 1, on_failure=on_failure), of_command(on_failure)):
        with pytest.raises(UserError, match="heard"):
            evaluate([arm_of()], [TASK], settings, executor=Listens())
    assert words == [on_failure] * 2


def of_command(on_failure):
    """The settings of `lts benchmark --on-failure ...`."""
    from lts_jax.commands.benchmark import Command, settings_of

    model = ModelSettings(name="some-model", base_url="http://127.0.0.1:9/v1")
    return settings_of(Command(model=model, on_failure=on_failure))[1].evaluation


def test_what_was_given_up_teaches_nothing():
    from lts_jax.bridge.collate import rollout_counts

    work = Work(arm_of().parts, SHORT, 1)
    rollout = given_up(Finished(JOB, None, "lost"), work)
    assert not rollout_counts(rollout) and rollout.num_teams == len(rollout.answers) == 2 and rollout.tokens == 0


def test_what_names_workers():
    assert read_workers("8") == (8, "") and read_workers("ray://head:6379") == (0, "head:6379")
    for wrong in ("0", "-1", "many", "ray://head", "head:6379", "ray://:1", "99999"):
        with pytest.raises(UserError, match=r"workers: expected a number from 1, or ray://HOST:PORT"):
            read_workers(wrong)
    assert workers_of(["--run", "x", "--workers", "2"]) == "2" and workers_of(["--workers=ray://a:1"]) == "ray://a:1"
    assert workers_of(["--run", "x"]) == "" == workers_of(["--workers"])


def test_on_failure_and_spent():
    with pytest.raises(UserError, match=r"collect.on_failure: expected requeue, drop, stop, got 'retry'"):
        CollectSettings(on_failure="retry")
    with pytest.raises(UserError, match=r"evaluation.on_failure: expected requeue, drop, stop, got 'retry'"):
        EvaluationSettings(on_failure="retry")
    assert Spent(1.0, 2.0, 3.0).plus(Spent(1.0, 1.0, 1.0), -1.0) == Spent(0.0, 1.0, 2.0)


def test_a_cluster_that_nobody_runs_is_a_line_and_no_endless_wait(capfd):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{server.getsockname()[1]}"  # bound, and not listened at: nobody else takes it
        with pytest.raises(UserError, match=rf"nobody answers at ray://{address} \(Connection refused\); is the head"):
            wait_for(address, seconds=0.0)
        server.listen()
        wait_for(address, seconds=0.0)
    said = capfd.readouterr().err
    assert said == ""  # it was not waited for
    with pytest.raises(UserError, match="nobody answers"):
        wait_for("127.0.0.1:1", seconds=0.01)
    assert "trying for 0.01 seconds" in capfd.readouterr().err
