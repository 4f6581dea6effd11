"""A mosquitto for the tests of the MQTT drivers: found, or installed through the machine's package manager."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

PLACES = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"


def find() -> str | None:
    """Where mosquitto is; packages put it where daemons live."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=PLACES)


if __name__ == "__main__":
    if find():
        sys.exit(0)
    if not shutil.which("apt-get"):
        sys.exit("broker: no mosquitto found; install it")
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    print("broker: installing Debian's mosquitto for the tests of the MQTT drivers", flush=True)
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "mosquitto"]):
        if subprocess.run([*prefix, *command], stdout=subprocess.DEVNULL, check=False).returncode:
            sys.exit(f"broker: {' '.join(prefix + command)} failed; install mosquitto")
