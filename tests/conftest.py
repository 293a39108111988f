"""For all tests: property tests draw the same examples every time, and no test is timed."""

from hypothesis import settings

settings.register_profile("project", deadline=None, derandomize=True, database=None)
settings.load_profile("project")
