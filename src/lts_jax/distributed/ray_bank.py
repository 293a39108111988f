"""The owner of a bank across hosts as a Ray actor; see `memory/remote_bank.py`.

The handle travels: whoever gets it, on whatever machine, makes a `RemoteBank` of it. Nothing is detached or retried:
the bank lives as long as the process that made it, and a call runs at most once.
"""

from typing import Any

from lts_jax.distributed.starting import on_this_node
from lts_jax.errors import UserError
from lts_jax.memory.guards import GuardSettings
from lts_jax.memory.remote_bank import BankLog, Deed

ANSWER_SECONDS = 60.0  # that an owner may take for one deed, which takes it a millisecond


class RayBankOwner:
    """See `BankOwner`."""

    def __init__(self, guards: GuardSettings | None = None) -> None:
        """Start the actor on this node: no other machine takes it along. Ray runs already; see `start_ray`."""
        import ray

        remote: Any = ray.remote(num_cpus=0, max_restarts=0, max_task_retries=0)(BankLog)
        self.actor: Any = remote.options(scheduling_strategy=on_this_node()).remote(guards)
        self._lost = ""

    def guards(self) -> GuardSettings:
        """See `BankOwner`."""
        found: GuardSettings = self._ask(self.actor.guards)
        return found

    def write(self, deed: Deed, known: int) -> tuple[Deed, ...]:
        """See `BankOwner`."""
        deeds: tuple[Deed, ...] = self._ask(self.actor.write, deed, known)
        return deeds

    def since(self, known: int) -> tuple[Deed, ...]:
        """See `BankOwner`."""
        deeds: tuple[Deed, ...] = self._ask(self.actor.since, known)
        return deeds

    def _ask(self, method: Any, *arguments: Any) -> Any:
        import ray

        if self._lost:
            raise UserError(self._lost)
        try:
            return ray.get(method.remote(*arguments), timeout=ANSWER_SECONDS)
        except ray.exceptions.RayTaskError as error:  # the bank's own
            if isinstance(error.cause, ValueError):
                raise error.cause from None
            raise RuntimeError(str(error)[-4000:]) from None
        except (ray.exceptions.RayError, TimeoutError) as error:
            # It may have done what it was asked, or not: who asks again could do it twice.
            self._lost = f"bank: the process that owns it is gone ({type(error).__name__}); what is known can be read"
            raise UserError(self._lost) from None
