"""`lts simulator`: fit the array simulator to recorded rollouts of text teams, and say where it agrees."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from lts_jax.systems.agreement import TOLERANCE, AgreementRow, AgreementSettings
from lts_jax.systems.run_folder import RunFolder, read_settings
from lts_jax.systems.train_settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Command:
    """Fit the simulator's parameters on half the tasks of a run, and check it on the other half.

    The run needs rollouts of three policies: `lts evaluate --policies m1_parallel all random`.
    """

    action: tyro.conf.Positional[Literal["fit"]]
    """What to do."""
    run: tyro.conf.Positional[Path]
    """Run folder with evaluation rollouts."""
    out: Path | None = None
    """Where the parameters go, as JSON; RUN/simulator.json if not given."""
    agree: Annotated[AgreementSettings, tyro.conf.arg(name="")] = field(default_factory=AgreementSettings)


def run(command: Command) -> None:
    """Fit, check, print, write."""
    from lts_jax.environments.teams.params_file import write_params
    from lts_jax.systems.agreement import agreement, fit_recorded, halves, read_recorded

    rollout = read_settings(command.run, TrainSettings).rollout
    recorded = read_recorded(RunFolder(command.run).evaluation)
    fitted_on, checked_on = halves(recorded, command.agree.seed)
    print(f"fitting on {len(fitted_on['none'])} tasks, checking on {len(checked_on['none'])} others")
    params = fit_recorded(fitted_on, rollout, command.agree)
    print(agreement_text(agreement(params, checked_on, rollout, command.agree)))
    out = command.out or command.run / "simulator.json"
    write_params(out, params)
    print(f"parameters in {out}")


def agreement_text(rows: Sequence[AgreementRow]) -> str:
    """The table, and which rows differ by more than the tolerance."""
    lines = [f"{'figure':20}{'policy':>8}{'recorded':>10}  {'95 % interval':18}{'simulated':>10}{'difference':>12}"]
    for row in rows:
        bounds = f"[{row.recorded.low:.3g}, {row.recorded.high:.3g}]"
        lines.append(
            f"{row.figure:20}{row.policy:>8}{row.recorded.estimate:10.3g}  {bounds:18}{row.simulated:10.3g}"
            f"{100 * row.difference:+10.1f} %{'' if row.agrees else ' *'}"
        )
    apart = [row for row in rows if not row.agrees]
    noise = sum(row.is_noise for row in apart)
    lines.append(
        f"* {len(apart)} of {len(rows)} rows differ by more than {100 * TOLERANCE:.0f} %; {noise} of these lie within "
        "the interval of the recorded rollouts"
    )
    return "\n".join(lines)
