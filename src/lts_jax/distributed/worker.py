"""One worker: makes the parts of a run from settings, and runs the jobs that it is given on one event loop.

Keys are read here, from the environment that the worker was started in; only names of variables travel. Each call is
durable in the worker's own journal before its reply is used, here or, where the run folder is not seen, by the driver.
"""

import asyncio
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from lts_jax.distributed.crew import Assignment, Errand, Reply
from lts_jax.distributed.far_teams import FarTeams, TeamErrand
from lts_jax.distributed.gate import Gate, GatedModel
from lts_jax.distributed.keeper import journal_writer
from lts_jax.distributed.leases import Beat, Terms
from lts_jax.errors import UserError
from lts_jax.llm.budget import Budget
from lts_jax.llm.chat import ChatModel
from lts_jax.llm.recorded import LineWriter, ReplayModel
from lts_jax.memory.remote_bank import BankLost, RemoteBank
from lts_jax.records import Coordinates, Rollout
from lts_jax.redact import environment_secrets, redact_text
from lts_jax.rollouts.executor import RolloutCounter
from lts_jax.rollouts.restart import purpose_of
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.rows import row_of
from lts_jax.rollouts.spread import FarTeam, PlaceLost, TeamShare, far_team, run_spread
from lts_jax.systems.orders import Order
from lts_jax.systems.run_parts import RunParts, make_parts
from lts_jax.systems.world import bare_model


@dataclass(frozen=True, slots=True)
class _Prepared:
    assignment: Assignment
    parts: RolloutParts
    counter: RolloutCounter | None
    model: ChatModel | None  # below the journal; None where no call is kept
    options: str
    writer: LineWriter | None  # of its journal; held open


class RolloutWorker:
    """Runs rollouts for a driver. One object a process."""

    def __init__(self, incarnation: str) -> None:
        self.incarnation = incarnation
        self._gate = Gate()
        self._now: _Prepared | None = None
        self.teams = FarTeams()

    def prepare(self, assignment: Assignment) -> None:
        """Make the parts of a run, from which jobs are taken from now on.

        Raises:
            UserError: they cannot be made here: no key, no such folder, no package; or an older run than the last.
        """
        if self._now is not None and assignment.version < self._now.assignment.version:
            raise UserError(f"worker: expected version {self._now.assignment.version} or newer, got an older one")
        assert assignment.order is not None
        parts, counter = parts_of_order(assignment.order, assignment.params)
        model, options, writer = None, "", None
        if assignment.calls_folder:
            settings = assignment.order.settings.model
            endpoint, options = bare_model(replace(settings, record_folder=None, max_calls_per_second=None))
            model = GatedModel(endpoint, self._gate, settings.price, settings.max_completion_tokens)
            name = f"{self.incarnation}.jsonl"
            writer = journal_writer(assignment.calls_folder, name, assignment.mark, assignment.keeper)
        self._now = _Prepared(assignment, parts, counter, model, options, writer)

    async def run(self, errand: Errand) -> Reply:
        """Run one job; what goes wrong in it is told, never raised."""
        now = self._now
        if now is None or errand.version != now.assignment.version:
            has = "none" if now is None else now.assignment.version
            return Reply(None, f"worker {self.incarnation}: asked for version {errand.version}, has {has}")
        try:
            with _counted(now):
                rollout = await self._rollout(now, errand)
            return Reply(rollout, row=row_of(rollout) if now.assignment.is_stored else b"")
        except PlaceLost as loss:
            await _flush(now)  # the driver reads what this try has paid for
            return Reply(None, str(loss), is_lost=True)
        except UserError as error:
            return Reply(None, str(error), is_users=True)
        except Exception:
            told = redact_text(traceback.format_exc(limit=-10), environment_secrets(os.environ))
            return Reply(None, f"worker {self.incarnation}: {told}")

    async def run_team(self, errand: TeamErrand) -> TeamShare:
        """Run one team of another worker's job.

        Raises:
            UserError: it cannot be run here.
            PlaceLost: this worker is at another run than the job.
        """
        now, job = self._now, errand.errand.job
        if now is None or errand.errand.version != now.assignment.version:
            raise PlaceLost(f"worker {self.incarnation} is at another run")
        parts, settings = self._parts_of(now, errand.errand), now.assignment.settings

        async def make() -> FarTeam:
            bank = await asyncio.to_thread(RemoteBank, errand.owner)
            return far_team(job.task, job.coordinates, parts, settings, errand.team, bank, errand.began)

        try:
            with _counted(now):
                return await self.teams.run(errand, make)
        except BankLost as loss:
            raise PlaceLost(str(loss)) from None
        finally:
            await _flush(now)

    async def stop_team(self, key: str, team: int) -> TeamShare | None:
        """Stop a team of another worker's job; what it did until then, once its finished calls are durable."""
        share = await self.teams.stop(key, team)
        await _flush(self._now)
        return share

    async def stop_teams(self, coordinates: Coordinates) -> None:
        """Stop every team of a job that is run again; its finished calls are durable then."""
        await self.teams.stop_all(coordinates)
        await _flush(self._now)

    async def _rollout(self, now: _Prepared, errand: Errand) -> Rollout:
        job, parts, settings = errand.job, self._parts_of(now, errand), now.assignment.settings
        if not settings.spread_teams:
            return await run_rollout(job.task, job.coordinates, parts, settings)
        async with self.teams.places(errand, settings) as (places, owner):
            return await run_spread(job.task, job.coordinates, parts, settings, places, owner)

    def beat(self, terms: Terms) -> Beat:
        """Keep to new terms; says how things stand."""
        return self._gate.beat(terms)

    async def close(self) -> None:
        """End what tools have started."""
        if self._now is not None and self._now.parts.tool_kit is not None:
            await self._now.parts.tool_kit.aclose()

    def _parts_of(self, now: _Prepared, errand: Errand) -> RolloutParts:
        """The parts for one job: what it had paid for is given again, what it newly pays for is kept."""
        if now.model is None:
            return now.parts
        purpose = purpose_of(now.parts.policy.name, errand.job.coordinates)
        model = ReplayModel(
            now.assignment.calls_folder,
            now.model,
            name=now.model.name,
            options=now.options,
            journal=f"{self.incarnation}.jsonl",
            lines=errand.recorded,
            writer=now.writer,
        )
        return replace(now.parts, model=model.with_purpose(purpose))


async def _flush(now: _Prepared | None) -> None:
    """Wait until calls that have ended are durable, also those whose caller was stopped meanwhile."""
    if now is not None and now.writer is not None:
        await now.writer.flush()


@contextmanager
def _counted(now: _Prepared) -> Iterator[None]:
    """Something that asks for decisions begins and ends."""
    if now.counter is not None:
        now.counter.rollout_started()
    try:
        yield
    finally:
        if now.counter is not None:
            now.counter.rollout_ended()


def parts_of_order(order: Order, params: Any = None) -> tuple[RolloutParts, RolloutCounter | None]:
    """The parts that an order describes, and the decider that is told of every rollout. No budget: the gate has it.

    Raises:
        UserError: as `make_parts`; or a policy that is not made by its name.
    """
    run = _made(order.settings)
    if order.learned is not None:
        from lts_jax.bridge.learned import LearnedPolicy
        from lts_jax.systems.lts import decider_of

        decider = decider_of(_made(order.learned.training), params, greedy=order.learned.greedy)
        policy: Any = LearnedPolicy(decider, order.policy, training=order.learned.training)
        return run.rollout_parts(policy, Budget(), order.reading), decider
    from lts_jax.admission.rules import make_rule

    policy = make_rule(order.policy, run.encoder)
    if policy.name != order.policy:
        raise UserError(f"workers: expected a policy that its name makes again, got {order.policy!r}")
    return run.rollout_parts(policy, Budget(), order.reading), None


@lru_cache(maxsize=4)
def _made(settings: Any) -> RunParts:
    return make_parts(settings)
