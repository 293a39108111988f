"""Rollouts: clocks, one execution of a task, groups and collections of them, the bridge to arrays, storage, replay."""
