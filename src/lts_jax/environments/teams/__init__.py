"""The team process as a pure JAX environment: K teams on an event clock, a bank, and the latent truth beside it."""
