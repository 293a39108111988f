"""An admission rule that knows the truth of the offline world: what the best judge of values could reach."""

from dataclasses import dataclass, field

from lts_jax.admission.offline_truth import truth_of
from lts_jax.admission.policy import AdmissionRequest
from lts_jax.admission.step_kinds import LISTING, RIGHT, WRONG, Statement, read_step
from lts_jax.errors import UserError, show

VALUES = {"right": frozenset({RIGHT}), "any": frozenset({RIGHT, WRONG}), "none": frozenset[str]()}
_MAX_ROLLOUTS = 4096  # whose admissions are remembered; far more than run side by side


@dataclass(frozen=True, slots=True)
class OracleChoice:
    """Admits steps of the chosen kinds, once per need and part unless `repeats`.

    What was admitted before is known by the order of the bank's keys: entries come in order of their decisions.
    """

    values: str
    listings: bool
    repeats: bool
    world_seed: int
    _admitted: dict[int, tuple[object, list[Statement]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.values not in VALUES:
            raise UserError(f"oracle(values): expected one of {', '.join(VALUES)}, got {show(self.values)}")

    def admits(self, request: AdmissionRequest) -> bool:
        """Whether the step is of a kind that is wanted, and new.

        Raises:
            UserError: the question is not of the offline world of this seed.
        """
        truth = truth_of(request.question, self.world_seed)
        if not any(truth.values.values()):
            raise UserError(f"oracle: no page of the offline world {self.world_seed} tells what is asked for")
        statement = read_step(request.step, truth)
        if statement.kind not in VALUES[self.values] and not (self.listings and statement.kind == LISTING):
            return False
        admitted = self._admitted_in(request)
        known = {about for other in admitted[: len(request.keys)] for about in other.about}
        is_wanted = self.repeats or statement.is_new(known)
        if is_wanted:
            admitted.append(statement)
        return is_wanted

    def _admitted_in(self, request: AdmissionRequest) -> list[Statement]:
        """What this rule has admitted in the running rollout, in order."""
        name = id(request.rollout)
        owner, admitted = self._admitted.get(name, (None, []))
        if owner is not request.rollout or owner is None:
            admitted = []
            while len(self._admitted) >= _MAX_ROLLOUTS:
                self._admitted.pop(next(iter(self._admitted)))
            self._admitted[name] = (request.rollout, admitted)
        return admitted
