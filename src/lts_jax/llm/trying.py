"""A function of the user's is tried before it is used, so that it does not end every team of a rollout."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from lts_jax.errors import UserError, describe
from lts_jax.llm.chat import Ask
from lts_jax.records import Message, ModelCall


def try_out(choose: Callable[[Any, Ask], Awaitable[Any]], sample: Any, name: str) -> None:
    """Refuse what raises on a sample; what waits is not tried, and whoever asks a model hears that nobody is there.

    Args:
        choose: (request, ask) -> what is chosen.
        sample: a request.
        name: of the function, for the message.

    Raises:
        UserError: it raises, in one line that begins with `name`; or the one that it raises itself.
    """
    try:
        choose(sample, _ask_nobody).__await__().send(None)
    except StopIteration:
        return
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{name}: trying it raises {describe(error)}") from error


async def _ask_nobody(purpose: str, messages: Sequence[Message]) -> ModelCall:
    return ModelCall(purpose, "", 0, 0, error="nobody is asked here")
