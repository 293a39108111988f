"""Learning to Share in JAX: a shared memory bank for parallel agent teams, and its admission controller."""

__version__ = "0.1.0"
