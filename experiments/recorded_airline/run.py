"""What admission control saves on recorded customer-service runs: see README.md for what to expect."""

import time
from dataclasses import asdict

import tyro
from config import Config
from figure import picture
from policies import EVALUATION, admission_fraction, handwritten, learned, recencies, replays, similarities
from selection import choose
from table import policy_row, print_policies, print_versus, versus_row
from training import train

from lts_jax.admission.rules import RulePolicy, admit_all, admit_none, admit_random
from lts_jax.logs.importers import import_tau_bench
from lts_jax.memory.encoded_texts import EncodedTexts
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.models.set_transformer import SetTransformerSettings, set_transformer
from lts_jax.records import Rollout
from lts_jax.storage import write_bytes, write_json

AT_RATE = "random at learned rate"


def main(config: Config) -> None:
    """Choose, train, compare; print the tables, write results.json and saved_seconds.png."""
    started = time.perf_counter()
    tasks = import_tau_bench(config.runs).tasks
    training, held_out = tasks[: config.num_train_tasks], tasks[config.num_train_tasks :]
    texts = EncodedTexts(HashingEncoder())
    network = set_transformer(SetTransformerSettings(embedding_width=texts.dim))
    num_chosen = len(training) - config.num_inner_tasks
    print(f"choosing: trained on {config.num_inner_tasks} tasks, measured on {num_chosen} others", flush=True)
    choice = choose(config, training, network, texts)
    print(f"chosen: {choice.setting.name}, {choice.num_passes} passes; {choice.recency.name}; {choice.similarity.name}")
    rules = [
        *(admit_none(), admit_all()),
        *(admit_random(rate) for rate in config.random_rates),
        *recencies(config),
        *similarities(config, texts),
        handwritten(config),
    ]
    print(f"training on all {len(training)}, {time.perf_counter() - started:.0f} s", flush=True)
    rollouts: dict[str, list[Rollout]] = {"learned": [], AT_RATE: []}
    for seed in config.seeds:
        params = train(config, training, network, texts, choice.setting, (choice.num_passes,), seed)
        policy = learned(network, params[choice.num_passes], texts)
        own = replays(config, held_out, policy, (seed,), EVALUATION)
        at_rate = RulePolicy(AT_RATE, admit_random(admission_fraction(own)).choose)
        rollouts["learned"] += own
        rollouts[AT_RATE] += replays(config, held_out, at_rate, (seed,), EVALUATION)
    rollouts |= {rule.name: replays(config, held_out, rule, config.seeds, EVALUATION) for rule in rules}
    names = [*(rule.name for rule in rules), "learned", AT_RATE]
    rows = [policy_row(name, rollouts[name], rollouts["none"]) for name in names]
    others = ("none", "all", AT_RATE, choice.similarity.name, choice.recency.name, "handwritten")
    pairs = [versus_row(name, rollouts[name], rollouts["learned"]) for name in others]
    seconds, processor_seconds = time.perf_counter() - started, time.process_time()
    print_policies(rows)
    print_versus(pairs)
    print(f"{seconds:.0f} s, {processor_seconds:.0f} s of processor time.")
    print(
        "All times come from a latency model: the logs hold none. No language model is asked, hence there is no judge."
    )
    chosen = asdict(choice.setting) | {"num_passes": choice.num_passes}
    chosen |= {"recency": choice.recency.name, "similarity": choice.similarity.name}
    document = {
        "wall_seconds": round(seconds),
        "processor_seconds": round(processor_seconds),
        "tool_seconds": config.replay.tool_seconds,
        "held_out_tasks": len(held_out),
        "chosen": chosen,
        "selection": choice.rows,
        "policies": rows,
        "learned_beyond": pairs,
    }
    write_json(config.results / "results.json", document)
    write_bytes(config.results / "saved_seconds.png", picture(rows, config.replay.tool_seconds))


if __name__ == "__main__":
    main(tyro.cli(Config))
