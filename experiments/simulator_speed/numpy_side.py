"""The simulator and its learner vectorised in NumPy: the fair opponent, with the axis of rollouts (L lanes) last.

It does the same work as the compiled one (the same hash, the same observations, the same loss), and what an array
library without a compiler makes easy: lanes that have ended are dropped, only rows of the bank that are in use are
looked at, a team's row is taken by its index, and the learner uses the features and activations of the rollouts again.
A bank without a limit, no early answer, no faults: what the benchmark's world has.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from lts_jax.environments.teams.settings import SimulatorParams, SimulatorShape
from lts_jax.learning.settings import LearningSettings

U32, F32 = np.uint32, np.float32
NEEDED, DETOUR, DEAD_END, ABSENT = range(4)
STALL, FIND, WRONG, COMMON, LEFT_STALE, POISON, POISON_NODE, CRASH, STOP, ADMIT, SECONDS, ENTRY = range(12)
MISTAKE, STALE, PLANTED = (number << 24 for number in (1, 2, 3))
GOLDEN = U32(0x9E3779B9)
TEAM_PLACES = 1 << 20
SHOWN_3C = np.array([[0, 0, 0.5, 0, 0.5, 0], [1, 0.5, 1, 1, 1, 0.5], [1, 1, 0.5, 1, 0.5, 1]], F32)
USE_OF_KIND = np.array([1.0, 0.5, -0.5, 0.0], F32)


@dataclass
class Tasks:
    """One task a lane."""

    kind_ml: np.ndarray
    before_ml: np.ndarray
    find_logit_ml: np.ndarray
    common_order_ml: np.ndarray
    name_mdl: np.ndarray
    query_dl: np.ndarray


@dataclass
class Rolled:
    """What the learner needs, and what is compared with the slow twin. Rows of decisions, in the order of events."""

    reward_agg_l: np.ndarray
    reward_first_l: np.ndarray
    runtime_l: np.ndarray
    num_steps: int
    lane_r: np.ndarray
    place_r: np.ndarray
    action_r: np.ndarray
    feature_rf: np.ndarray
    hidden_rh: np.ndarray
    probability_r: np.ndarray


def draw_tasks(shape: SimulatorShape, p: SimulatorParams, rng: np.random.Generator, num_tasks: int, each: int) -> Tasks:
    """Fresh tasks with `each` rollouts of every one."""
    M = shape.num_nodes
    node = np.arange(M)[:, None]
    low, high = p.needed_low, p.needed_high
    needed = np.minimum(np.floor(low + rng.random(num_tasks) * (high - low + 1)), high).astype(int)
    is_needed = node < needed
    has_detour = is_needed & (rng.random((M, num_tasks)) < p.detour_probability)
    detour_of = np.where(has_detour, needed + np.cumsum(has_detour, axis=0) - 1, -1)
    detour_of = np.where(detour_of < M, detour_of, -1)
    last = needed + np.sum(detour_of >= 0, axis=0)
    is_chained = is_needed & (node > 0) & (rng.random((M, num_tasks)) < p.chain_probability)
    before = np.where(detour_of >= 0, detour_of, np.where(is_chained, node - 1, -1))
    dead = np.where(node < last + p.num_dead_ends, DEAD_END, ABSENT)
    kind = np.where(is_needed, NEEDED, np.where(node < last, DETOUR, dead))
    middle = math.log(p.find_probability / (1 - p.find_probability))
    spread = p.difficulty_spread * rng.standard_normal((M, num_tasks)) + p.task_spread * rng.standard_normal(num_tasks)
    name = rng.standard_normal((M, shape.embedding_width - 6, num_tasks))
    name /= np.sqrt(np.sum(name**2, axis=1, keepdims=True))
    about = np.sum(np.where(is_needed[:, None], name, 0.0), axis=0)
    about /= np.sqrt(np.sum(about**2, axis=0))
    query = np.concatenate([np.zeros((6, num_tasks)), about])
    arrays = (kind, before, (middle + spread).astype(F32), rng.random((M, num_tasks)).astype(F32), name, query)
    return Tasks(*(np.repeat(a.astype(F32) if a.dtype == float else a, each, axis=-1) for a in arrays))


def mix(word: np.ndarray) -> np.ndarray:
    """lowbias32, in place."""
    word ^= word >> U32(16)
    word *= U32(0x7FEB352D)
    word ^= word >> U32(15)
    word *= U32(0x846CA68B)
    word ^= word >> U32(16)
    return word


def place_words(seed_wl: np.ndarray, place_l: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first = mix(place_l.astype(U32) * GOLDEN + seed_wl[0])
    return first, mix(first ^ seed_wl[1])


def words(place: tuple[np.ndarray, np.ndarray], purpose: np.ndarray) -> np.ndarray:
    """u32[P, ...] of the purposes given, already multiplied by GOLDEN."""
    word = mix(purpose.reshape(-1, *[1] * place[0].ndim) + place[0])
    word ^= place[1]
    return mix(word)


def uniforms(word: np.ndarray) -> np.ndarray:
    return (word >> U32(9)).astype(F32) * F32(2.0**-23) + F32(2.0**-24)


def sigmoid(logit: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-logit))


class Simulation:
    """All lanes at one event after another."""

    def __init__(self, shape: SimulatorShape, p: SimulatorParams, tasks: Tasks, seed_wl: np.ndarray) -> None:
        K, N, M, D, L = *(shape.num_teams, shape.num_entries, shape.num_nodes, shape.embedding_width), seed_wl.shape[1]
        self.shape, self.p = shape, p
        self.purposes = np.arange(12 + -(-3 * D // 4), dtype=U32) * GOLDEN
        self.id = np.arange(L)  # which rollout a lane is
        self.task = tasks
        self.seed = seed_wl
        self.needed_bits = np.sum(np.where(tasks.kind_ml == NEEDED, 1 << np.arange(M)[:, None], 0), axis=0)
        self.num_needed = np.sum(tasks.kind_ml == NEEDED, axis=0)
        own = uniforms(
            words(place_words(seed_wl[:, None], TEAM_PLACES + np.arange(K)[:, None]), np.arange(M, dtype=U32) * GOLDEN)
        )
        self.order = p.overlap * tasks.common_order_ml[:, None] + (1 - p.overlap) * own  # [M, K, L]
        self.order += p.insight * (tasks.kind_ml < DEAD_END)[:, None]
        self.order = np.ascontiguousarray(np.swapaxes(self.order, 0, 1)).astype(F32)  # [K, M, L]
        zero_kl = np.zeros((K, L), int)
        self.num_steps, self.known, self.dropped, self.num_seen = (zero_kl.copy() for _ in range(4))
        self.variant = np.zeros((K, M, L), np.int32)
        self.finish = np.full((K, L), np.inf, F32)
        self.end = np.full((K, L), np.inf, F32)
        self.died = np.zeros((K, L), bool)
        self.started = np.full((K, L), p.start_seconds, F32)
        lanes = np.arange(L)
        self.target = np.stack([self.choose(self.order[k], np.zeros(L, int), lanes) for k in range(K)])
        seconds = [self.duration(place_words(seed_wl, np.full(L, k * shape.max_steps))) for k in range(K)]
        self.next = self.started + np.stack(seconds)
        late = self.next > p.deadline_seconds
        self.end[late], self.next[late] = p.deadline_seconds, np.inf
        self.num_entries = np.zeros(L, int)
        self.node, self.entry_variant, self.writer = (np.zeros((N, L), np.int32) for _ in range(3))
        self.commit = np.full((N, L), np.inf, F32)
        self.word, self.readers = np.zeros((N, L), U32), np.zeros((N, L), np.int64)

    def choose(self, order_ml: np.ndarray, done_l: np.ndarray, lanes: np.ndarray) -> np.ndarray:
        kind, before = self.task.kind_ml, self.task.before_ml
        done = (done_l >> np.arange(kind.shape[0])[:, None]) & 1
        is_open = (before < 0) | (((done_l >> np.maximum(before, 0)) & 1) == 1)
        candidate = (kind <= DEAD_END) & (done == 0) & is_open
        best = np.argmax(np.where(candidate, order_ml, -np.inf), axis=0)
        return np.where(candidate[best, lanes], best, kind.shape[0] - 1)

    def duration(self, place: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        draw = uniforms(words(place, self.purposes[[STALL, SECONDS]]))
        seconds = np.exp(self.p.step_log_seconds + self.p.step_log_spread * ndtri(draw[1]))
        return np.where(draw[0] < self.p.stall_probability, self.p.stall_seconds, seconds).astype(F32)

    def keep(self, lanes: np.ndarray) -> None:
        """Drop all other lanes."""
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray) and name != "purposes":
                setattr(self, name, np.ascontiguousarray(value[..., lanes]))
        self.task = Tasks(*(np.ascontiguousarray(value[..., lanes]) for value in vars(self.task).values()))


def rollouts(
    shape: SimulatorShape,
    p: SimulatorParams,
    tasks: Tasks,
    seed_wl: np.ndarray,
    weights: dict[str, np.ndarray],
    temperature: float,
) -> Rolled:
    """One rollout a lane under the small network that ignores keys."""
    L = seed_wl.shape[1]
    rolled = Rolled(*(np.zeros(L, F32) for _ in range(3)), 0, *([] for _ in range(6)))
    sim = Simulation(shape, p, tasks, seed_wl)
    while sim.id.size:
        is_on = np.isfinite(sim.next).any(axis=0)
        if not is_on.all() and (is_on.mean() < 0.8 or not is_on.any()):
            finish(sim, np.flatnonzero(~is_on), rolled)
            sim.keep(np.flatnonzero(is_on))
            continue
        event(sim, is_on, weights, temperature, rolled)
    for name in ("lane_r", "place_r", "action_r", "feature_rf", "hidden_rh", "probability_r"):
        setattr(rolled, name, np.concatenate(getattr(rolled, name), axis=-1))
    rolled.feature_rf, rolled.hidden_rh = rolled.feature_rf.T, rolled.hidden_rh.T
    return rolled


def worked(
    sim: Simulation, target: np.ndarray, number: np.ndarray, draw: np.ndarray, lanes: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Whether something was found, the team's value, and what is offered: node, variant, the cue of a wrong value."""
    p, task = sim.p, sim.task
    kind = task.kind_ml[target, lanes]
    chance = np.where(kind == DEAD_END, p.leave_probability, sigmoid(task.find_logit_ml[target, lanes]))
    found = (draw[STALL] >= p.stall_probability) & (draw[FIND] < chance)
    is_needed = found & (kind == NEEDED)
    wrong = is_needed & (draw[WRONG] < p.wrong_probability)
    value = np.where(wrong, np.where(draw[COMMON] < p.common_mistake_share, MISTAKE + target, number + 1), 0)
    stale = is_needed & ~wrong & (draw[LEFT_STALE] < p.stale_probability)
    variant = np.where(found, np.where(stale, STALE + number, value), -1)
    looks_wrong = np.where(wrong, p.wrong_cue, np.where(stale, p.stale_cue, 0.0))
    planted = draw[POISON] < p.poison_probability
    node = target
    if planted.any():
        node = np.where(planted, np.floor(draw[POISON_NODE] * sim.num_needed).astype(int), node)
        variant, looks_wrong = np.where(planted, PLANTED + number, variant), np.where(planted, 0.0, looks_wrong)
    return found, value, node, variant, looks_wrong


def learned(
    sim: Simulation,
    at: tuple[np.ndarray, np.ndarray],
    is_on: np.ndarray,
    found: np.ndarray,
    value: np.ndarray,
    target: np.ndarray,
    draw: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Known and given up nodes of the teams after their steps."""
    bit, known, given_up = 1 << target, sim.known[at], sim.dropped[at]
    new = np.flatnonzero(found & ((known & bit) == 0) & is_on)
    sim.variant[at[0][new], target[new], new] = value[new]
    drops = ~found & (draw[LEFT_STALE] < sim.p.drop_probability)
    return np.where(found, known | bit, known), np.where(drops, given_up | bit, given_up)


def record(out: Rolled, sim: Simulation, rows: np.ndarray, of_lanes: tuple[np.ndarray, ...], num_steps: int) -> None:
    """Keep the decisions of some lanes for the learner."""
    out.num_steps += num_steps
    out.lane_r.append(sim.id[rows])
    names = ("place_r", "action_r", "feature_rf", "hidden_rh", "probability_r")
    for name, value in zip(names, of_lanes, strict=True):
        getattr(out, name).append(value[..., rows])


def event(sim: Simulation, is_on: np.ndarray, weights: dict[str, np.ndarray], temperature: float, out: Rolled) -> None:
    """Finish the earliest running step of every lane that is still on."""
    p, shape, task = sim.p, sim.shape, sim.task
    lanes = np.arange(sim.id.size)
    team = np.argmin(sim.next, axis=0)
    at = (team, lanes)
    now = np.where(is_on, sim.next[at], sim.started[at])  # of a lane that has ended, any number
    num_steps, target = sim.num_steps[at], sim.target[at]
    number = team * shape.max_steps + num_steps
    word = words(place_words(sim.seed, number), sim.purposes)
    draw = uniforms(word[:12])

    found, value, node, variant, looks_wrong = worked(sim, target, number, draw, lanes)
    crashed = draw[CRASH] < p.crash_probability
    known, dropped = learned(sim, at, is_on, found, value, target, draw)
    step = triplet(sim, word[12:], node, variant, looks_wrong, now - sim.started[at], lanes)  # [3, D, L]
    asked = now + F32(p.summary_seconds)
    decided = is_on & (sim.num_entries < shape.num_entries) & (p.has_memory > 0) & (asked <= p.deadline_seconds)
    feature, hidden, logit = network(weights, task.query_dl, step, (sim.commit <= asked).sum(axis=0))
    probability = sigmoid(logit / temperature)
    action = decided & (draw[ADMIT] < probability)
    record(out, sim, np.flatnonzero(decided), (number, action, feature, hidden, probability), int(is_on.sum()))
    after = asked + F32(p.decision_seconds) if p.has_memory > 0 else now
    into = np.flatnonzero(action)
    place = (sim.num_entries[into], into)
    sim.node[place], sim.entry_variant[place], sim.writer[place] = node[into], variant[into], team[into]
    sim.commit[place], sim.word[place] = after[into], word[ENTRY][into]
    sim.num_entries[into] += 1

    last = crashed | (num_steps + 1 >= min(p.step_limit, shape.max_steps))
    known, lost, seconds = read(
        sim, team, num_steps, known, after, is_on & ~last & (after <= p.deadline_seconds), lanes
    )
    after = after + seconds
    done = known | dropped | lost
    ends = last | (draw[STOP] < p.stop_probability) | ((done & sim.needed_bits) == sim.needed_bits)
    begins = after + F32(p.check_seconds)
    following = begins + sim.duration(place_words(sim.seed, number + 1))
    finishes = after + F32(p.finish_seconds)
    late = np.where(ends, finishes, following) > p.deadline_seconds
    on = ~ends & ~late
    here = np.flatnonzero(is_on)
    at = (team[here], here)
    chosen = sim.choose(sim.order[team, :, lanes].T, done, lanes)
    end = np.where(crashed, now, np.where(late, F32(p.deadline_seconds), finishes))
    sim.next[at] = np.where(on, following, np.inf)[here]
    sim.num_steps[at] += 1
    sim.target[at], sim.started[at] = chosen[here], begins[here]
    sim.known[at], sim.dropped[at] = known[here], (done & ~known)[here]
    sim.finish[at] = np.where(ends & ~late & ~crashed, finishes, np.inf)[here]
    sim.end[at], sim.died[at] = np.where(on, np.inf, end)[here], crashed[here]


def triplet(
    sim: Simulation,
    noise_wl: np.ndarray,
    node: np.ndarray,
    variant: np.ndarray,
    looks_wrong: np.ndarray,
    seconds: np.ndarray,
    lanes: np.ndarray,
) -> np.ndarray:
    """f32[3, D, L]."""
    D, task = sim.shape.embedding_width, sim.task
    step = np.empty((3, D, lanes.size), F32)
    has_value = (variant != -1).astype(F32)
    cue = np.empty((6, lanes.size), F32)
    cue[0], cue[1], cue[2] = has_value, -looks_wrong, USE_OF_KIND[task.kind_ml[node, lanes]]
    cue[3], cue[4] = has_value - 1.0, F32(-0.5) * task.find_logit_ml[node, lanes]
    cue[5] = np.log(np.maximum(seconds, F32(1e-3))) - F32(sim.p.step_log_seconds)
    np.multiply(SHOWN_3C[:, :, None], cue, out=step[:, :6])
    step[:, 6:] = F32(2.0) * task.name_mdl[node, :, lanes].T
    level = np.ascontiguousarray(noise_wl.T).view(np.uint8)[:, : 3 * D].T.astype(F32)  # little-endian bytes
    level -= F32(127.5)
    level *= F32(sim.p.cue_noise * 12**0.5 / (256**2 - 1) ** 0.5 / D**0.5)
    step += level.reshape(3, D, -1)
    step /= np.maximum(np.sqrt(np.einsum("sdl,sdl->sl", step, step)), F32(1e-6))[:, None]
    return step


def network(
    weights: dict[str, np.ndarray], query_dl: np.ndarray, step: np.ndarray, num_keys: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [F, L], activations [H, L] and the logit of admitting against rejecting [L]."""
    D = query_dl.shape[0]
    feature = np.zeros((6 + 3 * D, num_keys.size), F32)
    np.einsum("dl,sdl->sl", query_dl, step, out=feature[:3])
    feature[5] = np.log1p(num_keys)
    np.multiply(step.reshape(3 * D, -1), F32(D**0.5), out=feature[6:])
    hidden = np.maximum(weights["hidden"].T @ feature + weights["hidden_bias"][:, None], 0.0)
    column = weights["logits"][:, 1] - weights["logits"][:, 0]
    return feature, hidden, column @ hidden + (weights["logits_bias"][1] - weights["logits_bias"][0])


def read(
    sim: Simulation,
    team: np.ndarray,
    num_steps: np.ndarray,
    known: np.ndarray,
    now: np.ndarray,
    does_read: np.ndarray,
    lanes: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Known and given up nodes after a look, and its seconds; only rows of the bank that are in use are looked at."""
    p, used = sim.p, int(sim.num_entries.max())
    none = np.zeros(lanes.size, int)
    if not used:
        return known, none, np.zeros(lanes.size, F32)
    bit = np.int64(1) << team
    listed = (sim.writer[:used] != team) & (sim.commit[:used] <= now) & ((sim.readers[:used] & bit) == 0)
    listed &= does_read
    rows = np.arange(used)[:, None]
    if p.listing_window < used:
        listed &= rows >= sim.num_entries - p.listing_window
    at = (team, lanes)
    looks = np.any(listed & (rows >= sim.num_seen[at]), axis=0)
    num_listed = listed.sum(axis=0)
    attention = p.attention_keys / (p.attention_keys + num_listed)
    use = (sim.entry_variant[:used] != -1) & (((known >> sim.node[:used]) & 1) == 0)
    chance = np.where(use, F32(p.pull_probability), F32(p.idle_pull_probability)) * attention.astype(F32)
    salt = (team + 64 * num_steps + 1).astype(U32) * GOLDEN
    wanted = listed & looks & (uniforms(mix(sim.word[:used] ^ salt)) < chance)
    lost, num_pulls = none, none.copy()
    for _ in range(sim.shape.max_pulls):
        newest = used - 1 - np.argmax(wanted[::-1], axis=0)
        pulled = np.flatnonzero(wanted[newest, lanes])
        if not pulled.size:
            break
        number = newest[pulled]
        wanted[number, pulled] = False
        sim.readers[number, pulled] |= bit[pulled]
        num_pulls[pulled] += 1
        node, variant = sim.node[number, pulled], sim.entry_variant[number, pulled]
        seen = (team[pulled] + (1 << 20) + 1).astype(U32) * GOLDEN
        draw = uniforms(mix(sim.word[number, pulled] ^ seen))
        lacking = ((known[pulled] >> node) & 1) == 0
        learns = lacking & (variant != -1) & ~((variant > 0) & (draw < p.detect_probability))
        drops = lacking & (variant == -1) & (draw < p.discourage_probability)
        lost = lost.copy()
        lost[pulled] |= np.where(drops, 1 << node, 0)
        known[pulled] |= np.where(learns, 1 << node, 0)
        who = pulled[learns]
        sim.variant[team[who], node[learns], who] = variant[learns]
    sim.num_seen[at] = np.where(looks, sim.num_entries, sim.num_seen[at])
    seconds = np.where(looks, p.selection_seconds + p.key_seconds * num_listed, 0.0) + p.pull_seconds * num_pulls
    return known, lost, seconds.astype(F32)


def finish(sim: Simulation, lanes: np.ndarray, out: Rolled) -> None:
    """Answers and rewards of lanes that have ended."""
    p, (K, M) = sim.p, sim.variant.shape[:2]
    kind, known, variant = sim.task.kind_ml[:, lanes], sim.known[:, lanes], sim.variant[:, :, lanes]
    node = np.arange(M)[:, None]
    holds = (kind == NEEDED) & (((known[:, None] >> node) & 1) == 1)  # [K, M, L]
    share = np.sum(holds & (variant == 0), axis=1) / sim.num_needed[lanes]
    two = np.array([30, 31], U32) * GOLDEN
    draw = uniforms(words(place_words(sim.seed[:, None, lanes], TEAM_PLACES + np.arange(K)[:, None]), two))
    slips = draw[0] >= p.reasoning_probability
    complete = (known & sim.needed_bits[lanes]) == sim.needed_bits[lanes]
    answered = ~sim.died[:, lanes]
    right = answered & complete & (share == 1.0) & ~slips
    score = answered * np.where(right, 1.0, p.partial_credit * share)
    resting = np.sum(np.where(holds, variant * (2 * node + 1).astype(np.int32), 0), axis=1)
    own = np.where(slips, 0x51ED270B, 0) + np.where(complete, 0, 0x2545F491)
    resting = (resting + own * (np.arange(K)[:, None] + 1)).astype(np.int32)
    votes = np.sum((resting[:, None] == resting) & answered, axis=1)
    liking = np.where(answered, votes + p.aggregator_insight * right + 0.5 * draw[1], -np.inf)
    each = np.arange(lanes.size)
    ids, ended = sim.id[lanes], sim.finish[:, lanes]
    first = np.argmin(ended, axis=0)
    out.reward_agg_l[ids] = score[np.argmax(liking, axis=0), each]
    out.reward_first_l[ids] = np.where(np.isfinite(ended[first, each]), score[first, each], 0.0)
    out.runtime_l[ids] = np.max(sim.end[:, lanes], axis=0) + p.aggregate_seconds


@dataclass
class Learner:
    """AdamW on REINFORCE with the sparsity term, by hand."""

    weights: dict[str, np.ndarray]
    settings: LearningSettings
    num_updates: int = 0

    def __post_init__(self) -> None:
        self.first = {name: np.zeros_like(value) for name, value in self.weights.items()}
        self.second = {name: np.zeros_like(value) for name, value in self.weights.items()}

    def update(self, rolled: Rolled) -> None:
        """One step on -log pi(z) R + lambda pi(admit), summed over decisions, averaged over rollouts."""
        s, w = self.settings, self.weights
        reward_l = rolled.reward_agg_l + s.first_weight * rolled.reward_first_l
        probability = rolled.probability_r
        slope = s.sparsity_weight * probability * (1.0 - probability)
        slope -= (rolled.action_r - probability) * reward_l[rolled.lane_r]
        slope = (slope / (s.temperature * reward_l.size)).astype(F32)  # of the loss by the logit difference
        to_logits = slope @ rolled.hidden_rh
        column = w["logits"][:, 1] - w["logits"][:, 0]
        back = np.outer(slope, column)
        back *= rolled.hidden_rh > 0.0
        gradient = {
            "hidden": rolled.feature_rf.T @ back,
            "hidden_bias": back.sum(axis=0),
            "logits": np.stack([-to_logits, to_logits], axis=1),
            "logits_bias": np.array([-slope.sum(), slope.sum()], F32),
        }
        norm = math.sqrt(sum(float(np.vdot(value, value)) for value in gradient.values()))
        scale = min(1.0, s.max_gradient_norm / max(norm, 1e-12))
        self.num_updates += 1
        fall_1, fall_2 = 1 - s.beta1**self.num_updates, 1 - s.beta2**self.num_updates
        for name, unclipped in gradient.items():
            value = unclipped * F32(scale)
            self.first[name] += (1 - s.beta1) * (value - self.first[name])
            self.second[name] += (1 - s.beta2) * (value * value - self.second[name])
            change = self.first[name] / fall_1 / (np.sqrt(self.second[name] / fall_2) + 1e-8)
            w[name] = w[name] - F32(s.learning_rate) * (change + s.weight_decay * w[name])
