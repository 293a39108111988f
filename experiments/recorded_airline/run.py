"""Saved seconds against stored share on recorded customer-service runs: see README.md for what to expect."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import jax
import tyro
from config import Config

from lts_jax.controller.decide import BatchedDecider, DeciderSettings
from lts_jax.controller.features import EncodedTexts
from lts_jax.controller.learned import LearnedPolicy
from lts_jax.controller.policy import Admission, AdmissionPolicy, AdmissionRequest
from lts_jax.controller.rules import RulePolicy, admit_all, admit_none, admit_random, recency, similarity
from lts_jax.credit.schemes import scheme
from lts_jax.evaluation.statistics import mean_interval, minimum_detectable_effect
from lts_jax.learning.settings import LearningSettings
from lts_jax.learning.state import TrainState, init_state
from lts_jax.learning.update import make_update
from lts_jax.llm.chat import Ask
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.models.policy_network import PolicyNetwork
from lts_jax.models.set_transformer import SetTransformerSettings, set_transformer
from lts_jax.records import Rollout
from lts_jax.rollouts.collate import CollateSettings, collate, stack
from lts_jax.rollouts.importers import RecordedTask, import_tau_bench
from lts_jax.rollouts.replay_groups import replay_groups
from lts_jax.rollouts.replay_measures import replay_measures
from lts_jax.storage import write_bytes, write_json

EVALUATION = -1  # iteration number of held-out replays: apart from every training iteration


def main(config: Config) -> None:
    """Run the study, print its table, write results.json and saved_seconds.png."""
    started = time.perf_counter()
    tasks = import_tau_bench(config.runs).tasks
    train, held_out = tasks[: config.num_train_tasks], tasks[config.num_train_tasks :]
    print(f"{len(train)} training tasks, {len(held_out)} held-out, {len(tasks[0].runs)} recorded runs each")
    texts = EncodedTexts(HashingEncoder())
    network = set_transformer(SetTransformerSettings(embedding_width=texts.dim))
    rollouts: dict[str, list[Rollout]] = {}
    for seed in config.seeds:
        for policy in rules(config, texts):
            evaluate(config, held_out, policy, seed, rollouts)
        for credit, weight in product(config.credits, config.sparsity_weights):
            learning = replace(config.learning, sparsity_weight=weight)
            state = train_controller(config, train, network, texts, credit, learning, seed)
            decider = BatchedDecider(network, state.params, texts, DeciderSettings(greedy=True))
            name = f"learned({credit}, {weight:g})"
            evaluate(config, held_out, LearnedPolicy(decider, name), seed, rollouts, decider)
            rate = admission_fraction([one for one in rollouts[name] if one.coordinates.seed == seed])
            at_rate = RulePolicy(f"random at rate of {name}", admit_random(rate).choose)
            evaluate(config, held_out, at_rate, seed, rollouts)
    rows = [summary(name, group, rollouts["none"]) for name, group in rollouts.items()]
    seconds = time.perf_counter() - started
    print_table(rows)
    print(
        f"{seconds:.0f} s. All times come from a latency model: the logs hold none. No language model, hence no judge."
    )
    write_json(config.results / "results.json", {"seconds": round(seconds, 1), "policies": rows})
    write_bytes(config.results / "saved_seconds.png", picture(rows))


def rules(config: Config, texts: EncodedTexts) -> list[AdmissionPolicy]:
    """Every admission rule that needs no language model, and one written by hand for this domain."""
    return [
        admit_none(),
        admit_all(),
        *(admit_random(rate) for rate in config.random_rates),
        *(recency(window) for window in config.recency_windows),
        *(similarity(texts, threshold) for threshold in config.similarity_thresholds),
        handwritten(config),
    ]


def handwritten(config: Config) -> RulePolicy:
    """What someone who knows the tools would write: each read-only call once."""

    async def choose(request: AdmissionRequest, ask: Ask) -> Admission:
        action = request.step.action
        is_new = not any(key.startswith(action[:100]) for key in request.keys)
        admit = is_new and config.replay.is_read_only(action.partition("(")[0])
        return Admission(int(admit), 0.0, float(admit))

    return RulePolicy("handwritten", choose)


def train_controller(
    config: Config,
    tasks: Sequence[RecordedTask],
    network: PolicyNetwork,
    texts: EncodedTexts,
    credit: str,
    learning: LearningSettings,
    seed: int,
) -> TrainState:
    """Train a controller on replays of the tasks, with the credit scheme of that name."""
    credit_fn = scheme(credit, usage_weight=learning.usage_weight, first_weight=learning.first_weight)
    update = make_update(network, credit_fn, learning)
    state = init_state(network, learning, jax.random.key(seed))
    decider = BatchedDecider(network, state.params, texts, DeciderSettings(temperature=learning.temperature))
    policy = LearnedPolicy(decider, "learner")
    longest = max(len(run.steps) for item in tasks for run in item.runs)
    largest = max(sum(len(run.steps) for run in item.runs) for item in tasks)
    padding = CollateSettings(max_steps=longest, max_entries=largest)
    for iteration in range(config.num_iterations):
        groups = replay_groups(
            tasks, policy, config.replay,
            num_rollouts=config.num_rollouts, seed=seed, iteration=iteration, counter=decider,
        )  # fmt: skip
        for first in range(0, len(groups), config.tasks_per_update):
            batch = stack([collate(group, texts, padding) for group in groups[first : first + config.tasks_per_update]])
            state, metrics = update(state, *batch)
        decider.replace_params(state.params)
        shown = {name: float(metrics[name]) for name in ("credit/return_mean", "memory/admission_fraction")}
        print(
            f"seed {seed}, {credit}, lambda {learning.sparsity_weight:g}, iteration {iteration + 1}:", shown, flush=True
        )
    return state


def evaluate(
    config: Config,
    tasks: Sequence[RecordedTask],
    policy: AdmissionPolicy,
    seed: int,
    rollouts: dict[str, list[Rollout]],
    counter: BatchedDecider | None = None,
) -> None:
    """Replay the held-out tasks under a policy and add the rollouts under its name."""
    groups = replay_groups(
        tasks, policy, config.replay,
        num_rollouts=config.num_evaluation_rollouts, seed=seed, iteration=EVALUATION, counter=counter,
    )  # fmt: skip
    rollouts.setdefault(policy.name, []).extend(one for group in groups for one in group.rollouts)


def summary(name: str, rollouts: Sequence[Rollout], baseline: Sequence[Rollout]) -> dict[str, object]:
    """Measures of a policy, with 95 % intervals of its savings over tasks and the smallest it could have resolved."""
    place = {one.coordinates: one for one in baseline}
    tasks = [one.coordinates.task for one in rollouts]
    row: dict[str, object] = {"policy": name}
    row |= {key: none_if_nan(value) for key, value in replay_measures(rollouts, baseline).items()}
    differences = {
        "saved_seconds": [place[one.coordinates].seconds - one.seconds for one in rollouts],
        "team_saved_seconds": [team_seconds(place[one.coordinates]) - team_seconds(one) for one in rollouts],
    }
    for measure, values in differences.items():
        interval = mean_interval(values, tasks)
        row[f"{measure}_interval"] = [none_if_nan(interval.low), none_if_nan(interval.high)]
        row[f"{measure}_resolvable"] = none_if_nan(minimum_detectable_effect(values, tasks))
    return row


def team_seconds(rollout: Rollout) -> float:
    """Seconds of all teams together."""
    return sum(answer.seconds for answer in rollout.answers)


def admission_fraction(rollouts: Sequence[Rollout]) -> float:
    """Admitted steps over decided ones."""
    return sum(len(one.entries) for one in rollouts) / sum(len(one.decisions) for one in rollouts)


def none_if_nan(value: float) -> float | None:
    """JSON has no NaN."""
    return round(value, 4) if math.isfinite(value) else None


def print_table(rows: Sequence[dict[str, object]]) -> None:
    """The table of the study."""
    print(f"{'policy':43} stored  read  reach  wrong  runtime  saved s [95 %]           %   team-s saved [95 %]")
    for row in rows:
        stored, read, wrong = (percent(row[n]) for n in ("admission_fraction", "read_fraction", "wrong_value_fraction"))
        reach = "-" if row["reach"] is None else f"{row['reach']:.2f}"
        intervals = [
            f"{row[n]:7.2f} [{row[n + '_interval'][0]:6.2f}, {row[n + '_interval'][1]:6.2f}]"
            for n in ("saved_seconds", "team_saved_seconds")
        ]
        print(
            f"{row['policy']:43} {stored:>6} {read:>5} {reach:>6} {wrong:>6} {row['seconds']:8.1f} {intervals[0]}"
            f" {row['reduction_percent']:5.1f} {intervals[1]}"
        )
    first = rows[0]
    chance = percent(first["cross_fraction_chance"])
    print(f"cross share of pulls: own entries are not pulled, so it is 100% by rule (chance {chance})")


def percent(value: object) -> str:
    """A share in percent, or a dash where there is none."""
    return "-" if value is None else f"{100 * float(value):.0f}%"


def picture(rows: Sequence[dict[str, object]]) -> bytes:
    """Saved runtime against stored share, as PNG."""
    import io

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    families = {
        "learned": "o",
        "handwritten": "*",
        "random": "x",
        "recency": "^",
        "similarity": "s",
        "all": "D",
        "none": "P",
    }
    for family, marker in families.items():
        chosen = [row for row in rows if row["policy"].startswith(family)]
        stored = [100 * row["admission_fraction"] for row in chosen]
        saved = [row["team_saved_seconds"] for row in chosen]
        bounds = [row["team_saved_seconds_interval"] for row in chosen]
        pairs = list(zip(saved, bounds, strict=True))
        reach = [[middle - low for middle, (low, _) in pairs], [high - middle for middle, (_, high) in pairs]]
        axes.errorbar(
            stored, saved, yerr=reach, fmt=marker, label=family, capsize=2, markersize=7, linewidth=1, alpha=0.8
        )
    axes.axhline(0.0, color="grey", linewidth=0.8)
    axes.set_xlabel("stored share of steps, %")
    axes.set_ylabel("seconds saved by all four teams together")
    axes.set_title(
        "Replayed airline runs: what sharing saves (times from a latency model; 95 % intervals over tasks)", fontsize=10
    )
    axes.legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110, format="png")
    pyplot.close(figure)
    return buffer.getvalue()


if __name__ == "__main__":
    main(tyro.cli(Config))
