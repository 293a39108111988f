"""What a controller can do with a memory, as numbers: the first two are those of LTS, the others edit and read it.

A decision takes one action, and some actions point at something: an entry of the bank, or a part of what a team has
before it. Which actions are legal, and which point at what, is the world's to say, decision by decision.
"""

ACTIONS = ("noop", "add", "update", "delete", "retrieve", "summarise", "filter", "answer")
"""Names by number. A network of A actions knows the first A."""

NOOP, ADD, UPDATE, DELETE, RETRIEVE, SUMMARISE, FILTER, ANSWER = range(len(ACTIONS))

REJECT, ADMIT = NOOP, ADD
"""Their names where a decision is whether a step enters the memory (LTS, arXiv 2602.05965)."""

NO_TARGET = -1
"""The target of a decision whose action points at nothing."""
