"""Folds in processes of their own say the same as those in ours, whatever becomes of the process."""

from __future__ import annotations

import importlib.util
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from isthmus.app.records import open_records
from isthmus.production import folding, service
from isthmus.production.facts import Names
from isthmus.production.fold import Carry, Ground
from isthmus.production.folding import Folders, Work
from isthmus.production.model import Entry, EntryKind

_spec = importlib.util.spec_from_file_location("machines", Path(__file__).with_name("machines.py"))
assert _spec is not None
machines = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(machines)
D, H, T0, FILLER = machines.D, machines.H, machines.T0, machines.FILLER
pytestmark = [pytest.mark.mission("M51"), pytest.mark.real("sqlite")]


@pytest.fixture
def folders():
    made = Folders(2)
    yield made
    made.close()


def work(seed: int, days: int = 3) -> Work:
    orders = [
        Entry(EntryKind.ORDER, FILLER.asset, T0 + n * H, T0 + (n + 1) * H, {"order": f"{seed}-{n}"}, number=n + 1)
        for n in range(5)
    ]
    segments = machines.Shifts().segments(FILLER.asset, T0, T0 + days * D)
    return Work(1, Ground(FILLER, orders), segments, machines.day(seed, days=days), Carry(), T0 + (days + 1) * D)


def test_the_facts_are_the_same_and_words_keep_one_code_whoever_folds(folders):
    names = Names()
    jobs = [work(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda job: folders.done(job, names), jobs))
    for job, days in zip(jobs, found, strict=True):
        assert days == job.done(names)
    kinds: dict[str, list[int]] = {}
    for kind, code, _ in names.fresh:
        kinds.setdefault(kind, []).append(code)
    assert len(kinds["order"]) == 40
    assert all(codes == list(range(1, len(codes) + 1)) for codes in kinds.values())


def test_a_folder_that_is_gone_is_done_without(folders):
    names, job = Names(), work(1)
    for one in folders._all:
        one._process.kill()
        one._process.wait()
    assert folders.done(job, names) == job.done(names)


def test_an_answer_that_was_cut_off_is_none():
    whole = io.BytesIO()
    folding._send(whole, ["days"])
    data = whole.getvalue()
    assert folding._receive(io.BytesIO(data)) == ["days"]
    for size in range(len(data)):
        assert folding._receive(io.BytesIO(data[:size])) is None


def test_what_a_fold_raises_is_raised_here(folders):
    job = Work(1, Ground(FILLER), work(1).segments, {1: "no samples"}, Carry(), T0)
    with pytest.raises(AttributeError, match="str"):
        folders.done(job, Names())
    assert folders.done(work(2), Names()), "and it goes on"


async def test_the_room_takes_folders_for_many_days_and_restates_nothing(tmp_path, monkeypatch):
    engine = open_records(tmp_path / "records.db")
    hall = machines.Room(engine, machines.plant(FILLER), now_ns=T0 + 5 * D + H)
    for tag, some in machines.day(3, days=5).items():
        hall.record.store(tag, some)
    await hall.room.begin()
    await hall.settle()
    before = await hall.room.facts("", T0, T0 + 5 * D, ("day", "shift", "class"))
    lent: list[int] = []

    class Counted(Folders):
        def __init__(self, count: int) -> None:
            lent.append(count)
            super().__init__(count)

    monkeypatch.setattr(service, "Folders", Counted)
    monkeypatch.setattr(service, "WORTH_DAYS", 5)
    assert await hall.room.recompute("", T0, T0 + 5 * D) == 5
    await hall.settle()
    assert len(lent) == 1
    assert not await hall.room.restatements()
    assert await hall.room.facts("", T0, T0 + 5 * D, ("day", "shift", "class")) == before
    engine.dispose()
