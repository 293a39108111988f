"""The offline world: seeded facts as pages and files, questions with computed answers, tools to read them."""

from lts_jax.tasks.almanac.describe import describe_page, describe_task
from lts_jax.tasks.almanac.records import Almanac, Page
from lts_jax.tasks.almanac.tools import AlmanacTools
from lts_jax.tasks.almanac.world import build_almanac

__all__ = ["Almanac", "AlmanacTools", "Page", "build_almanac", "describe_page", "describe_task"]
