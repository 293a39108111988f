"""Teams of one rollout on several workers, in this process: the rollout of one worker, whoever works where."""

import asyncio
import json
import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from lts_jax.bridge.collate import CollateSettings, collate
from lts_jax.distributed.calls import RecordedCalls
from lts_jax.distributed.crew import Assignment, Errand, Reply, WorkerLost
from lts_jax.distributed.driving import Hooks
from lts_jax.distributed.executor import Workers
from lts_jax.distributed.far_teams import TeamErrand
from lts_jax.distributed.leases import Terms
from lts_jax.distributed.worker import RolloutWorker
from lts_jax.errors import UserError
from lts_jax.llm.simulated import SimulatedModel
from lts_jax.memory import valkey_log
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.memory.guards import GuardSettings
from lts_jax.memory.remote_bank import BankLog, BankLost
from lts_jax.records import RolloutGroup, StopReason
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.rollouts.executor import LOCAL, Work
from lts_jax.rollouts.restart import purpose_of
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.rollouts.spread import PlaceLost, check_spread
from lts_jax.systems.world import ModelSettings
from lts_jax.teams.settings import ParallelSettings, TeamSettings

_HERE = runpy.run_path(str(Path(__file__).with_name("test_workers.py")))
JOB, TRAINING, arm_of = _HERE["JOB"], _HERE["TRAINING"], _HERE["arm_of"]
_DRIVING = runpy.run_path(str(Path(__file__).with_name("test_driving.py")))
Office, StandIn, drive, jobs, stand_ins = (
    _DRIVING[name] for name in ("Office", "StandIn", "drive", "jobs", "stand_ins")
)
SPREAD = RolloutSettings(num_teams=3, team=TeamSettings(max_rounds=4), spread_teams=True)


class Asked:
    """The simulated model on the real clock: notes who asked for what, and takes a moment."""

    name = "simulated"

    def __init__(self):
        self.calls, self.seconds = [], 0.0

    async def complete(self, messages, *, seed, json_reply=False):
        await asyncio.sleep(self.seconds)
        self.calls.append(seed)
        return await SimulatedModel().complete(messages, seed=seed, json_reply=json_reply)


class Direct:
    """A worker as its driver and the other workers of this process see it."""

    def __init__(self, worker):
        self.worker, self.incarnation = worker, worker.incarnation
        self.gone = asyncio.Event()
        self.is_alive = False  # though it is said to be gone
        self.seconds_of_replies = 0.0
        self.stopped = []

    async def prepare(self, assignment):
        self.worker.prepare(assignment)

    async def run(self, errand):
        return await self.worker.run(errand)

    async def beat(self, terms):
        return self.worker.beat(terms)

    def peer(self):
        return self

    async def run_team(self, errand):
        """A call that nobody takes back: it goes on where its caller has gone, until the worker is gone itself."""
        running, dying = asyncio.ensure_future(self.worker.run_team(errand)), asyncio.ensure_future(self.gone.wait())
        running.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # nobody may wait for it
        await asyncio.wait([running, dying], return_when=asyncio.FIRST_COMPLETED)
        if self.gone.is_set():
            if not self.is_alive:
                running.cancel()
            raise PlaceLost(f"worker {self.incarnation} was killed")
        dying.cancel()
        share = running.result()
        await asyncio.sleep(self.seconds_of_replies)
        return share

    async def stop_team(self, key, team):
        return None if self.gone.is_set() and not self.is_alive else await self.worker.stop_team(key, team)

    async def stop_teams(self, coordinates):
        self.stopped.append(coordinates)
        await self.worker.stop_teams(coordinates)

    def stop(self):
        pass

    def last_lines(self):
        return []


@pytest.fixture
def model(monkeypatch):
    asked = Asked()
    monkeypatch.setattr("lts_jax.distributed.worker.bare_model", lambda settings: (asked, "{}"))
    return asked


def crew(folder, settings=SPREAD, policy="all", number=3, **training):
    """Workers that are prepared for such rollouts, on the real clock."""
    paying = ModelSettings("far", base_url="http://127.0.0.1:9", max_completion_tokens=99)
    order = arm_of(replace(TRAINING, rollout=settings, model=paying, **training), policy).parts.order
    workers = [RolloutWorker(f"here-{place}-1") for place in range(number)]
    for worker in workers:
        worker.prepare(Assignment(1, order, settings, 1, str(folder)))
        worker.beat(Terms(share=8))
    return [Direct(worker) for worker in workers]


def run_on(crew, recorded=(), *, is_wrong=False):
    """The first worker's reply on the job, with the others as its peers."""
    reply = asyncio.run(crew[0].run(Errand(JOB, 1, tuple(recorded), tuple(crew[1:]))))
    assert is_wrong or not reply.error, reply.error
    return reply


def said(rollout):
    """What was said and done, without when."""
    calls = sorted((one.team, one.step, one.purpose, one.reply, one.prompt_tokens) for one in rollout.calls)
    steps = [replace(step, started_seconds=0.0, finished_seconds=0.0) for step in rollout.steps]
    steps.sort(key=lambda step: (step.team, step.step))
    answers = [(one.text, one.stop_reason, one.num_steps, one.num_replans) for one in rollout.answers]
    return calls, steps, answers, rollout.final.text, rollout.outcome


def lines_of(folder, place):
    journal = folder / f"here-{place}-1.jsonl"
    return journal.read_bytes().splitlines() if journal.exists() else []


def test_teams_that_share_nothing_do_what_they_do_on_one_worker(tmp_path, model):
    spread = run_on(crew(tmp_path / "spread", policy="m1_parallel")).rollout
    settings = replace(SPREAD, spread_teams=False)
    whole = run_on(crew(tmp_path / "whole", settings, "m1_parallel")).rollout
    assert said(spread) == said(whole) and len(spread.steps) > 4
    assert [len(lines_of(tmp_path / "whole", place)) > 0 for place in range(3)] == [True, False, False]
    assert sum(len(lines_of(tmp_path / "spread", place)) for place in range(3)) == len(spread.calls)
    for team in (1, 2):  # each team asked where it worked
        assert len(lines_of(tmp_path / "spread", team)) == sum(call.team == team for call in spread.calls) > 0
    assert list(spread.calls) == sorted(spread.calls, key=lambda call: call.started_seconds + call.seconds)


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_one_bank_whoever_writes_where(number, tmp_path, model):
    model.seconds = 0.002
    team_crew = crew(tmp_path, number=number)
    rollout = run_on(team_crew).rollout
    entries = rollout.entries
    assert [one.entry for one in entries] == list(range(len(entries))) and len(entries) > 3
    assert len({one.team for one in entries}) == 3
    by_step = {(one.team, one.step): one for one in rollout.steps}
    assert all(by_step[one.team, one.step].output == one.value for one in entries)
    assert rollout.pulls and all(pull.writer == entries[pull.entry].team for pull in rollout.pulls)
    assert [one.sequence for one in rollout.decisions] == list(range(len(rollout.decisions)))
    assert {(one.team, one.step) for one in rollout.decisions} == set(by_step)
    for one in rollout.decisions:
        assert one.entry >= one.num_keys and (entries[one.entry].team, entries[one.entry].step) == (one.team, one.step)
    assert [a.team for a in rollout.answers] == [0, 1, 2] and rollout.clock == "real"
    assert len({(one.team, one.step, one.purpose) for one in rollout.calls if one.purpose == "summarize"}) == len(
        by_step
    )
    collate(RolloutGroup(JOB.task, 0, (rollout,)), HashingEncoder(), CollateSettings())
    assert all(direct.worker.teams.banks == {} for direct in team_crew)  # it died with its task


def test_a_learned_policy_decides_where_its_team_works(tmp_path, model):
    import jax

    from lts_jax.systems.comparison import make_arm
    from lts_jax.systems.lts import learned_policy
    from lts_jax.systems.run_parts import make_parts

    paying = ModelSettings("far", base_url="http://127.0.0.1:9", max_completion_tokens=99)
    run = make_parts(replace(TRAINING, rollout=SPREAD, model=paying, controller="linear"))
    params = run.fresh_state(jax.random.key(3)).params
    order = make_arm("lts", run, learned_policy(run, params)).parts.order
    workers = [RolloutWorker(f"here-{place}-1") for place in range(2)]
    for worker in workers:
        worker.prepare(Assignment(1, order, SPREAD, 1, str(tmp_path), params=params))
        worker.beat(Terms(share=8))
    rollout = run_on([Direct(worker) for worker in workers]).rollout
    assert {one.team for one in rollout.decisions} == {0, 1, 2}
    assert all(one.admit_probability == pytest.approx(0.5, abs=1e-6) for one in rollout.decisions)  # it is untrained


def test_the_first_answer_stops_the_teams_elsewhere_and_what_they_did_stays(tmp_path, model):
    settings = replace(SPREAD, parallel=ParallelSettings("first"))
    team_crew, model.seconds, slow = crew(tmp_path, settings), 0.01, Asked()
    slow.seconds = 0.03
    for place in (1, 2):
        team_crew[place].worker._now.model._inner = slow
    rollout = run_on(team_crew).rollout
    first, *others = rollout.answers
    assert first.text and rollout.final.text == first.text
    assert [one.stop_reason for one in others] == [StopReason.CANCELLED] * 2
    for team, answer in enumerate(others, 1):
        calls = [one for one in rollout.calls if one.team == team]
        assert 0 < len(calls) <= len(lines_of(tmp_path, team))  # one may have been under way
        assert answer.num_steps - sum(step.team == team for step in rollout.steps) in (0, 1)  # one not yet summarised
        assert answer.seconds == pytest.approx(first.seconds, abs=0.05)
    assert all(not direct.worker.teams._running for direct in team_crew)


async def lose_the_third(team_crew, folder):
    """The home's reply where the third worker is lost once it has some finished calls."""
    running = asyncio.create_task(team_crew[0].run(Errand(JOB, 1, (), tuple(team_crew[1:]))))
    while len(lines_of(folder, 2)) < 4 and not running.done():
        await asyncio.sleep(0.002)
    team_crew[2].gone.set()
    return await running


def test_a_lost_place_ends_the_rollout_and_no_finished_call_is_asked_again(tmp_path, model):
    team_crew, model.seconds = crew(tmp_path), 0.004

    async def lose():
        reply = await lose_the_third(team_crew, tmp_path)
        assert all(not direct.worker.teams._running for direct in team_crew[:2])  # the other team was stopped
        return reply

    reply = asyncio.run(lose())
    assert reply.is_lost and reply.error == "worker here-2-1 was killed" and reply.rollout is None
    calls, purpose = RecordedCalls(tmp_path), purpose_of("all", JOB.coordinates)
    calls.read_all([purpose])
    found = calls.read_again([purpose])
    assert found == []  # all of them are known
    before = {json.loads(line)["call"] for place in range(3) for line in lines_of(tmp_path, place)}
    again = crew(tmp_path / "again", number=2)
    assert run_on(again, calls.lines(purpose)).rollout is not None
    after = [json.loads(line)["call"] for place in range(2) for line in lines_of(tmp_path / "again", place)]
    assert before and after and not before & set(after)


def test_a_place_that_is_said_to_be_lost_and_is_not_is_stopped_all_the_same(tmp_path, model):
    team_crew, model.seconds = crew(tmp_path, policy="m1_parallel"), 0.004
    team_crew[2].is_alive = True

    async def lose():
        reply = await lose_the_third(team_crew, tmp_path)
        before = [len(lines_of(tmp_path, place)) for place in range(3)]
        await asyncio.sleep(0.1)
        assert before == [len(lines_of(tmp_path, place)) for place in range(3)]  # nobody goes on
        return reply

    assert asyncio.run(lose()).is_lost and all(not direct.worker.teams._running for direct in team_crew)


def test_a_team_whose_answer_is_on_its_way_when_it_is_stopped_keeps_what_it_did(tmp_path, model):
    """Both others have ended, and their replies travel, while the home's team gives the first answer."""
    settings = replace(SPREAD, parallel=ParallelSettings("first"))
    team_crew, model.seconds, quick = crew(tmp_path, settings), 0.02, Asked()
    for direct in team_crew[1:]:
        direct.worker._now.model._inner, direct.seconds_of_replies = quick, 30.0
    rollout = run_on(team_crew).rollout
    for team in (1, 2):
        assert sum(call.team == team for call in rollout.calls) == len(lines_of(tmp_path, team)) > 10
        assert sum(step.team == team for step in rollout.steps) == rollout.answers[team].num_steps > 0
    writers = {entry.team for entry in rollout.entries}
    assert writers <= {step.team for step in rollout.steps} and len(writers) == 3


@pytest.mark.parametrize("who", ["elsewhere", "at home"])
def test_a_bank_that_is_lost_on_the_way_ends_the_rollout_and_crashes_no_team(who, tmp_path, model):
    team_crew, model.seconds = crew(tmp_path), 0.002
    owner_of = team_crew[0].worker.teams.owner_of

    class Mortal:
        writes = 0

        def __init__(self, owner):
            self.guards, self.since, self._write = owner.guards, owner.since, owner.write

        def write(self, deed, known):
            Mortal.writes += 1
            if Mortal.writes > 3:
                raise BankLost("bank: the process that owns it is gone")
            return self._write(deed, known)

    teams = team_crew[0].worker.teams
    if who == "elsewhere":
        teams.owner_of = lambda key: Mortal(owner_of(key))
    else:
        teams.banks = Mortals(Mortal)
        teams.owner_of = teams.banks.__getitem__
    reply = run_on(team_crew, is_wrong=True)
    assert reply.is_lost and reply.error == "bank: the process that owns it is gone" and Mortal.writes > 3
    assert all(not direct.worker.teams._running for direct in team_crew)


class Mortals(dict):
    """Banks that are mortal from their beginning."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def __setitem__(self, key, bank):
        super().__setitem__(key, self.kind(bank))


def test_a_message_to_stop_that_overtakes_the_one_to_run_is_kept(tmp_path, model):
    worker = crew(tmp_path)[1].worker

    async def overtaken():
        assert await worker.stop_team("a try", 1) is None
        errand = TeamErrand("a try", Errand(JOB, 1), 1, BankLog(), 0.0)
        with pytest.raises(PlaceLost, match="stopped before it began"):
            await worker.run_team(errand)

    asyncio.run(overtaken())
    assert lines_of(tmp_path, 1) == []


def test_a_later_try_of_a_job_stops_the_teams_of_the_one_before(tmp_path, model):
    worker, model.seconds = crew(tmp_path, policy="m1_parallel")[1].worker, 0.01

    async def twice():
        errands = [TeamErrand(key, Errand(JOB, 1), 1, BankLog(), 0.0) for key in ("first", "second")]
        first = asyncio.create_task(worker.run_team(errands[0]))
        while not lines_of(tmp_path, 1):
            await asyncio.sleep(0.002)
        share = await worker.run_team(errands[1])
        with pytest.raises(PlaceLost, match="the team was stopped"):
            await first
        return share

    assert asyncio.run(twice()).result.answer.stop_reason != StopReason.CRASHED


def test_teams_elsewhere_begin_at_the_moment_of_their_home(tmp_path, model, monkeypatch):
    """What comes before the teams begin, here a second that passes, passes for all of them."""
    import lts_jax.rollouts.spread as room

    began = room.run_teams

    async def late(*given):
        await asyncio.sleep(0.3)
        return await began(*given)

    monkeypatch.setattr(room, "run_teams", late)
    rollout = run_on(crew(tmp_path, policy="m1_parallel")).rollout
    first = [min(call.started_seconds for call in rollout.calls if call.team == team) for team in range(3)]
    assert min(first) >= 0.3 and max(first) - min(first) < 0.25


def test_the_log_may_lie_at_a_server(tmp_path, model, monkeypatch):
    fakeredis = pytest.importorskip("fakeredis")
    server = fakeredis.FakeServer()
    monkeypatch.setattr(valkey_log, "_client", lambda address: fakeredis.FakeValkey(server=server))
    rollout = run_on(crew(tmp_path, replace(SPREAD, bank_log="valkey://localhost:6379"))).rollout
    assert len(rollout.entries) > 3 and len({one.team for one in rollout.entries}) == 3
    assert fakeredis.FakeValkey(server=server).keys() == []  # it died with its task


@pytest.mark.parametrize(
    ("change", "wanted"),
    [({"sharing": "aside"}, "expected rollout.sharing in_turn, got aside")],
)  # fmt: skip
def test_what_cannot_be_spread_is_a_line(change, wanted, tmp_path, model):
    reply = run_on(crew(tmp_path, replace(SPREAD, **change)), is_wrong=True)
    assert reply.is_users and wanted in reply.error and "\n" not in reply.error


def test_a_policy_that_edits_is_refused():
    class Edits:
        name, may_edit = "edits", True

    parts = replace(arm_of().parts, virtual_time=False, policy=Edits())
    with pytest.raises(UserError, match="expected a policy that edits nothing, got edits"):
        check_spread(parts, SPREAD)


def test_settings_that_make_no_sense_are_a_line():
    with pytest.raises(UserError, match="values: expected raw where teams are spread, got facts"):
        RolloutSettings(spread_teams=True, values="facts")
    with pytest.raises(UserError, match="bank_log: expected it only with spread_teams"):
        RolloutSettings(bank_log="valkey://localhost")
    with pytest.raises(UserError, match="bank_log: expected valkey://HOST:PORT, got 'localhost'"):
        RolloutSettings(spread_teams=True, bank_log="localhost")


def test_without_workers_or_without_real_time_it_is_refused(tmp_path):
    arm = arm_of(replace(TRAINING, rollout=SPREAD))
    given = [JOB.task], arm.parts, SPREAD, CollectSettings(1, 1)
    with pytest.raises(UserError, match=r"rollout.spread-teams: expected workers to spread them over \(--workers\)"):
        collect_groups(*given, Iteration(5, 0, executor=LOCAL))
    with pytest.raises(UserError, match="expected a model that takes real time, got a made-up one"):
        Workers(_HERE["InProcess"](), tmp_path).run([JOB], Work(arm.parts, SPREAD, 1), lambda finished: None)


def test_the_driver_runs_again_what_lost_a_team_and_gives_up_the_third_time():
    """Each job's first try is lost with a peer; one job's tries all are."""
    tries, given_back = {}, []

    class Loses(StandIn):
        async def run(self, errand):
            name = errand.job.task.task_id
            tries[name] = tries.get(name, 0) + 1
            await self._alive(self.seconds)
            if tries[name] == 1 or name == "t001":
                return Reply(None, "worker 1-1 was killed", is_lost=True)
            return Reply(errand.job)

    kept, told = [], []
    hooks = Hooks(keep=kept.append, tell=told.append, given_back=given_back.append)
    _, _, driver, _ = drive(Office(2, Loses), jobs(4), hooks=hooks)
    assert tries == {"t000": 2, "t001": 3, "t002": 2, "t003": 2} and driver.ledger.adds_up
    assert driver.ledger.num_done == 3 and driver.ledger.num_given_up == 1 and driver.ledger.num_run_again == 5
    assert sum(map(len, given_back)) == 6 > len(given_back)  # journals are read once for those of one moment
    assert "t001 is run again: worker 1-1 was killed" in told
    [lost] = [finished for finished in kept if finished.rollout is None]
    assert lost.job.task.task_id == "t001" and "worker 1-1 was killed" in lost.reason


def test_every_worker_is_the_others_peer_and_stops_the_teams_of_a_lost_home(monkeypatch):
    seen, stopped = {}, []

    class Peers(StandIn):
        def peer(self):
            return self.incarnation

        async def stop_teams(self, coordinates):
            if self.incarnation.startswith("2"):
                raise WorkerLost("gone, too")
            stopped.append((self.incarnation, coordinates.task))

        async def run(self, errand):
            seen.setdefault(self.incarnation, set()).add(errand.peers)
            return await super().run(errand)

    monkeypatch.setattr(stand_ins, "ASSIGNMENT", replace(stand_ins.ASSIGNMENT, settings=SPREAD))
    office = Office(3, Peers)

    async def kill(driver):
        await asyncio.sleep(4.5)
        office.hired[0].gone.set()

    kept, _, driver, _ = drive(office, jobs(30), kill)
    assert len(kept) == 30 and driver.ledger.num_workers_lost == 1
    assert max(seen["0-0"], key=len) == ("1-1", "2-2") and max(seen["1-1"], key=len)[:1] == ("2-2",)
    assert all(own not in peers for own, all_peers in seen.items() for peers in all_peers)
    assert {name for name, _ in stopped} == {"1-1"} and len(stopped) == 2  # two lanes were lost
    assert () in {peers for all_peers in seen.values() for peers in all_peers}  # they were run again alone


def test_guards_reach_the_bank_that_every_place_follows(tmp_path, model):
    """Nothing of the kind that every entry is of may be read; without the guard it is."""
    free = run_on(crew(tmp_path / "free")).rollout
    kinds = tuple(sorted({str(one.origin) for one in free.entries}))
    settings = replace(SPREAD, guards=GuardSettings(revoked=kinds))
    held = run_on(crew(tmp_path / "held", settings)).rollout
    assert free.pulls and held.entries and not held.pulls
