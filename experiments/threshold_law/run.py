"""Does admission switch where the objective says, at usage probability lambda / beta?

    python experiments/threshold_law/run.py            # everything
    python experiments/threshold_law/run.py --quick    # two minutes, most of it compiling; says nothing

First a table of logits under the same losses, then controllers trained in the simulator, whose decisions are replayed
the other way to know how often an admission would have been used. A finished variant is kept in --work and not run
again. Prints and stores tables, and draws one figure.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro
from config import VARIANTS, LawSettings, Variant
from figure import save_law_png
from probes import KINDS, ProbeSettings
from switch import Switch, find_switch, ratio_shift
from tabular import TabularSettings, crossing, tables, usages
from training import probed

from lts_jax.evaluation.statistics import Interval, mean_interval
from lts_jax.reports.report import json_plain
from lts_jax.storage import read_json, write_json, write_text

TABLES = {
    "on-policy, beta .5": TabularSettings(),
    "on-policy, beta 1": TabularSettings(usage_weight=1.0, sparsity_weight=0.3),
    "on-policy, beta .25": TabularSettings(usage_weight=0.25, sparsity_weight=0.075),
    "sampled at 1.2, loss at 1.2": TabularSettings(temperature=1.2, loss_temperature=1.2),
    "sampled at 1.2, loss at 1": TabularSettings(temperature=1.2),
    "gradient cut at norm 1": TabularSettings(max_gradient_norm=1.0),
}
SHOWN = (0.15, 0.2, 0.3, 0.4, 0.5)


@dataclass(frozen=True, slots=True)
class Config:
    """Sizes, and where things go."""

    seeds: int = 20
    quick: bool = False
    """Few seeds, updates and variants."""
    work: Path = Path("runs/threshold_law")
    """Finished variants; delete it after changing anything else than these settings."""
    results: Path = Path(__file__).parent / "results"


def tabular_part(config: Config) -> tuple[str, dict[str, object]]:
    """The table of tables, and its numbers."""
    lines = [f"{'lambda / beta = .3':30}" + "".join(f"  u = {usage:.2f}" for usage in SHOWN) + "   half at u (95 %)"]
    kept: dict[str, object] = {}
    for name, full in TABLES.items():
        settings = replace(full, num_steps=300, num_replicates=8) if config.quick else full
        probability_ru, usage_u = tables(settings, 0), usages(settings)
        halves = bootstrap_halves(usage_u, probability_ru)
        mean_u = probability_ru.mean(axis=0)
        shown = [mean_u[round(usage * (settings.num_usages - 1))] for usage in SHOWN]
        half = crossing(usage_u, mean_u)
        lines.append(
            f"{name:30}"
            + "".join(f"{value:10.3f}" for value in shown)
            + f"   {half:.3f} [{halves[0]:.3f}, {halves[1]:.3f}]"
        )
        kept[name] = {"usage": usage_u.tolist(), "probability": mean_u.tolist(), "half": [half, *halves]}
    return "\n".join(lines), kept


def bootstrap_halves(usage_u: np.ndarray, probability_ru: np.ndarray) -> tuple[float, float]:
    """95 % interval over replicates of the u at which the mean probability is one half."""
    generator = np.random.default_rng(0)
    draw = generator.integers(0, len(probability_ru), (1000, len(probability_ru)))
    halves = [crossing(usage_u, probability_ru[rows].mean(axis=0)) for rows in draw]
    low, high = np.nanquantile(halves, [0.025, 0.975])
    return float(low), float(high)


def variant_sums(law: LawSettings, variant: Variant, config: Config) -> dict[str, np.ndarray]:
    """Sums of a variant, from the work folder where they are there."""
    name = variant.name.replace(" ", "_").replace(",", "").replace(".", "")
    path = config.work / f"{'quick' if config.quick else 'full'}_{config.seeds}_{name}.json"
    if not path.exists():
        print(f"training {len(law.ratios)} x {law.num_seeds} controllers: {variant.name}", flush=True)
        write_json(path, {key: value.tolist() for key, value in probed(law, variant).items()})
    return {key: np.array(value) for key, value in read_json(path).items()}


def switches(law: LawSettings, variant: Variant, sums: dict[str, np.ndarray]) -> list[Switch]:
    """The switch over all steps, and of every kind."""
    options = {"usage_weight": variant.usage_weight, "group_part": variant.credit == "usage_aware"}
    everything = {name: value.sum(axis=-1) for name, value in sums.items()}
    by_kind = [{name: value[..., number] for name, value in sums.items()} for number in range(len(KINDS))]
    return [
        find_switch(variant.name, kind, law.ratios, one, **options)
        for kind, one in zip(("all steps", *KINDS), [everything, *by_kind], strict=True)
    ]


def switch_table(found: list[Switch]) -> str:
    """One line per variant and kind."""
    lines = [
        f"{'':36}{'kind of step':22}{'half admitted at':>20}{'Pr(paid) there':>20}{'ratio - Pr':>22}"
        f"{'with A / beta':>22}"
    ]
    for one in found:
        cells = [_shown(one.ratio), _shown(one.paid), _shown(one.distance, "+"), _shown(one.full_distance, "+")]
        lines.append(f"{one.variant:36}{one.kind:22}{cells[0]:>20}{cells[1]:>20}{cells[2]:>22}{cells[3]:>22}")
    return "\n".join(lines)


def shift_table(law: LawSettings, sums: dict[str, dict[str, np.ndarray]], reference: str) -> str:
    """How far every other variant's switch over all steps lies above the reference's."""
    lines = [f"{'half admitted at, minus ' + reference:44}{'shift':>24}{'resolvable':>12}"]
    whole = {name: {key: value.sum(axis=-1) for key, value in one.items()} for name, one in sums.items()}
    for name, one in whole.items():
        if name != reference:
            shift, resolvable = ratio_shift(law.ratios, one, whole[reference])
            interval = f"{shift.estimate:+.3f} [{shift.low:+.3f}, {shift.high:+.3f}]"
            lines.append(f"{name:44}{interval:>24}{resolvable:>12.3f}")
    return "\n".join(lines)


def _shown(interval: Interval, sign: str = "") -> str:
    if np.isnan(interval.estimate):
        return "-"
    return f"{interval.estimate:{sign}.2f} [{interval.low:{sign}.2f}, {interval.high:{sign}.2f}]"


def admission_table(law: LawSettings, name: str, sums: dict[str, np.ndarray]) -> str:
    """Of one variant, per kind and ratio: share admitted / Pr(paid)."""
    lines = [
        f"{name}: admitted / Pr(used and R > 0 | admitted)",
        f"{'lambda / beta':22}" + "".join(f"{r:>12.2f}" for r in law.ratios),
    ]
    for number, kind in enumerate(KINDS):
        total = {key: value[..., number].sum(axis=1) for key, value in sums.items()}
        count = np.maximum(total["count"], 1)
        cells = zip(total["admit_probability"] / count, total["is_paid"] / count, strict=True)
        lines.append(f"{kind:22}" + "".join(f"{f'{admitted:.2f} / {paid:.2f}':>12}" for admitted, paid in cells))
    return "\n".join(lines)


def effects_table(name: str, sums: dict[str, np.ndarray]) -> str:
    """Of one variant over all ratios, what admitting one more step does, by kind, with intervals over seeds."""
    lines = [
        f"{name}, all ratios: effect of one admission",
        f"{'kind':22}{'group-relative A':>24}{'reward':>28}{'seconds':>24}",
    ]
    for number, kind in enumerate(KINDS):
        total = {key: value[..., number].sum(axis=0) for key, value in sums.items()}
        count, labels = np.maximum(total["count"], 1), [str(seed) for seed in range(len(total["count"]))]
        cells = [
            mean_interval(total[key] / count, labels) for key in ("advantage_effect", "reward_effect", "seconds_effect")
        ]
        texts = [
            f"{one.estimate:+.{digits}f} [{one.low:+.{digits}f}, {one.high:+.{digits}f}]"
            for one, digits in zip(cells, (3, 4, 2), strict=True)
        ]
        lines.append(f"{kind:22}{texts[0]:>24}{texts[1]:>28}{texts[2]:>24}")
    return "\n".join(lines)


def main(config: Config) -> None:
    """Both parts; print, store, draw."""
    law, variants = LawSettings(num_seeds=config.seeds), VARIANTS
    if config.quick:
        config = replace(config, results=config.work / "quick_results")
        lab = replace(law.lab, tasks_per_update=1, num_rollouts=2)
        small = ProbeSettings(num_tasks=2, num_rollouts=2, num_places=2)
        law = LawSettings(ratios=(0.0, 1.0), num_seeds=5, num_iterations=3, learning_rate=0.1, probes=small, lab=lab)
        variants = VARIANTS[1:2]
    table, kept = tabular_part(config)
    print(table, flush=True)
    sums = {variant.name: variant_sums(law, variant, config) for variant in variants}
    found = [switch for variant in variants for switch in switches(law, variant, sums[variant.name])]
    main_name = VARIANTS[1].name
    texts = [
        table,
        switch_table(found),
        shift_table(law, sums, main_name),
        admission_table(law, main_name, sums[main_name]),
        effects_table(main_name, sums[main_name]),
    ]
    text = "\n\n".join(texts)
    print(text.removeprefix(table))
    write_text(config.results / "tables.txt", text + "\n")
    write_json(config.results / "switches.json", json_plain(found))
    write_json(config.results / "tabular.json", kept)
    save_law_png(kept, found, law, sums[main_name], config.results / "threshold.png")


if __name__ == "__main__":
    main(tyro.cli(Config))
