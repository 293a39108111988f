"""The executor that runs rollouts on workers: what the driver needs of a run, in the words of the port."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lts_jax.distributed.calls import RecordedCalls, charged_in, prepay
from lts_jax.distributed.crew import Assignment, Staff, Worker
from lts_jax.distributed.dispatch import Ledger
from lts_jax.distributed.driving import PATIENCE, Driver, Hooks, Patience
from lts_jax.distributed.keeper import leave_mark
from lts_jax.distributed.leases import Lender, charged_of
from lts_jax.errors import UserError
from lts_jax.rollouts.executor import Finished, Job, Work, run_to_end
from lts_jax.rollouts.restart import purpose_of, spend
from lts_jax.rollouts.spread import check_spread
from lts_jax.storage import read_json, write_document

CALLS, LOGS, LEDGER = "calls", "workers", "workers.json"  # in the run folder


class Workers:
    """An `Executor` that gives jobs to workers on other processes or machines, and keeps a ledger of them."""

    def __init__(
        self, staff: Staff, folder: Path, patience: Patience = PATIENCE, *, is_shared: bool | None = None
    ) -> None:
        """`folder` is the run folder; finished calls are kept in it while they are needed.

        `is_shared` says whether workers write their journals there, or send them; None: each one sees for itself.
        """
        self._staff, self._folder, self._patience, self._is_shared = staff, Path(folder), patience, is_shared
        self._keepers: dict[str, Any] = {}  # by the folder of the calls
        self._marks: dict[str, Path] = {}
        self._driver: Driver | None = None
        self._version = 0
        self._ended = Ledger()  # of earlier lives of the driver
        if (self._folder / LEDGER).exists():
            stored = read_json(self._folder / LEDGER, dict)
            self._ended = Ledger(**{name: int(stored[name]) for name in Ledger.__slots__})

    @property
    def ledger(self) -> Ledger:
        """Of all jobs, those of earlier lives of the driver included."""
        return self._ended if self._driver is None else self._ended.plus(self._driver.ledger)

    def run(self, jobs: Sequence[Job], work: Work, keep: Callable[[Finished], None]) -> None:
        """See `Executor`.

        Raises:
            UserError: the parts hold an object that cannot be made elsewhere, or what `Driver.run` raises.
        """
        if not jobs:
            return
        try:
            run_to_end(self._run(jobs, work, keep))
        finally:
            document = {name: getattr(self.ledger, name) for name in Ledger.__slots__}
            write_document(self._folder / LEDGER, document | {"told": self.ledger.told()})

    def close(self) -> None:
        """End every worker."""
        if self._driver is not None:
            self._driver.close()
        for mark in self._marks.values():
            mark.unlink(missing_ok=True)

    async def _run(self, jobs: Sequence[Job], work: Work, keep: Callable[[Finished], None]) -> None:
        assignment = self._assignment(work)
        driver, parts, price = self._driver_of(work), work.parts, work.parts.price
        calls = RecordedCalls(Path(assignment.calls_folder)) if assignment.calls_folder else None

        def purpose(job: Job) -> str:
            return purpose_of(parts.policy.name, job.coordinates)

        def ended(finished: Finished) -> None:
            if finished.rollout is not None:
                spend(parts.budget, [finished.rollout])
            if calls is not None:
                calls.forget(purpose(finished.job))
            keep(finished)

        def given_back(jobs: Sequence[Job]) -> None:
            for completion in [] if calls is None else calls.read_again([purpose(job) for job in jobs]):
                prepay(parts.budget, price, completion)

        def lost(worker: Worker, held: Sequence[Job]) -> None:
            if calls is None:
                driver.lender.lost(worker.incarnation, charged_of((), price))
                return
            journal = f"{worker.incarnation}.jsonl"
            for completion in calls.read_lost(journal, [purpose(job) for job in held]):
                prepay(parts.budget, price, completion)
            if work.settings.spread_teams:
                given_back(held)
            spent = charged_of(charged_in(Path(assignment.calls_folder) / journal), price)
            driver.lender.lost(worker.incarnation, spent)

        if calls is not None:
            wanted = [purpose(job) for job in jobs]
            calls.read_all(wanted)
            calls.prepay(parts.budget, price, wanted)
        driver.lender.begin(parts.budget)
        hooks = Hooks(
            keep=ended,
            recorded=(lambda job: ()) if calls is None else (lambda job: calls.lines(purpose(job))),
            lost=lost,
            given_back=given_back,
            tell=_tell,
            calls_each=0 if calls is None else work.settings.num_teams,
        )
        await driver.run(assignment, jobs, hooks, work.on_failure)

    def _assignment(self, work: Work) -> Assignment:
        order = work.parts.order
        if order is None:
            raise UserError("workers: expected parts that settings name, got objects, which cannot travel")
        if work.settings.spread_teams:
            check_spread(work.parts, work.settings)
        self._version += 1
        params: Any = None
        if order.learned is not None:
            params = self._staff.hand_over(_host(work.parts.policy.decider.params))  # type: ignore[attr-defined]
        model = order.settings.model
        keeps_calls = not (model.is_simulated and model.base_url is None) and not model.replay_only
        calls = Path(model.record_folder) if model.record_folder is not None else self._folder / CALLS
        folder = str(calls.absolute()) if keeps_calls else ""
        mark, keeper = self._keeping(folder) if folder else ("", None)
        return Assignment(
            self._version,
            order,
            work.settings,
            work.num_side_by_side,
            folder,
            mark,
            keeper,
            is_stored=work.is_stored,
            params=params,
        )

    def _keeping(self, folder: str) -> tuple[str, Any]:
        """The mark by which workers know the folder, and who writes for those that do not see it."""
        if self._is_shared:
            return "", None
        if folder not in self._keepers:
            self._keepers[folder] = self._staff.keep_calls(folder)
        keeper = self._keepers[folder]
        if keeper is None or self._is_shared is False:
            return "", keeper
        if folder not in self._marks:
            self._marks[folder] = leave_mark(Path(folder))
        return self._marks[folder].name, keeper

    def _driver_of(self, work: Work) -> Driver:
        if self._driver is None:
            most, rate = _of_endpoint(work)
            lender = Lender(work.parts.budget.settings, most, time.monotonic, rate)
            self._driver = Driver(self._staff, lender, self._patience)
        return self._driver


def _of_endpoint(work: Work) -> tuple[int, float | None]:
    """Calls that it takes at one time, and those that may begin in a second."""
    if work.parts.order is None:
        return 1, None
    model = work.parts.order.settings.model
    return model.max_in_flight, model.max_calls_per_second


def _host(params: Any) -> Any:
    """Parameters as NumPy arrays."""
    import jax

    return jax.device_get(params)


def _tell(text: str) -> None:
    print(f"lts: {text}", file=sys.stderr, flush=True)
