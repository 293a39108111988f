"""Small records and a runner without learning, for the tests of sweeps."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
