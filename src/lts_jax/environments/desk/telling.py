"""One rollout on the desk in words: what came, what the policy did with it, and what it answered."""

from collections.abc import Iterator
from functools import partial

import jax
import numpy as np
from jax import Array

from lts_jax.actions import ACTIONS, ADD, ANSWER, DELETE, FILTER, RETRIEVE, SUMMARISE, UPDATE
from lts_jax.environments.contract import Controller, Environment
from lts_jax.environments.desk.coding import NOTHING, Items
from lts_jax.environments.desk.settings import NUM_ATTRIBUTES, NUM_RELATIONS
from lts_jax.environments.desk.state import State
from lts_jax.environments.desk.task import Stream


def tell_rollout(environment: Environment, prng_key: Array, controller: Controller) -> list[str]:
    """Lines of a rollout of a fresh task, which only the key decides; the same for two policies up to what they do.

    Args:
        environment: the desk.
        prng_key: of the task and of the rollout.
        controller: its policy, parameters and way of acting.
    """
    task_key, own_key = jax.random.split(prng_key)
    shape = environment.shape
    task = environment.draw_task(shape, environment.params, task_key)
    scene, state = environment.begin(shape, environment.params, task, own_key, None)
    step = jax.jit(partial(environment.step, scene))
    lines, block = _said(task, 0, shape.block_size), 0
    lines.insert(0, "stage 1: facts are told")
    for number in range(shape.max_steps):
        if not bool(environment.is_running(scene, state)):
            break
        before = state
        state, event = step(state, controller, np.int32(number))
        lines += _done(before, state, int(event.action), int(event.target), shape.num_entries)
        if int(state.block) != block:
            block = int(state.block)
            lines += _next_block(task, block, shape)
    right = float(state.score)
    lines.append(f"answered: {right:.0%} right" if bool(state.has_answered) else "no answer")
    return lines


def _next_block(task: Stream, block: int, shape: object) -> list[str]:
    num_stored, size, num_blocks = (getattr(shape, name) for name in ("num_stored", "block_size", "num_blocks"))
    if block == num_blocks:
        asked = [_attribute(int(one)) for one in np.asarray(task.asked_2) if one != NOTHING]
        right = [int(one) for one in np.asarray(task.answer_2) if one != NOTHING]
        return [f"stage 3: asked for {' and '.join(asked)} (right: {' and '.join(map(str, right))})"]
    start = ["stage 2: the context is cleared; distractions"] if block * size == num_stored else []
    return start + _said(task, block * size, size)


def _said(task: Stream, first: int, size: int) -> list[str]:
    kinds = ("states", "repeats", "corrects", "small talk", "a stranger:")
    lines = []
    for place in range(first, first + size):
        kind, attribute, value = (int(getattr(task, name)[place]) for name in ("kind_e", "attribute_e", "value_e"))
        told = kinds[kind] if attribute == NOTHING else f"{kinds[kind]} {_attribute(attribute)} = {value}"
        lines.append(f"  {place:2d}  {told}")
    return lines


def _done(before: State, after: State, action: int, target: int, num_entries: int) -> list[str]:
    what = ""
    if action in (ADD, FILTER):
        what = _items(before.slots, target - num_entries)
    elif action in (UPDATE, DELETE):
        what = f"entry {target}, {_items(before.drawer, target)}"
    elif action in (RETRIEVE, SUMMARISE):
        what = "; ".join(_items(after.slots, place) for place in range(int(after.num_slots)))
        what = f"the context is now: {what}"
    elif action == ANSWER:
        what = "from the context"
    if action in (ADD, UPDATE) and int(after.num_entries) > int(before.num_entries):
        entry = int(before.num_entries)
        what += f" -> entry {entry}" + (f", {_items(after.drawer, entry)}" if action == UPDATE else "")
    elif action == ADD:
        what += " (the drawer is full: refused)"
    return [] if not action else [f"        {ACTIONS[action]} {what}"]


def _items(items: Items, place: int) -> str:
    facts: Iterator[tuple[int, int]] = zip(
        np.asarray(items.attribute[place]).tolist(), np.asarray(items.value[place]).tolist(), strict=True
    )
    told = [f"{_attribute(attribute)} = {value}" for attribute, value in facts if attribute != NOTHING]
    return ", ".join(told) or "small talk"


def _attribute(number: int) -> str:
    own = number % NUM_ATTRIBUTES
    whose = "stranger's " if number >= NUM_ATTRIBUTES else ""
    return f"{whose}{'ABCDEFGH'[own // NUM_RELATIONS]}.{'pqrs'[own % NUM_RELATIONS]}"
