"""The help that fits on one screen, for commands with hundreds of settings. Plain text, so that it costs no import.

A test holds its defaults against those of the settings.
"""

SCHEMES = (
    "reinforce, group_relative, leave_one_out, usage_aware, usage_bonus, reinforce_usage, cross_team_usage, "
    "time_discounted_usage, saved_work, return_to_go, gae, trajectory_broadcast, stepwise_broadcast, counterfactual, "
    "difference_rewards, shapley, local_group, comam"
)

RUN = ("--run", "FOLDER", "runs/lts", "run folder; the same command goes on with one that exists")
CONFIG = ("--config", "FILE", "", "another run's config.json: its settings in place of the defaults")
TRAINING = (
    ("--objective", "OBJECTIVE", "policy_gradient", "what is learned: the paper's, or admission_value (ours)"),
    ("--credit", "SCHEME", "usage_aware", f"who is paid for an admission: {SCHEMES}, or FILE.py:FUNCTION"),
    (
        "--controller",
        "NETWORK",
        "set_transformer",
        "who decides: linear, pooled, qwen3 (the paper's), or FILE.py:CLASS",
    ),
    ("--learning.sparsity-weight", "NUMBER", "0.25", "price of an admission, lambda of the paper's objective"),
    ("--learning.learning-rate", "NUMBER", "0.001", "of AdamW"),
    ("--num-epochs", "COUNT", "5", "passes over the training tasks"),
    ("--num-tasks", "COUNT", "33", "training tasks"),
    ("--collect.num-rollouts", "COUNT", "5", "rollouts of each task in an update"),
    ("--seed", "NUMBER", "0", "of every random number"),
)
WORKERS = (
    "--workers",
    "COUNT",
    "",
    "who runs rollouts: so many processes of this machine, or the Ray cluster at ray://HOST:PORT",
)
WORLD = (
    (
        "--model.name",
        "NAME",
        "simulated",
        "model at an OpenAI-compatible endpoint (--model.base-url), in place of the simulated one",
    ),
    ("--model.weaknesses", "SET", "omission", "how the simulated model errs: omission, commission(misreads=0.1)"),
    ("--tasks.file", "FILE", "", "your own questions and answers: JSONL, CSV, Parquet, or a datasets id"),
    ("--tools.folder", "FOLDER", "", "your own documents, for teams to search and read"),
)

SHORT = {
    "train": (RUN, CONFIG, WORKERS, *TRAINING, *WORLD),
    "demo": (
        ("--run", "FOLDER", "runs/demo", "run folder; an interrupted demo goes on, a finished one is shown again"),
        ("--fresh", "", "", "delete the run folder first"),
        TRAINING[1],
        (
            *TRAINING[2][:2],
            "set_transformer(inputs=paper)",
            "of the paper's method: pooled, qwen3 (the paper's), FILE.py:CLASS",
        ),
        *TRAINING[3:],
        *WORLD[:1],
    ),
    "rollout": (
        ("--task", "ID", "", "of a task; the first test task if not given"),
        (
            "--policy",
            "RULE",
            "all",
            "who admits: random, recency, similarity(threshold=0.6), judge, m1_parallel, lts, FILE.py:FUNCTION",
        ),
        ("--run", "FOLDER", "", "of a trained controller; needed for --policy lts"),
        ("--number", "COUNT", "0", "another number, other random draws"),
        ("--progress", "", "", "tell each call of the model as it ends"),
        ("--out", "FILE", "", "also store the rollout in this Parquet file"),
        *WORLD,
    ),
    "benchmark": (
        (
            "--model.name",
            "NAME",
            "simulated",
            "model at an OpenAI-compatible endpoint (key: OPENAI_API_KEY), or jax:FOLDER",
        ),
        ("--model.base-url", "URL", "", "address of the endpoint; OpenAI's if not given"),
        ("--search", "URL", "", "a SearXNG's search, or brave with its key in BRAVE_API_KEY"),
        ("--benchmark.name", "NAME", "assistantbench", "or gaia"),
        (
            "--benchmark.split",
            "SPLIT",
            "validation",
            "or test, whose answers are withheld: writes the leaderboard's file",
        ),
        ("--policies", "RULE ...", "m1_parallel all judge", "lines of the comparison"),
        ("--controller", "FOLDER", "", "run folder of a trained controller; adds the line lts"),
        ("--model.budget.max-usd", "DOLLARS", "", "stop there; --model.price says what tokens cost"),
        ("--num-seeds", "COUNT", "1", "rollouts of each task and line"),
        ("--run", "FOLDER", "runs/benchmark", "run folder; the same command goes on with one that exists"),
        ("--yes", "", "", "do not ask before spending"),
        WORKERS,
    ),
}
"""Command -> (flag, what it takes, default, meaning), the ones that matter most."""

RETIRED = {
    "--network.": '--controller "set_transformer(width=64)"; `lts parts set_transformer` lists its settings',
    "--encoder.": '--encoder "hashing(width=256)"; `lts parts encoder` lists the others, --encoder-store keeps vectors',
    "--model.simulated.": '--model.weaknesses "omission(misreads=0.1)"; `lts parts weaknesses` lists the sets',
    "--learning.usage-weight": '--credit "usage_aware(usage_weight=0.5)"',
    "--learning.saved-weight": '--credit "saved_work(saved_weight=5)"',
    "--learning.discount": '--credit "gae(discount=1)"',
    "--learning.trace-decay": '--credit "gae(trace_decay=0.95)"',
    "--learning.advantage-divisor": '--credit "usage_aware(divisor=population)"',
    "--learning.advantage-epsilon": '--credit "usage_aware(epsilon=1e-6)"',
    "--learning.bonus-on": '--credit "usage_aware(bonus_on=return)"',
    "--random-rate": '--policies "random(rate=0.5)"',
    "--recency-window": '--policies "recency(window=10)"',
    "--similarity-threshold": '--policies "similarity(threshold=0.8)"',
}
"""Flags of settings that now stand with their part, and what to write instead."""


def short_help(command: str, does: str) -> str:
    """One screen: what the command does, and the settings that matter most."""
    rows = SHORT[command]
    left = [f"{flag} {takes}".rstrip() for flag, takes, _, _ in rows]
    width = max(map(len, left))
    lines = [f"usage: lts {command} [--setting value ...]", "", does[:1].upper() + does[1:], ""]
    for name, (_, _, default, meaning) in zip(left, rows, strict=True):
        lines += _wrap(f"  {name:<{width}}  ", f"{meaning} [{default}]" if default else meaning)
    lines += ["", f"`lts {command} --help all` lists every setting by group; `lts parts` what can be named by a call."]
    return "\n".join(lines)


def _wrap(start: str, text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, 118, initial_indent=start, subsequent_indent=" " * len(start), break_long_words=False)


def hint_of(arguments: list[str]) -> str:
    """What to write in place of the first retired flag among the arguments; empty where there is none."""
    for flag in (argument.partition("=")[0].replace("_", "-") for argument in arguments):
        for start, instead in RETIRED.items():
            if flag == start or (start.endswith(".") and flag.startswith(start)):
                return f"{flag} is set with its part now: {instead}"
    return ""
