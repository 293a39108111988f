"""One simulated rollout in plain Python: loops, lists, and the same hash words, written from the docstrings.

It shares with the simulator only its settings, the drawn task and the numbers that name kinds and mistakes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np

from lts_jax.environments.teams.settings import SimulatorParams, SimulatorShape

NEEDED, DETOUR, DEAD_END, ABSENT = range(4)
STALL, FIND, WRONG, COMMON, LEFT_STALE, POISON, POISON_NODE, CRASH, STOP, ADMIT, SECONDS, ENTRY = range(12)
NOTHING, RIGHT = -1, 0
MISTAKE, STALE, PLANTED = (number << 24 for number in (1, 2, 3))
INF = math.inf
_BITS = 0xFFFFFFFF
_NORMAL = NormalDist()

Decide = Callable[[np.ndarray, list[np.ndarray], np.ndarray, int, int], float]
"""(query, keys so far, step triplet [3, D], node, variant) -> logit of admitting against rejecting."""


@dataclass(frozen=True)
class TwinTask:
    """A task as Python lists."""

    kind: list[int]
    before: list[int]
    find_logit: list[float]
    common_order: list[float]
    name: np.ndarray
    query: np.ndarray

    @classmethod
    def of(cls, task: Any) -> "TwinTask":
        return cls(
            np.asarray(task.kind_m).tolist(),
            np.asarray(task.before_m).tolist(),
            np.asarray(task.find_logit_m).tolist(),
            np.asarray(task.common_order_m).tolist(),
            np.asarray(task.name_md),
            np.asarray(task.query_d),
        )


@dataclass
class Entry:
    """An admitted step."""

    node: int
    variant: int
    writer: int
    commit: float
    word: int
    wanted: float
    key: np.ndarray
    readers: set[int] = field(default_factory=set)
    first_pull: float = INF
    is_alive: bool = True


@dataclass
class Team:
    """What one team knows and does."""

    next: float
    started: float
    target: int
    order: list[float]
    num_steps: int = 0
    known: dict[int, int] = field(default_factory=dict)  # node -> variant
    dropped: set[int] = field(default_factory=set)
    num_seen: int = 0
    finish: float = INF
    end: float = INF
    has_died: bool = False


@dataclass
class Record:
    """One finished step and the decision on it."""

    node: int
    variant: int
    seconds: float
    triplet: np.ndarray
    event: int
    is_decided: bool
    action: int = 0
    log_prob: float = 0.0
    decided: float = INF
    num_keys: int = 0
    entry: int | None = None


@dataclass
class TwinRollout:
    """What came of it; `steps` by (team, step)."""

    steps: dict[tuple[int, int], Record]
    bank: list[Entry]
    teams: list[Team]
    reward_agg: float
    reward_first: float
    runtime: float
    scores: list[float]
    has_answer: list[bool]
    is_right: list[bool]


def mix(word: int) -> int:
    word ^= word >> 16
    word = word * 0x7FEB352D & _BITS
    word ^= word >> 15
    word = word * 0x846CA68B & _BITS
    return word ^ word >> 16


def place_words(seed: list[int], place: int) -> tuple[int, int]:
    first = mix((place * 0x9E3779B9 + seed[0]) & _BITS)
    return first, mix(first ^ seed[1])


def word_at(place: tuple[int, int], purpose: int) -> int:
    return mix(mix((purpose * 0x9E3779B9 + place[0]) & _BITS) ^ place[1])


def uniform(word: int) -> float:
    return (word >> 9) * 2.0**-23 + 2.0**-24


def pair_uniform(word: int, reader: int) -> float:
    return uniform(mix(word ^ ((reader + 1) * 0x9E3779B9 & _BITS)))


def sigmoid(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-logit)) if logit > -700 else 0.0


def log_sigmoid(logit: float) -> float:
    return -math.log1p(math.exp(-logit)) if logit > -700 else logit


def twin_rollout(
    shape: SimulatorShape,
    p: SimulatorParams,
    task: TwinTask,
    seed: list[int],
    decide: Decide,
    *,
    temperature: float = 1.0,
    is_greedy: bool = False,
    forced: dict[tuple[int, int], int] | None = None,
) -> TwinRollout:
    """The rollout with seed words `seed`; `forced` names actions by (team, step)."""
    bank: list[Entry] = []
    steps: dict[tuple[int, int], Record] = {}
    teams = [_begin(shape, p, task, seed, k) for k in range(shape.num_teams)]
    for event in range(shape.num_teams * shape.max_steps):
        k = min(range(shape.num_teams), key=lambda team: teams[team].next)
        now = teams[k].next
        first = min(team.finish for team in teams)
        if math.isinf(now) or (p.first_answer_ends > 0 and now >= first):
            break
        _event(shape, p, task, seed, teams, bank, steps, k, now, event, decide, temperature, is_greedy, forced or {})
    return _end(shape, p, task, seed, teams, bank, steps)


def _needed(task: TwinTask) -> list[int]:
    return [node for node, kind in enumerate(task.kind) if kind == NEEDED]


def _choose(task: TwinTask, order: list[float], done: set[int]) -> int:
    candidates = [
        node
        for node, kind in enumerate(task.kind)
        if kind != ABSENT and node not in done and (task.before[node] < 0 or task.before[node] in done)
    ]
    return max(candidates, key=lambda node: order[node]) if candidates else len(task.kind) - 1


def _duration(p: SimulatorParams, place: tuple[int, int]) -> float:
    if uniform(word_at(place, STALL)) < p.stall_probability:
        return p.stall_seconds
    return math.exp(p.step_log_seconds + p.step_log_spread * _NORMAL.inv_cdf(uniform(word_at(place, SECONDS))))


def _begin(shape: SimulatorShape, p: SimulatorParams, task: TwinTask, seed: list[int], k: int) -> Team:
    own = place_words(seed, (1 << 20) + k)
    order = [
        p.overlap * task.common_order[node]
        + (1 - p.overlap) * uniform(word_at(own, node))
        + p.insight * (task.kind[node] in (NEEDED, DETOUR))
        for node in range(shape.num_nodes)
    ]
    ends = p.start_seconds + _duration(p, place_words(seed, k * shape.max_steps))
    team = Team(ends, p.start_seconds, _choose(task, order, set()), order)
    if ends > p.deadline_seconds:
        team.next, team.end = INF, p.deadline_seconds
    return team


def _work(p: SimulatorParams, task: TwinTask, target: int, at: int, draw: dict[int, float]):
    """Whether something was found, the team's value, and what is offered: node, variant, the cue of a wrong value."""
    kind = task.kind[target]
    chance = p.leave_probability if kind == DEAD_END else sigmoid(task.find_logit[target])
    was_found = draw[STALL] >= p.stall_probability and draw[FIND] < chance
    is_wrong = was_found and kind == NEEDED and draw[WRONG] < p.wrong_probability
    mistake = MISTAKE + target if draw[COMMON] < p.common_mistake_share else at + 1
    value = mistake if is_wrong else RIGHT
    is_stale = was_found and kind == NEEDED and not is_wrong and draw[LEFT_STALE] < p.stale_probability
    variant = (STALE + at if is_stale else value) if was_found else NOTHING
    looks_wrong = p.wrong_cue if is_wrong else p.stale_cue if is_stale else 0.0
    if draw[POISON] < p.poison_probability:
        return was_found, value, math.floor(draw[POISON_NODE] * len(_needed(task))), PLANTED + at, 0.0
    return was_found, value, target, variant, looks_wrong


def _event(shape, p, task, seed, teams, bank, steps, k, now, event, decide, temperature, is_greedy, forced):
    team = teams[k]
    at = k * shape.max_steps + team.num_steps
    place = place_words(seed, at)
    draw = {purpose: uniform(word_at(place, purpose)) for purpose in range(12)}
    was_found, value, node, variant, looks_wrong = _work(p, task, team.target, at, draw)
    has_crashed = draw[CRASH] < p.crash_probability
    if was_found and team.target not in team.known:
        team.known[team.target] = value
    if not was_found and draw[LEFT_STALE] < p.drop_probability:
        team.dropped.add(team.target)

    seconds = now - team.started
    triplet = _triplet(shape, p, task, place, node, variant, looks_wrong, seconds)
    decided = now + p.summary_seconds
    keys = [entry.key for entry in bank if entry.commit <= decided]
    is_asked = p.has_memory > 0 and len(bank) < shape.num_entries and _is_before_end(p, teams, decided)
    record = Record(node, variant, seconds, triplet, event, is_asked, num_keys=len(keys))
    steps[k, team.num_steps] = record
    after = now
    if p.has_memory > 0:
        record.decided = decided if record.is_decided else INF
        after = now + p.summary_seconds + p.decision_seconds
    if record.is_decided:
        logit = decide(task.query, keys, triplet, node, variant) / temperature
        record.action = int(logit > 0 if is_greedy else draw[ADMIT] < sigmoid(logit))
        record.action = forced.get((k, team.num_steps), record.action)
        record.log_prob = log_sigmoid(logit if record.action else -logit)
    if record.action:
        record.entry = len(bank)
        bank.append(Entry(node, variant, k, after, word_at(place, ENTRY), logit, triplet[1]))
    if shape.bounded_bank:
        _evict(p, bank)

    is_last = has_crashed or team.num_steps + 1 >= min(p.step_limit, shape.max_steps)
    if not is_last and _is_before_end(p, teams, after):
        after += _read(shape, p, team, k, bank, after)
    done = set(team.known) | team.dropped
    ends = is_last or draw[STOP] < p.stop_probability or all(node in done for node in _needed(task))
    team.num_steps += 1
    team.next, team.started = INF, after + p.check_seconds
    begins = team.started + _duration(p, place_words(seed, at + 1))
    finish = after + p.finish_seconds
    is_late = (finish if ends else begins) > p.deadline_seconds
    team.target = _choose(task, team.order, done)
    if has_crashed:
        team.end, team.has_died = now, True
    elif is_late:
        team.end = p.deadline_seconds
    elif ends:
        team.end = team.finish = finish
    else:
        team.next = begins


def _is_before_end(p: SimulatorParams, teams: list[Team], seconds: float) -> bool:
    is_answered = p.first_answer_ends > 0 and any(team.finish <= seconds for team in teams)
    return seconds <= p.deadline_seconds and not is_answered


def _triplet(shape, p, task, place, node, variant, looks_wrong, seconds) -> np.ndarray:
    has_value = float(variant != NOTHING)
    cues = [
        has_value,
        -looks_wrong,
        (1.0, 0.5, -0.5, 0.0)[task.kind[node]],
        has_value - 1.0,
        -0.5 * task.find_logit[node],
        math.log(max(seconds, 1e-3)) - p.step_log_seconds,
    ]
    shown = ((0, 0, 0.5, 0, 0.5, 0), (1, 0.5, 1, 1, 1, 0.5), (1, 1, 0.5, 1, 0.5, 1))
    rows = []
    for row in range(3):
        texts = [share * cue for share, cue in zip(shown[row], cues, strict=True)] + [
            2.0 * part for part in task.name[node].tolist()
        ]
        for column in range(shape.embedding_width):
            number = row * shape.embedding_width + column
            level = word_at(place, 12 + number // 4) >> 8 * (number % 4) & 255
            noise = (level - 127.5) * 12**0.5 / (256**2 - 1) ** 0.5
            texts[column] += p.cue_noise * noise / shape.embedding_width**0.5
        length = math.sqrt(sum(part * part for part in texts))
        rows.append([part / max(length, 1e-6) for part in texts])
    return np.array(rows)


def _evict(p: SimulatorParams, bank: list[Entry]) -> None:
    alive = [number for number, entry in enumerate(bank) if entry.is_alive]
    if len(alive) <= p.capacity:
        return
    ranks = {
        0.0: lambda number: number,
        1.0: lambda number: (len(bank[number].readers), number),
        2.0: lambda number: (bank[number].wanted, number),
    }
    bank[min(alive, key=ranks[p.evict_rule])].is_alive = False


def _read(shape: SimulatorShape, p: SimulatorParams, team: Team, k: int, bank: list[Entry], now: float) -> float:
    listed = [
        number
        for number, entry in enumerate(bank)
        if entry.is_alive
        and entry.writer != k
        and entry.commit <= now
        and number >= len(bank) - p.listing_window
        and k not in entry.readers
    ]
    if not any(number >= team.num_seen for number in listed):
        return 0.0
    attention = p.attention_keys / (p.attention_keys + len(listed))
    known = dict(team.known)
    wanted = []
    for number in listed:
        entry = bank[number]
        has_use = entry.variant != NOTHING and entry.node not in known
        chance = attention * (p.pull_probability if has_use else p.idle_pull_probability)
        if pair_uniform(entry.word, k + 64 * team.num_steps) < chance:
            wanted.append(number)
    pulled = wanted[::-1][: shape.max_pulls]
    for number in pulled:
        entry = bank[number]
        entry.readers.add(k)
        entry.first_pull = min(entry.first_pull, now)
        draw = pair_uniform(entry.word, k + (1 << 20))
        if entry.node in team.known:
            continue
        if entry.variant == NOTHING:
            if draw < p.discourage_probability:
                team.dropped.add(entry.node)
        elif entry.variant == RIGHT or draw >= p.detect_probability:
            team.known[entry.node] = entry.variant
    team.num_seen = len(bank)
    return p.selection_seconds + p.key_seconds * len(listed) + p.pull_seconds * len(pulled)


def _end(shape, p, task, seed, teams, bank, steps) -> TwinRollout:
    needed = _needed(task)
    scores, rights, answered, resting, tastes = [], [], [], [], []
    for k, team in enumerate(teams):
        own = place_words(seed, (1 << 20) + k)
        slips = uniform(word_at(own, 30)) >= p.reasoning_probability
        share = sum(team.known.get(node) == RIGHT for node in needed) / len(needed)
        is_complete = all(node in team.known for node in needed)
        has_answer = not team.has_died and not (p.first_answer_ends > 0 and math.isinf(team.end))
        is_right = has_answer and is_complete and share == 1 and not slips
        scores.append((1.0 if is_right else p.partial_credit * share) if has_answer else 0.0)
        rights.append(is_right)
        answered.append(has_answer)
        values = tuple(team.known.get(node) for node in needed)
        resting.append((values, slips and k, is_complete or k) if slips or not is_complete else (values,))
        tastes.append(uniform(word_at(own, 31)))
    liking = {
        k: sum(resting[k] == resting[j] for j in range(len(teams)) if answered[j])
        + p.aggregator_insight * rights[k]
        + 0.5 * tastes[k]
        for k in range(len(teams))
        if answered[k]
    }
    agg = scores[max(liking, key=lambda k: liking[k])] if liking else 0.0
    order = sorted(range(len(teams)), key=lambda k: teams[k].finish)
    has_first = not math.isinf(teams[order[0]].finish)
    first = scores[order[0]] if has_first else 0.0
    last = max((team.end for team in teams if not math.isinf(team.end)), default=0.0)
    runtime = last + p.aggregate_seconds
    if p.first_answer_ends > 0 and has_first:
        agg, runtime = first, teams[order[0]].finish
    return TwinRollout(steps, bank, teams, agg, first, runtime, scores, answered, rights)
