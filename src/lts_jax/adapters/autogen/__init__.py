"""Our bank, controller and usage log inside AutoGen's `MagenticOneGroupChat`. Needs the extra `autogen`."""

try:
    import autogen_agentchat  # noqa: F401
except ImportError:
    raise ImportError("lts_jax.adapters.autogen needs AutoGen 0.7: pip install 'lts-jax[autogen]'") from None
