"""A simulated language model for team work without a network: it reads the messages, and errs on purpose."""

from lts_jax.llm.simulated.model import SimulatedModel
from lts_jax.llm.simulated.settings import PERFECT, SimulatedModelSettings

__all__ = ["PERFECT", "SimulatedModel", "SimulatedModelSettings"]
