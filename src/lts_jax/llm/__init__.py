"""Chat models: one protocol, an OpenAI-compatible client, a simulated model, record and replay, budgets."""
