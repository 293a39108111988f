"""Live rollouts on many machines: what a driver does with workers that come, die and hang. Ray carries the messages."""
