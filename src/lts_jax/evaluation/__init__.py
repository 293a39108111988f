"""Evaluation: measures of rollouts, paired statistics, and the report that people read."""
