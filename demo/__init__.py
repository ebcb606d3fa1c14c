"""truekvd shown on a real language model. Run it from the repository: python3 -m demo --help"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "clients" / "python"))  # the client that belongs to this demo

# One thread for the thousands of small matrix products. More gain little, and where something else
# wants the processors, too, their waiting for each other makes it ten times slower. NumPy reads
# this when it is loaded, so it stands before everything else.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
