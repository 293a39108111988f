"""Sets of weaknesses of the simulated model, by name: teams that err by commission, by omission, or as a small model.

Under `commission` a team that misses the answer has mostly read a wrong value, and says it as surely as a right one.
Under `omission` it has mostly overlooked the value on the page, or given the search up. So shared values are often
wrong under the first and seldom under the second. Both are held against the same figures of recorded runs without
memory (experiments/simulated_calibration). `small` errs as a model of 135M weights was seen to
(experiments/real_small_model): it stops before anything was done.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from lts_jax.errors import UserError
from lts_jax.llm.simulated.settings import SimulatedModelSettings
from lts_jax.parts import Part, resolve

COMMISSION = SimulatedModelSettings(
    common_mistakes=0.35, follows_stale_page=0.45, misreads=0.16, overlooks_value=0.09, gives_up=0.2
)
OMISSION = SimulatedModelSettings(
    common_mistakes=0.65, follows_stale_page=0.2, misreads=0.05, overlooks_value=0.4, gives_up=0.5
)
SMALL = replace(
    OMISSION, malformed_ledger=0.17, stops_at_once=0.82, stops_early=1.0, repeats_itself=0.25, restates_request=1.0
)
"""SmolLM2-135M-Instruct on 40 questions: 33 of 40 first ledgers called the job finished; of 320 rollouts' calls 154 of
902 ledgers broke off, and 178 of 779 answers were cut while they repeated themselves. Of a first look at 12 rollouts:
6 of 6 later ledgers called the job finished. Asked for a short ledger it called 18 of 40 jobs finished at once."""


def _changed(settings: SimulatedModelSettings, does: str) -> Callable[..., SimulatedModelSettings]:
    """A function of keyword settings, whose defaults are those of `settings`."""
    values = {name: getattr(settings, name) for name in SimulatedModelSettings.__slots__}
    made = partial(SimulatedModelSettings, **values)
    made.__doc__ = does
    return made


WEAKNESSES: dict[str, Callable[..., SimulatedModelSettings]] = {
    "commission": _changed(COMMISSION, "Misses are wrong values: misread cells and outdated pages."),
    "omission": _changed(OMISSION, "Misses are missing values: overlooked on the page, or given up."),
    "small": _changed(SMALL, "Work ends before anything was found, as with a model of 135M weights."),
}
"""Sets of weaknesses by the name that the command line uses; their settings are those of `SimulatedModelSettings`."""


def weaknesses_part(weaknesses: str, *, where: str = "weaknesses") -> Part:
    """The part that a text such as `omission` or `commission(misreads=0.1)` names; see `make_weaknesses`."""
    part = resolve(weaknesses, WEAKNESSES, where=where)
    make_weaknesses(part, where=where)
    return part


def make_weaknesses(weaknesses: str | Part, *, where: str = "weaknesses") -> SimulatedModelSettings:
    """The weaknesses that a text names.

    Raises:
        UserError: one line: no such set, no such weakness, a value outside its range, or a function of the user's own
            that makes something else.
    """
    part = resolve(weaknesses, WEAKNESSES, where=where) if isinstance(weaknesses, str) else weaknesses
    try:
        made = part()
    except ValueError as error:
        raise UserError(f"{where}: {part.name}: {error}") from error
    if not isinstance(made, SimulatedModelSettings):
        raise UserError(f"{where}: {part.name}: expected SimulatedModelSettings, got {type(made).__name__}")
    return made
