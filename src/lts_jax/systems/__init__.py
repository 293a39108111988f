"""Named systems: one wiring file each: which tasks, teams, bank, controller, credit and loss make it. No logic."""
