"""Questions and answers of nine kinds in three domains, written by seeded grammars of ours.

Names and subjects are shared by all kinds, so that words in common mislead: what helps a new question is a pair of the
same kind, and a kind shows only in how it is asked for, in one of several wordings.
"""

from lts_jax.tasks.exemplars.drawing import DOMAINS, KINDS, Exemplar, ExemplarSet, draw_exemplars

__all__ = ["DOMAINS", "KINDS", "Exemplar", "ExemplarSet", "draw_exemplars"]
