"""Credit assignment: one pure function per scheme, from one group of rollouts to a number per decision."""
