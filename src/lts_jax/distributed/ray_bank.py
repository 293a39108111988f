"""The owner of a bank across hosts in a Ray actor; see `memory/remote_bank.py`.

The handle travels: whoever gets it, on whatever machine, makes a `RemoteBank` of it. Nothing is detached or retried:
the bank lives as long as the process that made it, and a call runs at most once.
"""

from collections.abc import Sequence
from typing import Any

from lts_jax.distributed.starting import on_this_node
from lts_jax.memory.guards import GuardSettings
from lts_jax.memory.remote_bank import BankLog, BankLost, Deed

ANSWER_SECONDS = 20.0  # that an owner may take for one deed, which takes it a millisecond


class RayBank:
    """See `BankOwner`."""

    def __init__(self, actor: Any, key: str | None = None) -> None:
        """`actor` is a `BankLog`, or a worker that has one under a key."""
        self.actor, self._key = actor, key
        self._lost = ""

    def guards(self) -> GuardSettings:
        """See `BankOwner`."""
        found: GuardSettings = self._ask("guards")
        return found

    def write(self, deed: Deed, known: int) -> tuple[Deed, ...]:
        """See `BankOwner`."""
        deeds: tuple[Deed, ...] = self._ask("write", deed, known)
        return deeds

    def since(self, known: int) -> tuple[Deed, ...]:
        """See `BankOwner`."""
        deeds: tuple[Deed, ...] = self._ask("since", known)
        return deeds

    def _ask(self, method: str, *arguments: Any) -> Any:
        import ray

        if self._lost:
            raise BankLost(self._lost)
        try:
            return ray.get(self._call(method, arguments), timeout=ANSWER_SECONDS)
        except ray.exceptions.RayTaskError as error:  # the bank's own
            if isinstance(error.cause, ValueError):  # a refusal, or that the job has ended there
                raise error.cause from None
            raise RuntimeError(str(error)[-4000:]) from None
        except (ray.exceptions.RayError, TimeoutError) as error:
            # It may have done what it was asked, or not: who asks again could do it twice.
            self._lost = f"bank: the process that owns it is gone ({type(error).__name__}); what is known can be read"
            raise BankLost(self._lost) from None

    def _call(self, method: str, arguments: Sequence[Any]) -> Any:
        if self._key is None:
            return getattr(self.actor, method).remote(*arguments)
        return self.actor.bank.remote(self._key, method, *arguments)


def start_bank(guards: GuardSettings | None = None) -> RayBank:
    """A bank in an actor of its own on this node, so that no other machine takes it along. Ray runs already."""
    import ray

    remote: Any = ray.remote(num_cpus=0, max_restarts=0, max_task_retries=0)(BankLog)
    return RayBank(remote.options(scheduling_strategy=on_this_node()).remote(guards))
