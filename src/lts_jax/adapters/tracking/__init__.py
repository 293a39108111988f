"""A run's metrics in experiment trackers. RUN/metrics.jsonl stays the truth; trackers follow it, at once or later."""
