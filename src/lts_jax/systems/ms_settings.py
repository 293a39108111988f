"""Settings of Memory Sharing (arXiv 2404.09982) as a study. Light: nothing of jax is imported."""

from dataclasses import dataclass
from pathlib import Path

from lts_jax.errors import UserError
from lts_jax.memory.encoder_parts import encoder_part
from lts_jax.memory.pool_admission import TAU
from lts_jax.tasks.exemplars.drawing import KINDS, NUM_COMBINATIONS


@dataclass(frozen=True, slots=True)
class MsSettings:
    """How pools are filled, retrievers trained and answers measured; the paper's values where it has them."""

    model: Path | None = None
    """Folder of a small language model, as `lts models get smollm2 --to FOLDER` makes it: it is teacher and measure. If
    not given the teacher is the truth, and the measure words counted in the prompt; the tables say so."""
    model_teaches: bool = True
    """Without, a language model is the measure alone and the truth is the teacher, which takes no time."""
    pool: Path | None = None
    """File of a pool that outlives runs: what it holds is in the pool from the beginning, and what the first seed adds
    stands in it at the end. It is made if it is not there."""
    token_f1: bool = False
    """With a language model: answers are written, too, without a pair and with two, and scored by their words."""
    num_seeds: int | None = None
    """Pools, each with retrievers of its own; 20, or 1 with a language model."""
    first_seed: int = 1
    """Of them; the next ones follow."""
    initial_per_domain: int | None = None
    """Pairs of the interactive start; 60 as in the release, 9 where a language model teaches."""
    problems_per_domain: int | None = None
    """Problems answered after it; 120 as in the release, 18 where a language model teaches."""
    tests_per_kind: int | None = None
    """Test items; 40 as in the release, 4 where a language model teaches."""
    bits_per_kind: int | None = None
    """Test items of a kind whose answers are measured in bits; all, or 4 with a language model."""
    num_agents: int = 3
    """K that write and answer."""
    right_probability: float = 0.8
    """That an agent's answer is of the kind that was asked for."""
    judge_noise: float = 15.0
    """Standard deviation of the simulated judge's score around the truth, in points of 100."""
    tau: float = TAU
    """A pair with a lower score is dropped; 0 adds all, 101 none."""
    encoder: str = "hashing"
    """phi, which stays frozen."""
    num_candidates: int = 10
    """Of BM25 for each stored pair."""
    num_each_first: int = 2
    """Positives, and negatives, of a stored pair in the first pass."""
    num_each: int = 3
    """The same afterwards."""
    learning_rate: float = 1e-3
    """Of AdamW for W. The paper's 5e-5 moves a whole BERT; ours, chosen on seeds 100 and 101."""
    num_epochs: int = 2
    """Passes over stored pairs."""
    batch_size: int = 8
    """Stored pairs of an update."""
    temperature: float = 0.05
    """t of the contrastive loss."""
    world_streams: int = 20
    """Orders of the offline world's test tasks in which its pool grows; 0 leaves that table out."""
    world_encoder: str = "hashing(width=1024)"
    """phi there; as the next, chosen on the validation split."""
    world_temperature: float = 0.2
    """t of the contrastive loss there."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant, before anything is written."""
        least = {
            "num_seeds": 1, "initial_per_domain": 3, "problems_per_domain": 3, "tests_per_kind": 1,
            "bits_per_kind": 1, "num_agents": 2,
            "num_candidates": 2, "num_each_first": 1, "num_each": 1, "world_streams": 0, "judge_noise": 0,
            "num_epochs": 1, "batch_size": 1,
        }  # fmt: skip
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and value < bound:
                raise UserError(f"{name}: expected at least {bound}, got {value}")
        if not 0 <= self.right_probability <= 1:
            raise UserError(f"right_probability: expected from 0 to 1, got {self.right_probability}")
        if not 0 <= self.tau <= 101:
            raise UserError(f"tau: expected from 0 (add all) to 101 (add none), got {self.tau:g}")
        for name in ("learning_rate", "temperature", "world_temperature"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name}: expected more than 0, got {getattr(self, name)}")
        if self.token_f1 and self.model is None:
            raise UserError("token_f1: expected a language model that writes (model), got none")
        if self.model is not None and not self.model.is_dir():
            raise UserError(f"{self.model}: no such folder; `lts models get smollm2 --to FOLDER` makes one")
        initial, problems, tests = self.sizes
        if -(-initial // 3) - (-problems // 3) + tests > NUM_COMBINATIONS:
            raise UserError(
                f"initial_per_domain, problems_per_domain, tests_per_kind: expected at most {NUM_COMBINATIONS} of a "
                f"kind, got {-(-initial // 3) - (-problems // 3) + tests}"
            )
        for name in ("encoder", "world_encoder"):
            encoder_part(getattr(self, name), where=f"ms.{name}")

    @property
    def seeds(self) -> range:
        """Seeds of the pools."""
        count = self.num_seeds or (20 if self.model is None else 1)
        return range(self.first_seed, self.first_seed + count)

    @property
    def is_taught_by_model(self) -> bool:
        """Whether a language model is the teacher."""
        return self.model is not None and self.model_teaches

    @property
    def num_measured(self) -> int:
        """Test items, of nine kinds in turn, whose answers are measured in bits."""
        own = self.sizes[2] if self.model is None else 4
        return len(KINDS) * min(self.bits_per_kind or own, self.sizes[2])

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Initial pairs a domain, problems a domain, test items a kind."""
        own = (9, 18, 4) if self.is_taught_by_model else (60, 120, 40)
        given = (self.initial_per_domain, self.problems_per_domain, self.tests_per_kind)
        return tuple(value or default for value, default in zip(given, own, strict=True))  # type: ignore[return-value]
