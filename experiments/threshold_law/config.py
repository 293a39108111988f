"""What is trained and probed: a grid of lambda / beta for several variants of the objective."""

from dataclasses import dataclass, field

from probes import ProbeSettings

from lts_jax.lab.settings import LabSettings

USAGE, SPARSITY = "credit.usage_weight", "learning.sparsity_weight"


@dataclass(frozen=True, slots=True)
class Variant:
    """One objective: a scheme, beta, and other numbers of the learning settings."""

    name: str
    credit: str
    usage_weight: float
    changes: tuple[tuple[str, float], ...] = ()

    def points(self, ratios: tuple[float, ...]) -> list[dict[str, float]]:
        """A point per ratio lambda / beta. All variants name the same fields, so a scheme is compiled once."""
        base = {"learning.loss_temperature": 1.2, "learning.max_gradient_norm": 1.0} | dict(self.changes)
        return [base | {USAGE: self.usage_weight, SPARSITY: ratio * self.usage_weight} for ratio in ratios]


VARIANTS = (
    Variant("LTS, beta .25", "usage_aware", 0.25),
    Variant("LTS, beta .5", "usage_aware", 0.5),
    Variant("LTS, beta 1", "usage_aware", 1.0),
    Variant("bonus alone, beta .5", "usage_bonus", 0.5),
    Variant("bonus alone, loss at temperature 1", "usage_bonus", 0.5, (("learning.loss_temperature", 1.0),)),
)


@dataclass(frozen=True, slots=True)
class LawSettings:
    """Sizes of the study."""

    ratios: tuple[float, ...] = (0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7)  # lambda / beta
    num_seeds: int = 20
    num_iterations: int = 60
    learning_rate: float = 0.01  # ten times the default: a controller has settled after 60 updates
    probes: ProbeSettings = field(default_factory=ProbeSettings)
    lab: LabSettings = field(default_factory=LabSettings)
