"""`make soak`: the long forms of tests and measurements; writes what it saw to docs/proof/.

`--only crash,latency` runs a part (`tests` are the tests marked soak), `--quick` the short forms.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
PROOF = ROOT / "docs" / "proof"
BENCHES = ("hotpath", "bus", "acquisition", "historian", "latency", "plant", "crash")


def machine() -> dict[str, Any]:
    """What it ran on; no names and no paths."""
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_at_start": round(os.getloadavg()[0], 1),
    }


def write(name: str, result: dict[str, Any]) -> None:
    """One file a measurement, then the page over all of them."""
    PROOF.mkdir(parents=True, exist_ok=True)
    (PROOF / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    lines = [
        "# Proof",
        "",
        "What the long runs saw (`make soak`); each JSON file has machine and date. A figure with a budget is held against it.",
        "",
    ]
    for file in sorted(PROOF.glob("*.json")):
        one = json.loads(file.read_text())
        about = one["machine"]
        lines += [
            f"## {file.stem}",
            "",
            f"{one['date']}, {about['cores']} cores, {about['memory_gib']} GiB, Python {about['python']}, "
            f"load {about['load_at_start']} at the start. {one.get('shortened', '')} {one.get('note', '')}".rstrip(),
            "",
            "| figure | measured | budget | |",
            "| --- | ---: | --- | --- |",
        ]
        for figure, value in one.get("figures", {}).items():
            bound = one.get("budget", {}).get(figure)
            verdict = "" if bound is None else "missed" if figure in one.get("missed", []) else "ok"
            lines.append(f"| {figure} | {value:,.3f} | {' '.join(map(str, bound)) if bound else ''} | {verdict} |")
        lines.append("")
    (PROOF / "README.md").write_text("\n".join(lines))


def bench(name: str, quick: bool) -> bool:
    """Run one measurement in a process of its own."""
    about = machine()
    command = [sys.executable, "-m", "isthmus", "bench", name, "--json", *(["--quick"] if quick else [])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"soak: {name} failed\n{done.stdout}{done.stderr}", flush=True)
        return False
    result = json.loads(done.stdout.strip().splitlines()[-1])
    write(name, {"date": datetime.now(UTC).date().isoformat(), "machine": about, **result})
    print(f"soak: {name} {'ok' if result['ok'] else 'missed ' + ', '.join(result['missed'])}", flush=True)
    return bool(result["ok"])


def tests() -> bool:
    """The tests in their long forms."""
    about, began = machine(), time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "-m", "soak", "-p", "no:cacheprovider", "--timeout", "7200"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = done.stdout.strip().rpartition("\n")[2]
    print(done.stdout[-4000:] if done.returncode else f"soak: tests {last}", flush=True)
    figures = {"exit_code": float(done.returncode), "minutes": (time.monotonic() - began) / 60}
    write("tests", {"date": datetime.now(UTC).date().isoformat(), "machine": about, "figures": figures, "note": last})
    return done.returncode == 0


def main() -> int:
    """Everything, or what was named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else ["tests", *BENCHES]
    good = [tests() if name == "tests" else bench(name, options.quick) for name in wanted]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
