import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # offline_steps.py lies beside the tests
