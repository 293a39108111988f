"""The desk in plain Python, slow and simple: lists of facts. Only vectors and closeness are those of the arrays."""

import jax.numpy as jnp
import numpy as np

from lts_jax.environments.desk.coding import NOTHING, encode, encode_question
from lts_jax.environments.desk.context import nearest

NOOP, ADD, UPDATE, DELETE, RETRIEVE, SUMMARISE, FILTER, ANSWER = range(8)


class PlainDesk:
    """One rollout. An item is (vector, facts), a fact (attribute, value, time)."""

    def __init__(self, shape, params, stream) -> None:
        self.shape, self.params, self.stream = shape, params, stream
        self.slots, self.log, self.alive = [], [], []
        self.block = self.round = self.done = 0
        self.answer = None  # facts in the context when it is given, or None
        self.is_over = False
        self.tally = dict.fromkeys(
            ("additions", "refused", "updates", "deletions", "retrievals", "retrieved", "summaries", "filters"), 0
        ) | {"overflows": 0}
        self.come()

    def come(self) -> None:
        """The events of the block."""
        for place in range(self.shape.block_size):
            number = self.block * self.shape.block_size + place
            attribute, value = int(self.stream.attribute_e[number]), int(self.stream.value_e[number])
            facts = [] if attribute == NOTHING else [(attribute, value, number)]
            self.push((self.vector(facts, self.stream.noise_ed[number]), facts))

    def vector(self, facts, noise) -> np.ndarray:
        rows = [*facts, *[(NOTHING,) * 3] * (3 - len(facts))]
        attribute, value, time = (jnp.array([row[place] for row in rows]) for place in range(3))
        return np.asarray(encode(self.params, attribute, value, time, noise))

    def push(self, item) -> None:
        if len(self.slots) == self.shape.num_slots:
            self.slots.pop(0)
            self.tally["overflows"] += 1
        self.slots.append(item)

    def legal(self) -> list[bool]:
        number, entry = len(self.log) < self.shape.num_entries, any(self.alive)
        slot = bool(self.slots)
        return [
            True, slot and number, slot and entry and number, entry, entry, len(self.slots) > 1, slot,
            self.block == self.shape.num_blocks,
        ]  # fmt: skip

    def targets(self, action: int) -> list[int]:
        if action in (UPDATE, DELETE):
            return [place for place, alive in enumerate(self.alive) if alive]
        if action in (ADD, FILTER):
            return [self.shape.num_entries + place for place in range(len(self.slots))]
        return []

    def closest(self, items, alive, wanted) -> np.ndarray:
        vectors = np.stack([item[0] for item in items])
        return np.asarray(nearest(jnp.asarray(vectors), jnp.asarray(alive), jnp.asarray(wanted)))

    def newest(self) -> dict:
        """The newest fact of every attribute in the context; of equal ones the last."""
        found = {}
        for _, facts in self.slots:
            for attribute, value, time in facts:
                if attribute not in found or time >= found[attribute][2]:
                    found[attribute] = (attribute, value, time)
        return found

    def act(self, action: int, target: int) -> None:
        """One action; an illegal one does nothing, an illegal target is the first legal one."""
        if self.is_over:
            return
        action = action if self.legal()[action] else NOOP
        targets = self.targets(action)
        target = target if target in targets else (targets[0] if targets else -1)
        slot = target - self.shape.num_entries
        if action == ADD:
            if sum(self.alive) < self.params.drawer_slots:
                self.log.append(self.slots[slot])
                self.alive.append(True)
                self.tally["additions"] += 1
            else:
                self.tally["refused"] += 1
        elif action == UPDATE:
            others = [bool((item[0] != self.log[target][0]).any()) for item in self.slots]
            others = others if any(others) else [True] * len(self.slots)
            closeness = self.closest(self.slots, others, self.log[target][0])
            self.alive[target] = False
            self.log.append(self.slots[int(np.argmax(closeness))])
            self.alive.append(True)
            self.tally["updates"] += 1
        elif action == DELETE:
            self.alive[target] = False
            self.tally["deletions"] += 1
        elif action == RETRIEVE:
            self.retrieve()
        elif action == SUMMARISE:
            facts = sorted(self.newest().values(), key=lambda fact: -fact[2])[:3]
            self.slots = [(self.vector(facts, np.zeros(self.shape.embedding_width, np.float32)), facts)]
            self.tally["summaries"] += 1
        elif action == FILTER:
            self.slots.pop(slot)
            self.tally["filters"] += 1
        elif action == ANSWER:
            self.answer, self.is_over = self.newest(), True
        self.go_on(action)

    def retrieve(self) -> None:
        is_asked = self.block == self.shape.num_blocks
        wanted = encode_question(self.stream.asked_2) if is_asked else self.slots[-1][0] if self.slots else None
        wanted = np.zeros(self.shape.embedding_width) if wanted is None else wanted
        closeness = self.closest(self.log, self.alive, wanted)
        order = [place for place in np.argsort(-closeness, kind="stable") if self.alive[place]]
        for place in reversed(order[: self.shape.retrieve_top]):
            self.push(self.log[place])
            self.tally["retrieved"] += 1
        self.tally["retrievals"] += 1

    def go_on(self, action: int) -> None:
        self.done += 1
        self.round += 1
        is_asked = self.block == self.shape.num_blocks
        if self.is_over:
            return
        if is_asked:
            self.is_over = self.round == self.shape.rounds
        elif action == NOOP or self.round == self.shape.rounds:
            self.block, self.round = self.block + 1, 0
            if self.block == self.shape.num_stored // self.shape.block_size:
                self.slots = []
            if self.block < self.shape.num_blocks:
                self.come()
