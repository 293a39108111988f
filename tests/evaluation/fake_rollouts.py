"""Rollouts that look like real ones: three teams, about ten steps each, made from a seed. No model is involved."""

import random

from lts_jax.records import (
    Answer,
    Coordinates,
    Decision,
    MemoryEntry,
    ModelCall,
    Outcome,
    Pull,
    Rollout,
    Step,
    StopReason,
    Task,
)

AGENTS = ("WebSurfer", "WebSurfer", "FileSurfer", "Coder", "ComputerTerminal")
SUBJECTS = ("opening hours of the pool", "ticket prices of the night train", "the 2019 league table", "house sales")
FAILURES = ("HTTP 403: this page refuses automated visitors", "Traceback (most recent call last): KeyError: 'price'")

# policy -> (admission fraction, runtime factor, score probability, chance that a listed key is named at a step)
POLICIES = {
    "magentic_one": (0.0, 0.72, 0.31, 0.0),
    "m1_parallel": (0.0, 1.00, 0.40, 0.0),
    "all": (1.0, 0.78, 0.37, 0.30),
    "random_0.5": (0.5, 0.90, 0.38, 0.28),
    "recency": (1.0, 0.86, 0.38, 0.25),
    "similarity": (0.62, 0.85, 0.39, 0.30),
    "judge": (0.44, 0.88, 0.41, 0.34),
    "orchestrator": (0.51, 0.93, 0.40, 0.31),
    "lts": (0.70, 0.76, 0.46, 0.42),
}


def make_rollout(policy: str = "lts", task: int = 0, seed: int = 0, *, num_steps: int = 10) -> Rollout:
    """One rollout. The task decides its difficulty, the seed its noise, the policy its speed and score."""
    admission, factor, score_probability, naming = POLICIES[policy]
    num_teams = 1 if policy == "magentic_one" else 3
    noise = random.Random(f"{task} {seed}")  # shared by all policies: comparisons are paired
    luck, hardness = noise.random(), noise.uniform(0.6, 1.6)
    choice = random.Random(f"{policy} {task} {seed}")
    steps, answers, calls = [], [], []
    for team in range(num_teams):
        clock = 14.0 + noise.uniform(0, 8)
        for number in range(num_steps + noise.randint(-3, 3)):
            started = clock + noise.uniform(4, 9) * factor
            clock = started + noise.uniform(8, 44) * factor * hardness * choice.uniform(0.6, 1.4)
            failed = noise.random() < 0.15
            subject = SUBJECTS[(task + number) % len(SUBJECTS)]
            steps.append(
                Step(
                    team=team,
                    step=number,
                    agent=AGENTS[noise.randrange(len(AGENTS))],
                    instruction=f"Please find {subject} and report the figures with their source.",
                    action=f'web_search(query="{subject}")',
                    output=noise.choice(FAILURES)
                    if failed
                    else f"Found a page on {subject}; the table has 14 rows. "
                    "Monday 07:00-21:00, Tuesday 07:00-21:00, Sunday closed. " * 4,
                    summary=f"Looked up {subject}; {'the page refused' if failed else 'found a table with 14 rows'}.",
                    started_seconds=started,
                    finished_seconds=clock,
                    failed=failed,
                )
            )
        answers.append(
            Answer(team, f"{number} stations", clock + 6, StopReason.SATISFIED, num_steps=number + 1, num_stalls=2)
        )
    decisions, entries, pulls = [], [], []
    for step in sorted(steps, key=lambda step: step.finished_seconds):
        admitted = choice.random() < admission
        decisions.append(
            Decision(
                team=step.team,
                step=step.step,
                action=int(admitted),
                log_prob=-0.4,
                admit_probability=admission,
                num_keys=len(entries),
                sequence=len(decisions),
                seconds=step.finished_seconds + 0.5,
                entry=len(entries) if admitted else -1,
                controller=policy,
            )
        )
        calls.append(ModelCall("act", "", 2400, 160, "simulated", step.team, step.step, seconds=9.0, usd=0.004))
        if admission:
            calls.append(ModelCall("summarize", "", 600, 30, "simulated", step.team, step.step, seconds=1.5, usd=0.001))
        if admitted:
            entries.append(
                MemoryEntry(len(entries), step.summary, step.output, step.team, step.step, step.finished_seconds + 0.5)
            )
    for step in steps:
        held = {pull.entry for pull in pulls if pull.reader == step.team}
        others = [entry for entry in entries if entry.team != step.team and entry.entry not in held]
        listed = [entry for entry in others if entry.seconds < step.started_seconds - 1]
        if listed and choice.random() < naming:
            entry = choice.choice(listed)
            pulls.append(Pull(entry.entry, step.team, entry.team, step.step, step.started_seconds - 1))
    seconds = max(answer.seconds for answer in answers) + 5
    score = float(luck * 0.8 + choice.random() * 0.2 < score_probability)
    difficulty = ("easy", "medium", "hard")[task % 3]
    question = f"How many stations does line {task} have, counting transfers once?"
    return Rollout(
        task=Task(f"task-{task:03d}", question, "12", "test", "lines", difficulty),
        coordinates=Coordinates(seed=seed, iteration=0, task=f"task-{task:03d}", rollout=0),
        num_teams=num_teams,
        steps=tuple(steps),
        decisions=tuple(decisions),
        entries=tuple(entries),
        pulls=tuple(sorted(pulls, key=lambda pull: pull.seconds)),
        answers=tuple(answers),
        final=Answer(-1, "12 stations", seconds, StopReason.SATISFIED),
        outcome=Outcome(score, True),
        first_outcome=Outcome(score, True),
        reward_agg=score,
        reward_first=score,
        seconds=seconds,
        calls=tuple(calls),
        policy=policy,
    )


def make_rollouts(num_tasks: int = 20, num_seeds: int = 2) -> dict[str, list[Rollout]]:
    """Rollouts of every policy on the same tasks and seeds."""
    return {
        policy: [make_rollout(policy, task, seed) for task in range(num_tasks) for seed in range(num_seeds)]
        for policy in POLICIES
    }


def make_metrics(num_iterations: int = 60) -> list[dict[str, float]]:
    """Lines of a training run's metrics file."""
    noise = random.Random(0)
    return [
        {
            "iteration": number,
            "reward/return_mean": 0.4 + 0.3 * number / num_iterations + noise.gauss(0, 0.08),
            "reward/aggregate_mean": 0.3 + 0.15 * number / num_iterations + noise.gauss(0, 0.06),
            "memory/admission_probability": 0.5 + 0.2 * number / num_iterations + noise.gauss(0, 0.02),
            "memory/used_fraction": 0.2 + 0.2 * number / num_iterations + noise.gauss(0, 0.03),
            "rollout/runtime_seconds": 420 - 90 * number / num_iterations + noise.gauss(0, 25),
            "loss/total": -0.01 * number / num_iterations + noise.gauss(0, 0.004),
        }
        for number in range(num_iterations)
    ]
