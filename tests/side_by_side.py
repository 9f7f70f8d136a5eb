"""Every test, in two runs side by side: most of a test's time is waiting for processes.

`python -m tests.side_by_side [ARGUMENTS OF PYTEST]`. The first run is on the terminal, the second one is printed when
it has ended. The exit code is that of the run that failed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from ops.rabbitmq_install import find_rabbitmq

ROOT = Path(__file__).resolve().parents[1]
ON_THE_TERMINAL = ("unit", "contract", "acceptance")
BESIDE = ("fault",)


def main(arguments: list[str]) -> int:
    """Run both; what both need is installed before."""
    rooms = {path.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").glob("**/test_*.py")}
    if left_out := rooms - {*ON_THE_TERMINAL, *BESIDE}:
        raise SystemExit(f"tests.side_by_side leaves out {', '.join(sorted(left_out))}: name it there")
    find_rabbitmq()
    with tempfile.TemporaryFile("w+") as told:
        beside = subprocess.Popen(_pytest(BESIDE, arguments), cwd=ROOT, stdout=told, stderr=subprocess.STDOUT)
        try:
            first = subprocess.run(_pytest(ON_THE_TERMINAL, arguments), cwd=ROOT, check=False).returncode
            second = beside.wait()
        finally:
            beside.terminate()
            beside.wait()
        told.seek(0)
        sys.stdout.write(f"\ntests/{', tests/'.join(BESIDE)}, run beside it:\n{told.read()}")
    return first or second


def _pytest(rooms: tuple[str, ...], arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "pytest", *(f"tests/{room}" for room in rooms), *arguments]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
