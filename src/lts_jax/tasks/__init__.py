"""Where questions come from, and how answers to them are scored."""
