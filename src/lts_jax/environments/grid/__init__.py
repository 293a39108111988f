"""A grid in arrays with POGEMA's rules: agents on cells, each with a goal, who see a few cells around themselves."""
