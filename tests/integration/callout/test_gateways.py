"""Messages over a real mail server and a real HTTP server, which go down, refuse, and come back; and a core that is killed."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from isthmus.alarms.callout import store
from isthmus.alarms.callout.channels import Ways
from isthmus.alarms.callout.model import Channel, check_channel
from isthmus.alarms.callout.texts import Message
from isthmus.app.records import open_records
from isthmus.values.clock import NS_PER_S, ManualClock
from isthmus.values.errors import ConfigError, Rejected

pytestmark = [pytest.mark.mission("M14"), pytest.mark.real("apprise", "aiosmtpd")]

MAIL = Channel("mail", "email", "secret:mail")
HOOK = Channel("hook", "webhook", "secret:hook", personal=False)
TOLD = Message("lyon: Critical: Füller zu schnell", "Critical: Füller\nhttps://plant.example/x")


def ways_of(gateway, **more: str) -> Ways:
    secrets = {
        "secret:mail": f"mailto://127.0.0.1:{gateway.smtp}?from=isthmus@plant.example&to={{address}}",
        "secret:hook": f"json://:hunter2@127.0.0.1:{gateway.http}/alarms",
        **{f"secret:{name}": url for name, url in more.items()},
    }

    def reveal(reference: str) -> str:
        if reference not in secrets:
            raise ConfigError(f"{reference}: not set here")
        return secrets[reference]

    return Ways(reveal)


def test_mail_and_webhook_arrive_whole(gateway) -> None:
    ways = ways_of(gateway)
    ways.send(MAIL, "ana@plant.example", TOLD)
    ways.send(HOOK, "", TOLD)
    (mail,) = gateway.took("mails")
    assert mail["to"] == ["ana@plant.example"]
    assert mail["subject"] == TOLD.title
    assert mail["body"].strip().splitlines() == TOLD.body.splitlines()
    (request,) = gateway.took("requests")
    assert request["path"] == "/alarms"
    assert (request["body"]["title"], request["body"]["message"]) == (TOLD.title, TOLD.body)


def test_a_server_that_is_down_or_refuses_says_why_and_no_secret(gateway, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    ways = ways_of(gateway)
    gateway.refuse(yes=True)
    with pytest.raises(Rejected) as mail:
        ways.send(MAIL, "ana@plant.example", TOLD)
    with pytest.raises(Rejected) as hook:
        ways.send(HOOK, "", TOLD)
    assert "no such mailbox" in str(mail.value)
    assert "500" in str(hook.value)
    gateway.stop()
    with pytest.raises(Rejected) as gone:
        ways.send(MAIL, "ana@plant.example", TOLD)
    with pytest.raises(Rejected) as closed:
        ways.send(HOOK, "", TOLD)
    assert "127.0.0.1" in str(gone.value)
    everything = "\n".join([caplog.text, *(str(e.value) for e in (mail, hook, gone, closed))])
    for hidden in ("hunter2", "ana@plant.example", "mailto://", "json://"):
        assert hidden not in everything
    gateway.refuse(yes=False)
    gateway.start()
    ways.send(MAIL, "ana@plant.example", TOLD)
    assert len(gateway.took("mails")) == 1


@pytest.mark.parametrize(
    ("url", "channel", "problem"),
    [
        ("mailtos://u:pass1234@mail.example?to=x@y.example", MAIL, "has no {address}"),
        ("json://127.0.0.1/{address}", HOOK, "not the same place for everybody"),
        ("pigeon://loft/{address}", MAIL, "no address that apprise knows"),
        ("json://hook.example/{address}", MAIL, "plain text; use jsons://"),
        (
            "mailto://u:pass1234@10.0.0.9?from=i@plant.example&to={address}&mode=insecure",
            MAIL,
            "password in plain text",
        ),
    ],
)
def test_an_address_that_cannot_be_is_refused_and_not_repeated(
    gateway, url: str, channel: Channel, problem: str
) -> None:
    ways = ways_of(gateway, mail=url, hook=url)
    with pytest.raises(ConfigError, match=problem) as refused:
        ways.check(channel)
    assert "pass1234" not in str(refused.value)


def test_a_file_takes_messages_whole_and_only_where_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "calls of today.jsonl"
    channel = Channel("book", "file", "secret:book", personal=False)

    def ways(url: str) -> Ways:
        return Ways(lambda _: url, ManualClock(1_700_000_000 * NS_PER_S))

    good = ways(place.as_uri())
    good.check(channel)
    for _ in range(2):
        good.send(channel, "", TOLD)
    lines = [json.loads(line) for line in place.read_text().splitlines()]
    assert [line["text"] for line in lines] == [TOLD.body] * 2
    assert place.stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr("isthmus.alarms.callout.logbook.MOST_BYTES", place.stat().st_size + 10)
    good.send(channel, "", TOLD)
    assert len(place.read_text().splitlines()) == 1
    assert len(place.with_name(f"{place.name}.1").read_text().splitlines()) == 2
    for url in ("file://elsewhere/x", "file:///", "mailto://x", str(place)):
        with pytest.raises(ConfigError, match="file:///absolute/path"):
            ways(url).check(channel)
    with pytest.raises(Rejected, match="the file takes nothing"):
        ways((tmp_path / "none" / "x").as_uri()).send(channel, "", TOLD)
    with pytest.raises(ConfigError, match="the same place for everybody"):
        check_channel(replace(channel, personal=True))


def test_addresses_that_can_be_are_taken(gateway) -> None:
    good = {
        "mailtos://u:pass1234@mail.example?from=i@plant.example&to={address}": "email",
        "mailto://10.0.0.9?from=i@plant.example&to={address}&mode=insecure": "email",
        f"twilio://AC{'1' * 32}:{'2' * 32}@15551231234/{{address}}": "sms",
        "jsons://hook.example/{address}": "webhook",
    }
    for url, kind in good.items():
        ways_of(gateway, mail=url).check(Channel("mail", kind, "secret:mail"))
    assert ways_of(gateway).missing(Channel("x", "chat", "secret:x")) == "secret:x: not set here"


def start(records: Path, gateway) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("core_process.py"), records, str(gateway.smtp), str(gateway.http)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("ready")
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


def hear(process: subprocess.Popen[str], number: int) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{number}\n")
    process.stdin.flush()
    assert process.stdout.readline() == f"heard {number}\n"


def until(holds, what: str) -> None:
    for _ in range(600):
        if holds():
            return
        time.sleep(0.05)
    pytest.fail(what)


def test_killed_again_and_again_with_servers_that_come_and_go_everything_arrives(gateway, tmp_path: Path) -> None:
    """Alarms are heard by cores that are killed right after; the servers are down for the first half. Each decision is made once,
    and each message arrives, once or, where the kill came between sending and writing it down, once more.
    """
    records = tmp_path / "records.db"
    gateway.stop()
    for number in range(1, 5):
        if number == 3:
            gateway.start()
        process = start(records, gateway)
        hear(process, number)
        end(process)
    process = start(records, gateway)
    hear(process, 5)
    engine = open_records(records)

    def arrived() -> bool:
        with engine.begin() as db:
            # what failed before waits its time; the test does not
            db.execute(store.DELIVERY.update().where(store.DELIVERY.c.state == store.QUEUED).values(next_ns=1))
            waiting = db.execute(select(store.DELIVERY.c.id).where(store.DELIVERY.c.state == store.QUEUED)).all()
        mails = "".join(mail["body"] for mail in gateway.took("mails"))
        requests = "".join(one["body"]["message"] for one in gateway.took("requests"))
        return not waiting and all(f"Pump {n} too hot" in told for n in range(1, 6) for told in (mails, requests))

    until(arrived, "everything arrives")
    end(process)
    with engine.begin() as db:
        decided = Counter((r.call, r.step, r.nth, r.person, r.channel) for r in db.execute(store.DELIVERY.select()))
        members = Counter(r.occurrence for r in db.execute(store.MEMBER.select()))
        calls = len(db.execute(store.CALL.select()).all())
    engine.dispose()
    assert len(decided) == 2 * calls
    assert members == Counter(range(1, 6))
    assert max(decided.values()) == 1
