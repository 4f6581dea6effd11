"""Runs the tests as two processes side by side, one a core: quick ones here, those with processes of their own there.

Prints the second's output after the first's, and the plain sum at the end. Arguments go to both.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GROUPS = (
    ("tests/unit", "tests/property", "tests/golden", "tests/conformance", "tests/architecture"),
    ("tests/integration", "tests/chaos", "tests/e2e"),
)
_COUNT = re.compile(r"(\d+) (passed|failed|error|errors|skipped)\b")


def main() -> int:
    """Exit code 0 when both groups passed."""
    with tempfile.TemporaryDirectory() as folder:
        running = []
        for number, group in enumerate(GROUPS):
            paths = [p for p in group if any((ROOT / p).rglob("test_*.py"))]
            command = [
                sys.executable,
                "-m",
                "coverage",
                "run",
                "-m",
                "pytest",
                "-m",
                "not soak",
                "-q",
                "--durations=8",
                *sys.argv[1:],
                *paths,
            ]
            output = (Path(folder) / f"{number}.txt").open("w+")
            running.append((subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT), output))
        totals: dict[str, int] = {}
        worst = 0
        for process, output in running:
            worst = max(worst, abs(process.wait()))
            output.seek(0)
            text = output.read()
            output.close()
            print(text, end="", flush=True)
            for count, word in _COUNT.findall(text.strip().rpartition("\n")[2]):
                totals[word.rstrip("s") if word == "errors" else word] = totals.get(word, 0) + int(count)
    failed = totals.get("failed", 0) + totals.get("error", 0)
    print(f"{totals.get('passed', 0)} passed, {failed} failed", flush=True)
    return worst


if __name__ == "__main__":
    sys.exit(main())
