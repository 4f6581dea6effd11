"""A call-out in a process of its own that is there to be killed: ``core_process.py RECORDS SMTP_PORT HTTP_PORT``.

Hears one alarm a line of its input (an occurrence), and prints what it has stored.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import date
from pathlib import Path
from random import Random

from isthmus.alarms.callout.channels import Ways
from isthmus.alarms.callout.model import Channel, Contact, Rule, Step
from isthmus.alarms.callout.rota import Rota
from isthmus.alarms.callout.service import CallOut, CallOutConfig, Person, Place
from isthmus.alarms.callout.store import metadata
from isthmus.app.records import open_records
from isthmus.values.clock import SystemClock
from isthmus.values.messages.alarms import AlarmChange, State

RECORDS, SMTP, HTTP = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
SECRETS = {
    "secret:mail": f"mailto://127.0.0.1:{SMTP}?from=isthmus@plant.example&to={{address}}",
    "secret:hook": f"json://127.0.0.1:{HTTP}/alarms",
}


async def main() -> None:
    engine = open_records(RECORDS)
    metadata.create_all(engine)
    callout = CallOut(
        engine, SystemClock(), Random(), place=lambda: Place("lyon", "Europe/Paris"), people=lambda: [Person("ana")],
        ways=Ways(SECRETS.__getitem__), key=lambda: b"k" * 32, key_of=str.casefold,
        config=CallOutConfig("https://plant.example"),
    )  # fmt: skip
    if await callout.after() == 0:
        await callout.keep(Channel("mail", "email", "secret:mail"), "x", "", None)
        await callout.keep(Channel("hook", "webhook", "secret:hook", personal=False), "x", "", None)
        await callout.keep_contact(Contact("ana", "en", {"mail": "ana@plant.example"}))
        await callout.keep(Rota("d", ("ana",), date(2026, 1, 5)), "x", "", None)
        await callout.keep(
            Rule("r", ("high",), (Step("rota:d", ("mail", "hook")),), group_s=0, then_s=0), "x", "", None
        )
    running = asyncio.create_task(callout.run())
    print("ready", await callout.after(), flush=True)  # noqa: T201  how the test learns it
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        number = int(line)
        change = AlarmChange(
            number, number, f"hall/p{number}#high", f"hall/p{number}", "hall", "", "high", f"Pump {number} too hot",
            State.NORMAL, State.UNACKNOWLEDGED, SystemClock().now_ns(),
        )  # fmt: skip
        await callout.heard([change])
        print("heard", number, flush=True)  # noqa: T201  how the test learns it
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


asyncio.run(main())
