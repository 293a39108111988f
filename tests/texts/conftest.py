import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # pattern_attacks.py lies beside the tests
