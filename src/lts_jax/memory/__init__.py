"""Shared memory of one task: the bank, its index, text encoders, step summaries, and what a team reads."""
