"""The driver among stand-ins on a jumping clock: whatever happens to workers, every job ends once, and is accounted."""

import asyncio
import importlib.util
import random
import sys
from pathlib import Path

import pytest

from lts_jax.distributed.crew import Reply, WorkerLost
from lts_jax.distributed.driving import Driver, Hooks
from lts_jax.errors import UserError

_SPEC = importlib.util.spec_from_file_location("stand_ins", Path(__file__).with_name("stand_ins.py"))
stand_ins = importlib.util.module_from_spec(_SPEC)
sys.modules["stand_ins"] = stand_ins  # dataclasses look their module up
_SPEC.loader.exec_module(stand_ins)
Office, StandIn, drive, jobs = stand_ins.Office, stand_ins.StandIn, stand_ins.drive, stand_ins.jobs


def names(kept):
    return sorted(finished.job.task.task_id for finished in kept)


def test_jobs_are_shared_out_and_all_end():
    office = Office(2)
    kept, told, driver, seconds = drive(office, jobs(12))
    assert names(kept) == [f"t{place:03d}" for place in range(12)] and told == []
    assert driver.ledger.num_done == 12 and driver.ledger.adds_up
    # two workers, two lanes each, a second a job: three rounds after the start of three seconds
    assert seconds == pytest.approx(6.0, abs=0.1)
    assert [len(worker.ran) for worker in office.hired] == [6, 6]


def test_workers_stay_from_one_run_to_the_next():
    office = Office(1)
    ended = []

    async def twice():
        loop = asyncio.get_running_loop()
        driver = Driver(
            office, stand_ins.Lender(stand_ins.BudgetSettings(), 8, loop.time), stand_ins.PATIENCE, loop.time
        )
        for _ in range(2):
            await driver.run(stand_ins.ASSIGNMENT, jobs(2), Hooks(keep=ended.append))
        return driver

    driver = stand_ins.run_jumping(twice())
    assert len(office.hired) == 1 and office.hired[0].versions == [1, 1]
    assert driver.ledger.num_jobs == driver.ledger.num_done == 4


def test_a_lost_worker_gives_back_what_it_held_to_the_front():
    office = Office(2)

    async def kill(driver):
        await asyncio.sleep(3.5)
        office.hired[0].log.append("out of memory")
        office.hired[0].gone.set()

    kept, told, driver, _ = drive(office, jobs(12), kill)
    assert names(kept) == [f"t{place:03d}" for place in range(12)]
    assert all(finished.rollout is not None for finished in kept)
    assert (driver.ledger.num_workers_lost, driver.ledger.num_run_again) == (1, 2)
    assert len(office.hired) == 3 and office.hired[0].is_stopped
    assert office.hired[1].ran[2:4] == office.hired[0].ran  # the next that anybody takes
    assert "killed" in told[0] and "out of memory" in told[0]


def test_a_worker_that_hangs_is_given_up_and_its_late_result_refused():
    office = Office(1)
    lost_at = []

    async def hang(driver):
        loop = asyncio.get_running_loop()
        await asyncio.sleep(3.5)
        hung = office.hired[0]
        hung.awake.clear()
        while not hung.is_stopped:
            await asyncio.sleep(0.25)
        lost_at.append(loop.time())
        hung.awake.set()  # it wakes and goes on, as a process does after SIGCONT

    kept, told, driver, _ = drive(office, jobs(6), hang)
    assert names(kept) == [f"t{place:03d}" for place in range(6)]  # none twice
    assert driver.ledger.adds_up and driver.ledger.num_done == 6
    assert 3.5 + 10 <= lost_at[0] <= 3.5 + 2 + 10 + 0.5  # a beat, the limit, our looking
    assert "no sign of life for 10 seconds" in told[0]


def test_the_dispatch_refuses_whoever_holds_the_job_no_more():
    dispatch = stand_ins.Dispatch(jobs(1))
    job = dispatch.take("a")
    assert dispatch.lose("a", "hung") == [] and dispatch.take("b") == job
    assert not dispatch.finish("a", job.coordinates) and not dispatch.has_ended
    assert dispatch.finish("b", job.coordinates) and dispatch.has_ended
    assert not dispatch.finish("b", job.coordinates)  # nor twice
    assert (dispatch.ledger.num_late, dispatch.ledger.num_done) == (2, 1)


def test_a_job_that_kills_three_workers_is_given_up_with_their_last_lines():
    office = Office(2, make=lambda name: StandIn(name, dies_of=frozenset({"t003"})))
    kept, _, driver, _ = drive(office, jobs(8))
    given_up = [finished for finished in kept if finished.rollout is None]  # and not its neighbours
    assert [finished.job.task.task_id for finished in given_up] == ["t003"]
    assert "lost 3 times" in given_up[0].reason and "segmentation fault in t003" in given_up[0].reason
    ledger = driver.ledger
    assert (ledger.num_jobs, ledger.num_done, ledger.num_given_up) == (8, 7, 1) and ledger.adds_up


@pytest.mark.parametrize("on_failure", ["drop", "stop"])
def test_without_requeue_what_a_worker_held_is_given_up_at_once(on_failure):
    office = Office(1)

    async def kill(driver):
        await asyncio.sleep(3.5)
        office.hired[0].gone.set()

    kept, _, driver, _ = drive(office, jobs(4), kill, on_failure=on_failure)
    assert sum(finished.rollout is None for finished in kept) == 2 == driver.ledger.num_given_up
    assert driver.ledger.num_run_again == 0 and driver.ledger.adds_up


def test_what_keep_raises_ends_the_run_and_the_workers():
    office = Office(2)

    def keep(finished):
        raise UserError("the budget of the run is used up")

    with pytest.raises(UserError, match="the budget"):
        drive(office, jobs(12), hooks=Hooks(keep=keep))
    assert all(worker.is_stopped for worker in office.hired)


def test_a_mistake_in_a_rollout_is_raised_as_it_would_be_here():
    class Wrong(StandIn):
        async def run(self, errand):
            return Reply(None, "ZeroDivisionError: our own", is_users=False)

    class Theirs(StandIn):
        async def run(self, errand):
            return Reply(None, "told: expected teams of our own engine", is_users=True)

    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        drive(Office(1, make=Wrong), jobs(2))
    with pytest.raises(UserError, match="told: expected"):
        drive(Office(1, make=Theirs), jobs(2))


def test_where_no_worker_starts_the_first_failure_is_told_and_the_run_ends_in_one_line():
    def never(name):
        raise WorkerLost("Ray says ActorDiedError", ["Traceback", "ImportError: no module named lts_jax"])

    told = []
    with pytest.raises(UserError, match=r"none can be started: .*last lines: .*no module named lts_jax") as caught:
        drive(Office(1, make=never), jobs(2), hooks=Hooks(keep=lambda finished: None, tell=told.append))
    assert "\n" not in str(caught.value) and len(told) == 3 and "no module named" in told[0]


def test_who_is_silent_at_the_start_is_told_of_within_ten_seconds_with_its_last_lines():
    told = []

    class Hangs(StandIn):
        async def prepare(self, assignment):
            self.log.extend(f"line {number}" for number in range(30))
            await asyncio.sleep(1e6)

    async def times():
        loop = asyncio.get_running_loop()
        driver = Driver(
            Office(3, make=Hangs), stand_ins.Lender(stand_ins.BudgetSettings(), 8, loop.time), now=loop.time
        )
        hooks = Hooks(keep=lambda finished: None, tell=lambda text: told.append((loop.time(), text)))
        await driver.run(stand_ins.ASSIGNMENT, jobs(2), hooks)

    with pytest.raises(UserError, match=r"none can be started: it has not made its parts within 600 seconds"):
        stand_ins.run_jumping(times())
    (first, said), *rest = told
    assert first == pytest.approx(3.0 + 10.0, abs=0.1)  # it was hired after three
    assert "has not made its parts within 10 seconds; it has 600" in said
    assert [line.strip() for line in said.splitlines()[1:]] == [f"line {number}" for number in range(10, 30)]
    assert len(rest) == 9 and all("is lost" in text for _, text in rest)  # three at each place, at 600 seconds


def test_who_dies_at_the_start_is_told_of_at_once():
    told = []

    class Dies(StandIn):
        async def prepare(self, assignment):
            self.log.append("ImportError: no module named mine")
            raise WorkerLost("killed")

    async def times():
        loop = asyncio.get_running_loop()
        driver = Driver(Office(1, make=Dies), stand_ins.Lender(stand_ins.BudgetSettings(), 8, loop.time), now=loop.time)
        hooks = Hooks(keep=lambda finished: None, tell=lambda text: told.append((loop.time(), text)))
        await driver.run(stand_ins.ASSIGNMENT, jobs(2), hooks)

    with pytest.raises(UserError, match="none can be started"):
        stand_ins.run_jumping(times())
    assert told[0][0] == pytest.approx(3.0, abs=0.1) and "ImportError: no module named mine" in told[0][1]


def test_places_come_and_go():
    office = Office(1)

    async def change(driver):
        await asyncio.sleep(5.0)
        office.number = 3  # two machines more
        await asyncio.sleep(20.0)
        office.closed.add(0)
        office.hired[0].gone.set()

    kept, _, driver, _ = drive(office, jobs(120), change)
    assert len(names(kept)) == 120 and driver.ledger.adds_up
    assert len(office.hired) == 3 and all(worker.ran for worker in office.hired)


def test_a_rolling_restart_of_all_workers_loses_nothing():
    office = Office(4)

    async def restart(driver):
        for place in range(4):
            await asyncio.sleep(6.0)
            office.hired[place].gone.set()

    kept, _, driver, _ = drive(office, jobs(300), restart)
    assert names(kept) == [f"t{place:03d}" for place in range(300)]
    assert driver.ledger.num_workers_lost == 4 and driver.ledger.num_done == 300


@pytest.mark.parametrize("seed", range(10))
def test_kills_and_hangs_at_random_moments_double_nothing(seed):
    office = Office(3)
    draw = random.Random(seed)

    async def havoc(driver):
        await asyncio.sleep(3.5)
        while True:
            await asyncio.sleep(draw.uniform(0.5, 15.0))
            worker = draw.choice(office.hired)
            worker.awake.clear() if draw.random() < 0.3 else worker.gone.set()

    kept, _, driver, _ = drive(office, jobs(200), havoc)
    assert names(kept) == [f"t{place:03d}" for place in range(200)]
    assert driver.ledger.adds_up
    assert driver.ledger.num_done + driver.ledger.num_given_up == 200
    assert driver.ledger.num_workers_lost >= 1
