"""How long simulated calls take: a latency model over tokens and tools, with noise from coordinates.

Seconds of a model call = (first token + per prompt token * prompt + per output token * output) * exp(sigma * z), z
standard normal; with n calls of a rollout in flight each takes 1 + contention * (n - 1) times as long (see
`VirtualClock.work`). Contention is fitted to the paper's runtimes of three teams over one (its study is
experiments/simulated_calibration); at 0 no call feels another. The other defaults are a fast public API; web tools pay
a fixed wait and a heavy tail, as logs of Magentic-One teams do.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

from lts_jax.errors import UserError
from lts_jax.memory.drawer import MEMORY_TOOL_NAMES

_NORMAL = NormalDist()
_LOCAL_TOOLS = frozenset(("open_file", "list_files")) | MEMORY_TOOL_NAMES


@dataclass(frozen=True, slots=True)
class LatencySettings:
    """Latency of simulated models, tools and the controller. All in seconds but for sigmas, shares and `contention`."""

    first_token_seconds: float = 0.6
    seconds_per_prompt_token: float = 0.0002
    seconds_per_output_token: float = 0.02
    noise_sigma: float = 0.4  # of the logarithm of a model call's time
    web_seconds: float = 3.0  # fixed wait of every web action
    web_log_seconds: float = 1.2  # mean of the logarithm of the rest
    web_sigma: float = 0.9
    web_hang_fraction: float = 0.02  # share of web actions that hang
    web_hang_seconds: float = 30.0
    file_seconds: float = 0.5  # of a file, or of a memory of a team's own
    terminal_sigma: float = 1.2  # lognormal around one second
    terminal_limit_seconds: float = 60.0
    decision_seconds: float = 0.05  # one controller decision; the paper reports about 0.2 % of wall clock
    contention: float = 0.5  # how much longer a model call takes for each other one of its rollout in flight

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) >= 0.0:
                raise UserError(f"latency.{name}: expected zero or more, got {getattr(self, name)}")
        if self.web_hang_fraction > 1.0:
            raise UserError(f"latency.web_hang_fraction: expected in [0, 1], got {self.web_hang_fraction}")


def model_seconds(settings: LatencySettings, prompt_tokens: int, completion_tokens: int, uniform: float) -> float:
    """Seconds of one model call, alone in flight; `uniform` in [0, 1) is its noise, mapped to a normal deviate."""
    mean = (
        settings.first_token_seconds
        + settings.seconds_per_prompt_token * prompt_tokens
        + settings.seconds_per_output_token * completion_tokens
    )
    return mean * math.exp(settings.noise_sigma * _normal(uniform))


def tool_seconds(settings: LatencySettings, tool: str, uniform: float) -> float:
    """Seconds of one tool call. The top `web_hang_fraction` of `uniform` are web actions that hang."""
    if tool in _LOCAL_TOOLS:
        return settings.file_seconds
    if tool == "run_python":
        return min(math.exp(settings.terminal_sigma * _normal(uniform)), settings.terminal_limit_seconds)
    working_fraction = 1.0 - settings.web_hang_fraction
    if uniform >= working_fraction:
        return settings.web_hang_seconds
    spread = settings.web_sigma * _normal(uniform / working_fraction)
    return settings.web_seconds + math.exp(settings.web_log_seconds + spread)


def _normal(uniform: float) -> float:
    return _NORMAL.inv_cdf(min(max(uniform, 1e-9), 1.0 - 1e-9))
