"""The audit log as files: written, cut by crashes, retired by age, and every change of them found."""

from __future__ import annotations

import concurrent.futures
import errno
import os
import random
from pathlib import Path

import orjson
import pytest

from isthmus.security.audit import log as log_module
from isthmus.security.audit.files import SLOT, AuditFiles
from isthmus.security.audit.log import AuditLog, LogConfig
from isthmus.security.audit.record import BEGIN, MOST_DETAIL, canonical, clean, digest, parse, time_text
from isthmus.security.audit.search import Question, Tail, search
from isthmus.security.audit.service import verify_folder
from isthmus.security.audit.verify import Known, Report, verify
from isthmus.values.clock import NS_PER_S, ManualClock
from isthmus.values.errors import ConfigError

pytestmark = pytest.mark.mission("M78")
WHO = {"id": "p-0123456789ab", "proof": "session", "role": "engineer", "source": "192.0.2.1", "station": ""}


@pytest.fixture
def files(tmp_path: Path) -> AuditFiles:
    return AuditFiles(tmp_path / "audit")


def put(log: AuditLog, action: str = "POST plant/apply", kind: str = "intent") -> str:
    waiter: concurrent.futures.Future[str] = concurrent.futures.Future()
    log.submit({"kind": kind, "id": "x", "who": WHO, "action": action, "target": "plant", "new": {"n": 1}}, waiter)
    return waiter.result(10)


def fill(files: AuditFiles, count: int = 12, clock: ManualClock | None = None, **config) -> None:
    log = AuditLog(files, clock or ManualClock(), LogConfig(**{"checkpoint_records": 5, **config}))
    log.open()
    for number in range(count):
        assert put(log, f"POST thing/{number}") == ""
    log.close()


def look(files: AuditFiles, known: Known | None = None) -> Report:
    checkpoints = files.checkpoints.read_bytes() if files.checkpoints.exists() else None
    head = files.head.read_bytes() if files.head.exists() else None
    return verify(files.contents(), checkpoints, head, files.read_public(), known)


def lines(files: AuditFiles) -> list[bytes]:
    return [line for _, data in files.contents() for line in data.splitlines()]


def test_a_log_is_whole_private_and_goes_on_after_each_start(files: AuditFiles) -> None:
    for start in (1, 2, 3):
        fill(files)
        report = look(files)
        assert report.problem is None
        assert report.records == report.last == len(lines(files))
        assert report.last_signed == report.last  # closed by a checkpoint
        assert report.checkpoints >= 3 * start
    first = orjson.loads(lines(files)[0])
    assert (first["seq"], first["prev"]) == (1, BEGIN)
    assert {oct(p.stat().st_mode & 0o777) for p in files.folder.iterdir()} == {"0o600"}


def test_a_record_is_one_canonical_line_whatever_is_in_it() -> None:
    for value in ("a\nb", "\ud800", float("nan"), 2**70, {1: object()}, "x" * 100_000, b"\xff", {"ä": [None, True]}):
        line = canonical({"seq": 1, "new": clean(value)})
        assert b"\n" not in line
        assert parse(line) is not None
        assert len(line) <= MOST_DETAIL + 100
    assert parse(b'{"seq":1, "a":2}') is None  # another spelling
    assert parse(b'{"a":1,"a":1,"seq":1}') is None
    assert parse(b"[]") is None
    assert time_text(1_700_000_000 * NS_PER_S + 1500) == "2023-11-14T22:13:20.000001Z"


def edit(files: AuditFiles, change) -> Report:
    """The report after one line list was changed."""
    (_, path), *_ = files.segments()
    rows = path.read_bytes().split(b"\n")[:-1]
    change(rows)
    path.write_bytes(b"".join(row + b"\n" for row in rows))
    return look(files)


def test_the_first_bad_record_is_named_with_what_is_wrong(files: AuditFiles, tmp_path: Path) -> None:
    fill(files)
    (_, path), *_ = files.segments()
    good = path.read_bytes()

    def after(change) -> str:
        path.write_bytes(good)
        return str(edit(files, change).problem)

    def swap(rows):
        rows[3], rows[4] = rows[4], rows[3]

    def other_text(rows):
        rows[3] = rows[3].replace(b"plant", b"plamt")

    def rewritten(rows):  # the whole rest of the chain is computed anew, but the key is not known
        record = orjson.loads(rows[2])
        record["action"] = "innocent"
        rows[2] = canonical(record)
        for i in range(3, len(rows)):
            rows[i] = canonical({**orjson.loads(rows[i]), "prev": digest(rows[i - 1])})

    name = path.name
    assert after(other_text) == f"{name}: record 4: was edited: record 5 was written after another text of it"
    assert "record 4: missing: record 4 were deleted" in after(lambda rows: rows.pop(3))
    assert "record 4: missing" in after(swap)
    assert "record 4: doubled or out of order: it stands after record 4" in after(lambda rows: rows.insert(4, rows[3]))
    assert "record 4: line 4 is no audit record" in after(lambda rows: rows.insert(3, b"{}"))
    assert "signature of this checkpoint does not hold" in after(rewritten)
    assert "the list of checkpoints knows record" in after(lambda rows: rows.__delitem__(slice(-3, None)))
    path.write_bytes(good)
    assert look(files).problem is None


def test_an_appended_record_that_follows_well_is_still_under_no_signature(files: AuditFiles) -> None:
    fill(files)

    def forge(rows):
        last = orjson.loads(rows[-2])
        rows.append(canonical({**last, "seq": len(rows) + 1, "prev": digest(rows[-1])}))

    assert "is not under a signature" in str(edit(files, forge).problem)


def test_a_tail_cut_with_head_and_list_set_back_is_found_by_what_others_know(files: AuditFiles, tmp_path: Path) -> None:
    fill(files, 8)
    old = {p: p.read_bytes() for p in files.folder.iterdir()}
    fill(files, 8)
    known_elsewhere = lines(files)
    for path, content in old.items():  # somebody who copied all files brings them back
        path.write_bytes(content)
    assert look(files).problem is None  # the files alone cannot tell
    known = Known()
    known.against(known_elsewhere, "the receiver")
    assert "the receiver knows record" in str(look(files, known).problem)
    marked = Known()
    marked.add(len(known_elsewhere), digest(known_elsewhere[-1]), "the records database")
    assert "the records database knows record" in str(look(files, marked).problem)


def mutate(content: bytes, chance: random.Random) -> bytes:
    """One change of a file: a bit, lines deleted, inserted, swapped, doubled, cut off."""
    rows = content.split(b"\n")[:-1]
    at, other = chance.randrange(len(rows)), chance.randrange(len(rows))
    match chance.randrange(8):
        case 0:
            place = chance.randrange(len(content))
            return content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :]
        case 1:
            del rows[at]
        case 2:
            rows.insert(at, rows[other])
        case 3:
            rows[at], rows[other] = rows[other], rows[at]
        case 4:
            return content[: chance.randrange(len(content))]
        case 5:
            rows.insert(at, rows[at])
        case 6:
            place = chance.randrange(len(content) + 1)
            return content[:place] + chance.randbytes(chance.randrange(1, 9)) + content[place:]
        case 7:
            place = chance.randrange(len(content))
            return content[:place] + content[place + chance.randrange(1, 200) :]
    return b"".join(row + b"\n" for row in rows)


def mutations(files: AuditFiles, count: int, seed: int) -> int:
    """How many of so many changes were made; every one must be found."""
    fill(files, 20, segment_bytes=2500)
    parts = {p.name: p.read_bytes() for p in sorted(files.folder.iterdir()) if p.name not in ("key.pem", "public.pem")}
    public, chance, made = files.read_public(), random.Random(seed), 0
    names = list(parts)
    assert len(names) >= 5
    assert len(parts["head"]) == 2 * SLOT

    def report(now: dict[str, bytes]) -> Report:
        segments = [(n, c) for n, c in sorted(now.items()) if n.startswith("segment-")]
        return verify(segments, now.get("checkpoints.jsonl"), now.get("head"), public)

    assert report(parts).problem is None
    while made < count:
        name = chance.choice(names)
        changed = mutate(parts[name], chance)
        if changed == parts[name]:
            continue
        made += 1
        assert report({**parts, name: changed}).problem is not None, (name, seed, made)
    for name in names:
        assert report({n: c for n, c in parts.items() if n != name}).problem is not None, name
    return made


def test_ten_thousand_random_mutations_are_all_found(files: AuditFiles) -> None:
    assert mutations(files, 10_000, 1) == 10_000


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_two_hundred_thousand_random_mutations_are_all_found(files: AuditFiles) -> None:
    assert mutations(files, 200_000, 2) == 200_000


def test_a_torn_last_line_is_put_aside_and_told_and_the_chain_goes_on(files: AuditFiles) -> None:
    fill(files)
    (_, path), *_ = files.segments()
    with path.open("ab") as file:
        file.write(b'{"action":"POST th')
    assert "is no audit record" in str(look(files).problem)
    fill(files, 1)
    assert look(files).problem is None
    told = [r for r in map(orjson.loads, lines(files)) if r.get("action") == "audit.open"][-1]["new"]["torn"]
    assert told["bytes"] == 18
    assert (files.aside / told["file"]).read_bytes() == b'{"action":"POST th'


def test_whole_records_behind_the_head_are_kept_and_told(files: AuditFiles) -> None:
    fill(files)
    head = files.head.read_bytes()
    before = look(files).last
    fill(files, 2)
    after = look(files).last
    files.head.write_bytes(head)  # as if the power had gone before it was written
    fill(files, 1)
    assert look(files).problem is None
    told = [r for r in map(orjson.loads, lines(files)) if r.get("action") == "audit.open"][-1]["new"]
    assert told["unconfirmed"] == {"from": before + 1, "to": after}


def test_numbers_of_records_that_were_cut_away_are_never_given_again(files: AuditFiles) -> None:
    fill(files)
    last = look(files).last
    (_, path), *_ = files.segments()
    rows = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(rows[:-4]))
    fill(files, 1)
    assert f"record {last - 3}: missing: records {last - 3} to {last} were deleted" in str(look(files).problem)
    told = [r for r in map(orjson.loads, lines(files)) if r.get("action") == "audit.open"][-1]
    assert told["seq"] == last + 1
    assert told["new"]["missing"]["to"] == last


def test_old_segments_go_with_a_signed_word_and_not_without(files: AuditFiles) -> None:
    clock = ManualClock()
    fill(files, 30, clock, segment_bytes=3000)
    count = len(files.segments())
    assert count > 3
    aside = {p: p.read_bytes() for _, p in files.segments()}
    clock.advance(100 * 86_400)
    fill(files, 30, clock, segment_bytes=3000, keep_s=50 * 86_400.0)
    report = look(files)
    assert report.problem is None
    assert report.first > 20
    assert files.segments()[0][0] == report.first
    assert min(parse(row)["seq"] for row in files.checkpoints.read_bytes().splitlines()) >= report.first
    files.segments()[0][1].unlink()  # one more, by hand
    assert "no signed checkpoint says that older ones were removed" in str(look(files).problem)
    assert aside


def test_segments_that_a_receiver_lacks_stay_twice_as_long(files: AuditFiles) -> None:
    clock = ManualClock()
    fill(files, 30, clock, segment_bytes=3000)
    for days, kept in ((60, True), (60, False)):
        clock.advance(days * 86_400)
        log = AuditLog(files, clock, LogConfig(segment_bytes=3000, keep_s=50 * 86_400.0), held=lambda: 0)
        log.open()
        for _ in range(12):
            put(log)
        log.close()
        assert (look(files).first == 1) is kept


class Disk:
    """``os.write`` of a disk that is full after so many bytes."""

    def __init__(self, room: int) -> None:
        self.room, self._write = room, os.write

    def write(self, descriptor: int, data: bytes) -> int:
        if self.room < len(data):
            count = self._write(descriptor, data[: self.room]) if self.room else 0
            self.room = 0
            if count:
                return count
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= len(data)
        return self._write(descriptor, data)


def test_a_full_disk_refuses_intents_keeps_notes_and_goes_on_by_itself(files: AuditFiles, monkeypatch) -> None:
    monkeypatch.setattr(log_module, "_RETRY_S", 0.01)
    log = AuditLog(files, ManualClock(), LogConfig())
    log.open()
    assert put(log) == ""
    disk = Disk(100)
    monkeypatch.setattr(log_module.os, "write", disk.write)
    assert "No space left on device" in put(log)
    assert "nothing is changed until it can" in log.reason
    log.submit({"kind": "outcome", "id": "x", "who": WHO, "action": "kept", "target": ""})
    assert "No space left" in put(log)
    disk.room = 10**9
    assert put(log) == ""
    assert log.reason == ""
    log.close()
    assert look(files).problem is None
    actions = [orjson.loads(line).get("action") for line in lines(files)]
    assert actions.count("kept") == 1
    assert actions.count("POST plant/apply") == 2


def test_intents_are_refused_before_the_last_bytes_are_gone(files: AuditFiles, monkeypatch) -> None:
    log = AuditLog(files, ManualClock(), LogConfig())
    log.open()
    monkeypatch.setattr(log_module, "RESERVE_BYTES", 2**80)
    assert "disk under the audit log is full" in put(log)
    assert put(log, kind="outcome") == ""
    log.close()


def test_a_log_without_its_key_is_not_begun_anew(files: AuditFiles) -> None:
    fill(files)
    files.key.unlink()
    log = AuditLog(files, ManualClock())
    log.open()
    assert "is missing, so nothing more can be signed" in put(log)
    log.close()
    with pytest.raises(ConfigError, match="there is no audit log"):
        verify_folder(AuditFiles(files.folder / "none"))


def test_the_queue_is_bounded_and_what_was_dropped_is_told(files: AuditFiles, monkeypatch) -> None:
    monkeypatch.setattr(log_module, "MOST_WAITING", 5)
    monkeypatch.setattr(log_module, "_LAZY_S", 5.0)
    log = AuditLog(files, ManualClock(), LogConfig())
    log.open()
    for _ in range(8):
        log.submit({"kind": "note", "who": WHO, "action": "n", "target": ""})
    assert "too many records wait" in put(log)
    log.close()
    told = [orjson.loads(line) for line in lines(files)]
    assert [r["new"]["records"] for r in told if r.get("action") == "audit.dropped"] == [
        5
    ]  # 3 notes, the intent, the closing
    assert look(files).problem is None


def test_search_goes_back_page_by_page(files: AuditFiles) -> None:
    fill(files, 50, segment_bytes=3000)
    last = look(files).last
    seen, before = [], 2**53
    while before:
        found = search(files, last, Question(action="post THING", before=before, limit=7))
        seen += [r["action"] for r in found.records]
        before = found.before
    assert seen == [f"POST thing/{n}" for n in reversed(range(50))]
    assert [r["action"] for r in search(files, last, Question(texts=("thing/4",), limit=3)).records] == [
        "POST thing/49", "POST thing/48", "POST thing/47",
    ]  # fmt: skip
    assert search(files, last, Question(who=frozenset({"p-nobody"}))).records == []
    assert search(files, last, Question(end_ns=1)).records == []


def test_a_receiver_reads_every_line_once_and_in_order(files: AuditFiles) -> None:
    fill(files, 40, segment_bytes=3000)
    last, tail, taken = look(files).last, Tail(files), []
    while found := tail.read(taken[-1][0] if taken else 0, last, 2000):
        taken += found
    assert [line for _, line in taken] == lines(files)
    again = Tail(files)
    assert [seq for seq, _ in again.read(last - 3, last - 1)] == [last - 2, last - 1]
    assert again.read(last, last) == []
