"""Random scenarios are shared with the tests of the step."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "simulate"))
