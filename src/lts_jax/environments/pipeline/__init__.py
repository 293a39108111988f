"""A desk with three agents, one after another: who takes in, who keeps in order, who looks up."""
