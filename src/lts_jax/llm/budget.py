"""What a run may spend: tokens, dollars, seconds. Checked before every call, so overshoot is the calls in flight."""

from dataclasses import dataclass

from lts_jax.errors import UserError
from lts_jax.llm.chat import BudgetExhausted, Completion


@dataclass(frozen=True, slots=True)
class Price:
    """What an endpoint charges. Zero for simulated and local models."""

    usd_per_million_prompt_tokens: float = 0.0
    usd_per_million_completion_tokens: float = 0.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) >= 0.0:
                raise UserError(f"price.{name}: expected zero or more, got {getattr(self, name)}")

    def usd(self, completion: Completion) -> float:
        """Price of one completion in US dollars."""
        return self.usd_of_tokens(completion.prompt_tokens, completion.completion_tokens)

    def usd_of_tokens(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Price of tokens sent and received, in US dollars: 1e-6 (p n_prompt + q n_completion)."""
        return 1e-6 * (
            self.usd_per_million_prompt_tokens * prompt_tokens
            + self.usd_per_million_completion_tokens * completion_tokens
        )


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """Limits of one run; None is no limit."""

    max_tokens: int | None = None  # prompt and completion tokens together
    max_usd: float | None = None
    max_seconds: float | None = None  # model time, summed over calls

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise UserError(f"budget.{name}: expected zero or more, got {value}")


class Budget:
    """Running totals against `BudgetSettings`. One object per run; the event loop's single thread is its lock."""

    def __init__(self, settings: BudgetSettings = BudgetSettings()) -> None:
        self.settings = settings
        self.tokens = 0
        self.usd = 0.0
        self.seconds = 0.0
        self._limits = [
            (unit, limit)
            for unit in ("tokens", "usd", "seconds")
            if (limit := getattr(settings, f"max_{unit}")) is not None
        ]
        self._prepaid: dict[tuple[int, int], list[float]] = {}  # seconds of calls by prompt and completion tokens

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit."""
        return any(getattr(self.settings, name) is not None for name in BudgetSettings.__slots__)

    def check(self) -> None:
        """Raise `BudgetExhausted`, naming the limit, once anything is used up."""
        for unit, limit in self._limits:
            if getattr(self, unit) >= limit:
                raise BudgetExhausted(f"{getattr(self, unit):g} of {limit:g} {unit} are used")

    def spend(self, prompt_tokens: int, completion_tokens: int, usd: float, seconds: float) -> None:
        """Count one call, unless it was counted by `prepay`."""
        prepaid_seconds = self._prepaid.get((prompt_tokens, completion_tokens))
        if prepaid_seconds:
            self.seconds += seconds - prepaid_seconds.pop()
            return
        self.tokens += prompt_tokens + completion_tokens
        self.usd += usd
        self.seconds += seconds

    def prepay(self, prompt_tokens: int, completion_tokens: int, usd: float, seconds: float) -> None:
        """Count one call that was paid for before a restart and will be replayed: `spend` of it then adds nothing.

        A replayed call is known by its tokens alone. Where a new call has the same ones, the two change places, which
        changes no sum.
        """
        self.tokens += prompt_tokens + completion_tokens
        self.usd += usd
        self.seconds += seconds
        self._prepaid.setdefault((prompt_tokens, completion_tokens), []).append(seconds)
