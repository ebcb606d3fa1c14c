"""truekvd shown on a real language model. Run it from the repository: python3 -m demo --help"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "clients" / "python"))  # the client that belongs to this demo
