from __future__ import annotations

import subprocess
import sys


def test_a_reader_loads_nothing_heavy() -> None:
    # rich is not named: httpx loads it for a command line of its own, where it is installed.
    heavy = "numpy pandas polars pyarrow duckdb litestar uvicorn msgspec psutil websockets plexus.gateway plexus.cli"
    code = f"import sys, plexus.api\nprint([name for name in {heavy.split()!r} if name in sys.modules])\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
