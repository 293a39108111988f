"""Recorded runs of real agents: importers, and their replay as parallel teams."""
