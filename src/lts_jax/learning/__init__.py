"""Learning: the loss, the state, one compiled update, checkpoints."""
