"""Is the text encoder the bottleneck? The same coin rollouts, the same regression, other embeddings.

    python experiments/text_encoders/run.py --minilm FOLDER     # simulated; minutes, most of them MiniLM's

Collects rollouts in which a coin decided in one world, fits the regression of `admission_value` on them with each
encoder, and ranks the decisions of another world, which it has not seen, by the fitted value. With the cosines to the
keys and without (`inputs=paper`): what novelty says by itself, and what embeddings alone can say. A last row of each
encoder fits nothing: the largest cosine of the summary to the visible keys, the smaller the better.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro

from lts_jax.admission.step_kinds import RIGHT, WRONG, label_decisions
from lts_jax.bridge.collate import collate, stack
from lts_jax.commands.train import train_in
from lts_jax.evaluation.auc import auc_interval
from lts_jax.evaluation.statistics import Interval
from lts_jax.learning.objective_parts import AdmissionValue
from lts_jax.learning.ridge import fit_once, init_ridge
from lts_jax.memory.encoded_texts import EncodedTexts
from lts_jax.memory.encoder_parts import make_encoder
from lts_jax.memory.encoders import Encoder
from lts_jax.models.networks import make_network
from lts_jax.records import RolloutGroup
from lts_jax.rollouts.store import read_folder
from lts_jax.storage import write_text
from lts_jax.systems.run_folder import open_run
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.train_settings import TrainSettings

SUMMARY_COSINE = 10  # of the features of `linear`: three numbers, six products, cosines of instruction, summary, output
WANTED = {"new right values": (RIGHT,), "new values": (RIGHT, WRONG)}


NETWORKS = {"with cosines": "linear(texts=all, novelty_power=0)", "the paper's": "linear(texts=all, inputs=paper)"}


@dataclass(frozen=True, slots=True)
class Config:
    """Sizes of the study."""

    minilm: Path | None = None  # folder with config.json, model.safetensors, tokenizer.json; None leaves it out
    num_tasks: int = 198  # of the training world, 5 rollouts each
    num_ranked: int = 24  # tasks of the other world
    runs: Path = Path("runs/text_encoders")
    results: Path = Path(__file__).parent / "results"


def coin_rollouts(config: Config, world_seed: int, num_tasks: int) -> list[RolloutGroup]:
    """The groups of a training run in which a coin decides."""
    settings = TrainSettings(
        world_seed=world_seed, seed=world_seed, objective="admission_value", controller="linear", num_tasks=num_tasks,
        num_epochs=1, tasks_per_update=6,
    )  # fmt: skip
    folder = config.runs / f"world_{world_seed}_{num_tasks}"
    train_in(open_run(folder, settings), make_parts(settings), quiet=True)
    return list(islice(read_folder(folder / "rollouts"), num_tasks))


def ranked(
    encoder: Encoder, network_text: str, train: Sequence[RolloutGroup], test: Sequence[RolloutGroup], world_seed: int
) -> tuple[dict[str, Interval], dict[str, Interval]]:
    """Areas under the ROC curve over the decisions of `test`: of the value fitted on `train`, and of novelty alone."""
    settings = make_parts(TrainSettings()).settings
    network = make_network(network_text, embedding_width=encoder.dim)
    assert network.packed_features is not None
    sums = init_ridge(network.init(jax.random.key(0)))
    learning = replace(settings.learning, runtime_weight=0.2)
    params: Any = None
    fit = jax.jit(lambda state, batch: fit_once(network, AdmissionValue(), learning, state, batch)[:2])
    for group in train:
        params, sums = fit(sums, stack([collate(group, encoder, settings.padding)]))
    scores: list[float] = []
    novelty: list[float] = []
    labels: list[Any] = []
    tasks: list[str] = []
    for group in test:
        _, context = collate(group, encoder, settings.padding)
        features = network.packed_features(context)
        value, cosine = np.asarray(features @ params["weight"]), np.asarray(features[..., SUMMARY_COSINE])
        for at, rollout in enumerate(group.rollouts):
            labels += label_decisions(rollout, world_seed)
            scores += [float(value[at, one.team, one.step]) for one in rollout.decisions]
            novelty += [-float(cosine[at, one.team, one.step]) for one in rollout.decisions]
            tasks += [group.task.task_id] * len(rollout.decisions)
    wanted = {name: [label.is_new and label.kind in kinds for label in labels] for name, kinds in WANTED.items()}
    fitted, alone = (
        {name: auc_interval(given, truth, tasks) for name, truth in wanted.items()} for given in (scores, novelty)
    )
    return fitted, alone


def row(encoder: str, inputs: str, found: dict[str, Interval]) -> str:
    """A line of the table."""
    said = [f"{one.estimate:.3f} [{one.low:.3f}, {one.high:.3f}]" for one in found.values()]
    return f"| {encoder} | {inputs} | " + " | ".join(said) + " |"


def main(config: Config) -> None:
    """Print and store the table."""
    train, test = coin_rollouts(config, 0, config.num_tasks), coin_rollouts(config, 1, config.num_ranked)
    encoders = {"hashing(width=256)": "hashing"}
    if config.minilm is not None:
        encoders["all-MiniLM-L6-v2"] = f"minilm(folder={config.minilm})"
    lines = ["| encoder | inputs | " + " | ".join(f"AUC, {name}" for name in WANTED) + " |", "|---|---|---|---|"]
    for name, text in encoders.items():
        encoder = EncodedTexts(make_encoder(text), max_texts=1_000_000)  # both networks look at the same texts
        for inputs, network in NETWORKS.items():
            fitted, alone = ranked(encoder, network, train, test, 1)
            lines.append(row(name, inputs, fitted))
            print(lines[-1], flush=True)
            if inputs == "with cosines":
                lines.append(row(name, "the summary's cosine alone", alone))
                print(lines[-1], flush=True)
    head = f"{len(train) * 5} coin rollouts to fit on, {len(test) * 5} of another world to rank; simulated\n\n"
    write_text(config.results / "table.md", head + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Config))
