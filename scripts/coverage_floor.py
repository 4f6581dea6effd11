"""Reports coverage and fails below the floor of each room; floors only ever rise."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLOORS = {"values": 90, "ports": 90, "bus": 80, "namespace": 85, "acquisition": 85, "alarms": 90, "control": 93}
"""Percent of lines and branches; the aim for these rooms is 100."""


def main() -> None:
    """Print a line a room, then judge."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        subprocess.run([sys.executable, "-m", "coverage", "json", "-q", "-o", str(report)], cwd=ROOT, check=True)
        files = json.loads(report.read_text())["files"]
    rooms: dict[str, list[int]] = {}
    for name, data in files.items():
        parts = Path(name).parts
        room = parts[parts.index("isthmus") + 1].removesuffix(".py")
        total = rooms.setdefault(room, [0, 0])
        summary = data["summary"]
        total[0] += summary["covered_lines"] + summary.get("covered_branches", 0)
        total[1] += summary["num_statements"] + summary.get("num_branches", 0)
    out = io.StringIO()
    low = []
    for room, (covered, total) in sorted(rooms.items()):
        percent = 100.0 if not total else 100.0 * covered / total
        out.write(f"{room:<14} {percent:5.1f} %\n")
        if percent < FLOORS.get(room, 0):
            low.append(f"{room} has {percent:.1f} %, its floor is {FLOORS[room]} %")
    print(out.getvalue(), end="")
    if low:
        sys.exit("coverage: " + "; ".join(low))


if __name__ == "__main__":
    main()
