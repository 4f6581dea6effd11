"""`python -m isthmus.simulators.bottling --plc NAME --state-dir DIR`, or `--load K` for load servers.

One that speaks OPC UA wants its users on the first line of standard input: `{"name": "password"}`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from isthmus.simulators.bottling.hall import OPCUA, PLCS
from isthmus.values.clock import SystemClock


def main() -> None:
    """Run one controller, or several load servers, until standard input ends or SIGTERM."""
    parser = argparse.ArgumentParser(description="A controller of the bottling hall as a server of its own.")
    parser.add_argument("--plc", choices=PLCS)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--state-dir", type=Path, help="where the hall keeps its state")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--load", type=int, default=0, metavar="K", help="run K load servers instead")
    parser.add_argument("--ports", default="", help="their ports, separated by commas; free ones unless told")
    options = parser.parse_args()
    import uvloop

    if options.load:
        from isthmus.simulators.bottling import load

        ports = [int(port) for port in options.ports.split(",") if port] or [0] * options.load
        if len(ports) != options.load:
            parser.error("--ports must name as many ports as --load says")
        uvloop.run(load.serve(ports, options.seed))
        return
    if options.plc is None or options.state_dir is None:
        parser.error("--plc and --state-dir are needed, or --load")
    if options.plc in OPCUA:
        from isthmus.simulators.bottling import uaplc

        users = json.loads(sys.stdin.readline())
        home = options.state_dir / options.plc
        machine = uaplc.UaPlc(options.plc, options.state_dir, SystemClock(), options.port, options.seed, home, users)
        uvloop.run(uaplc.serve(machine))
        return
    from isthmus.simulators.bottling.plc import Plc, serve

    uvloop.run(serve(Plc(options.plc, options.state_dir, SystemClock(), options.port, options.seed)))


if __name__ == "__main__":
    main()
