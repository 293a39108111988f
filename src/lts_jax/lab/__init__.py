"""Training, trials and sweeps inside one compiled program."""
