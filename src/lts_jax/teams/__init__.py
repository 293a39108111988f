"""K Magentic-One teams under asyncio. No bank, policy or world is known here: they arrive as arguments."""
