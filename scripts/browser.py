"""A Chromium for the browser tests: found, or installed through the machine's package manager."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys


def find() -> str | None:
    """Where a Chromium is."""
    return (
        os.environ.get("ISTHMUS_CHROMIUM")
        or shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )


if __name__ == "__main__":
    if find():
        sys.exit(0)
    if not shutil.which("apt-get"):
        sys.exit("browser: no Chromium found; install one or name it in ISTHMUS_CHROMIUM")
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    print("browser: installing Debian's chromium for the browser tests", flush=True)
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]):
        if subprocess.run([*prefix, *command], stdout=subprocess.DEVNULL, check=False).returncode:
            sys.exit(f"browser: {' '.join(prefix + command)} failed; install chromium or name one in ISTHMUS_CHROMIUM")
