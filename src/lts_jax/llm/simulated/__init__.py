"""A simulated language model for team work without a network: it reads the messages, and errs on purpose."""

from lts_jax.llm.simulated.model import SimulatedModel
from lts_jax.llm.simulated.settings import PERFECT, SimulatedModelSettings
from lts_jax.llm.simulated.weaknesses import COMMISSION, OMISSION, SMALL, WEAKNESSES, make_weaknesses, weaknesses_part

__all__ = [
    "COMMISSION",
    "OMISSION",
    "PERFECT",
    "SMALL",
    "WEAKNESSES",
    "SimulatedModel",
    "SimulatedModelSettings",
    "make_weaknesses",
    "weaknesses_part",
]
