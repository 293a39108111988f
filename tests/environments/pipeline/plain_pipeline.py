"""The pipeline in plain Python, slow and simple: lists of facts. Only vectors and closeness are those of the arrays."""

import jax
import jax.numpy as jnp
import numpy as np

from lts_jax.environments.desk.coding import NOTHING, encode
from lts_jax.environments.desk.context import nearest

NOOP, ADD, UPDATE, DELETE, RETRIEVE = range(5)
EXTRACTION, PROFILE, RETRIEVAL = range(3)
NUM_ATTRIBUTES = 32  # of the user's; a stranger's come after

vector_of = jax.jit(encode)  # one program, not one for each of its operations


def turns(shape) -> list[int]:
    """Who acts, action by action."""
    order, heard = [], 0
    while heard < shape.num_stored + shape.num_distractors:
        order.append(EXTRACTION)
        heard += 1
        if heard % shape.upkeep_every == 0:
            order.extend([PROFILE] * shape.upkeep_rounds)
    return order + [RETRIEVAL] * shape.num_retrieved


class PlainPipeline:
    """One rollout. An item is (vector, fact or None), a fact (attribute, value, time)."""

    def __init__(self, shape, params, stream) -> None:
        self.shape, self.params, self.stream = shape, params, stream
        self.turns = turns(shape)
        self.slots, self.log, self.died, self.pointed = [], [], [], []
        self.heard = self.done = 0
        self.taken = []  # (agent, action, target) of every action
        self.tally = dict.fromkeys(("additions", "refused", "updates", "deletions"), 0)

    def hear(self) -> None:
        """The next event; of more than C the oldest is forgotten."""
        attribute, value = int(self.stream.attribute_e[self.heard]), int(self.stream.value_e[self.heard])
        fact = None if attribute == NOTHING else (attribute, value, self.heard)
        blank = (NOTHING,) * 3
        rows = jnp.array([fact or blank, blank, blank])
        vector = np.asarray(vector_of(self.params, *rows.T, self.stream.noise_ed[self.heard]))
        self.slots = [*self.slots, (vector, fact)][-self.shape.num_slots :]
        self.heard += 1

    def entries(self) -> list[int]:
        return [place for place, died in enumerate(self.died) if died is None]

    def left(self) -> list[int]:
        return [place for place in self.entries() if place not in self.pointed]

    def options(self, agent: int) -> dict[int, list[int]]:
        """What the agent may do, and what each of these may point at."""
        has_number = len(self.log) < self.shape.num_entries and self.params.has_memory > 0
        if agent == EXTRACTION:
            newest = self.shape.num_entries + len(self.slots) - 1
            return {NOOP: []} | ({ADD: [newest]} if has_number else {})
        if agent == PROFILE:
            edits = {UPDATE: self.entries()} if has_number else {}
            return {NOOP: []} | (edits | {DELETE: self.entries()} if self.entries() else {})
        return {RETRIEVE: self.left()} if self.left() else {NOOP: []}

    def act(self, action: int, target: int) -> None:
        """The next action: what is not allowed becomes nothing, or the only thing left; a wrong target the first."""
        agent = self.turns[self.done]
        if agent == EXTRACTION:
            self.hear()
        if agent == RETRIEVAL and RETRIEVAL not in self.turns[: self.done]:
            self.slots = []
        options = self.options(agent)
        action = action if action in options else min(options)
        targets = options[action]
        target = target if target in targets else (targets[0] if targets else -1)
        self.taken.append((agent, action, target))
        if action == ADD:
            self.add()
        elif action == UPDATE:
            self.update(target)
        elif action == DELETE:
            self.died[target] = self.done + 1
            self.tally["deletions"] += 1
        elif action == RETRIEVE:
            self.pointed.append(target)
            self.slots.append(self.log[target])
        self.done += 1

    def add(self) -> None:
        if len(self.entries()) >= self.params.drawer_slots:
            self.tally["refused"] += 1
            return
        self.log.append(self.slots[-1])
        self.died.append(None)
        self.tally["additions"] += 1

    def update(self, target: int) -> None:
        vectors = jnp.asarray(np.stack([vector for vector, _ in self.slots]))
        old = self.log[target][0]
        others = [bool((vector != old).any()) for vector, _ in self.slots]
        others = others if any(others) else [True] * len(self.slots)
        closeness = nearest(vectors, jnp.asarray(others), jnp.asarray(old))
        self.died[target] = self.done + 1
        self.log.append(self.slots[int(np.argmax(closeness))])
        self.died.append(None)
        self.tally["updates"] += 1

    def asked(self) -> list[int]:
        return [int(attribute) for attribute in self.stream.asked_2 if attribute != NOTHING]

    def newest(self) -> dict[int, int]:
        """The user's facts, in their newest form."""
        said = zip(self.stream.attribute_e, self.stream.value_e, strict=True)
        return {int(attribute): int(value) for attribute, value in said if 0 <= attribute < NUM_ATTRIBUTES}

    def scores(self) -> list[float]:
        """The score of the answer, for every number of guesses that can be right."""
        said = {}
        for _, fact in sorted((item for item in self.slots if item[1]), key=lambda item: item[1][2]):
            said[fact[0]] = fact[1]
        wanted = {int(a): int(v) for a, v in zip(self.stream.asked_2, self.stream.answer_2, strict=True) if a >= 0}
        right = sum(said.get(attribute) == value for attribute, value in wanted.items() if attribute in said)
        guesses = sum(attribute not in said for attribute in wanted)
        return [(right + lucky) / len(wanted) for lucky in range(guesses + 1)]

    def rewards(self) -> list[float]:
        """Coverage, soundness, precision."""
        newest, asked = self.newest(), self.asked()

        def current(place: int) -> int | None:
            """The attribute of an entry that says it in its newest form."""
            fact = self.log[place][1]
            return fact[0] if fact and newest.get(fact[0]) == fact[1] else None

        held = {current(place) for place in self.entries()} - {None}
        coverage = sum(attribute in held for attribute in asked) / len(asked)
        soundness = len(held) / len(self.entries()) if self.entries() else 0.0
        good = sum(current(place) in asked for place in self.pointed)
        return [coverage, soundness, good / len(self.pointed) if self.pointed else 0.0]
