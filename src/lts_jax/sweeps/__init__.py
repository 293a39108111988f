"""Sweeps: one study over many settings and seeds: which points, in which folder, run by which side, how long still."""
