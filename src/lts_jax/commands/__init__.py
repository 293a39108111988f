"""The commands of `lts`, one module each: a frozen dataclass `Command` of settings, and `run`."""
