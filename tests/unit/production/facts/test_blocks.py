"""The forms that facts of closed days are kept in: whichever a question is answered from, its sums are the same."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isthmus.app.records import open_records
from isthmus.production import store
from isthmus.production.blocks import ALL, BRIEF, DAYS, NO_DAYS, Blocks
from isthmus.production.days import day_facts
from isthmus.production.facts import Names, Table, Words, by_day, grouped, sums, totals
from isthmus.production.model import MINOR
from isthmus.production.store import ProductionStore

_spec = importlib.util.spec_from_file_location("machines", Path(__file__).with_name("machines.py"))
assert _spec is not None
machines = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(machines)
D, T0, DAY0 = machines.D, machines.T0, machines.DAY0
pytestmark = [pytest.mark.mission("M50"), pytest.mark.real("sqlite")]
QUESTIONS = [(), ("machine",), ("shift",), ("loss",), ("class",), ("day",), ("machine", "day"), ("day", "shift"), ("reason", "class")]  # fmt: skip


def words(names):
    return Words(names, ["", "a", "b", "b"], [0, 7_000_000, 9_000_000, 9_000_000])


def answered(tables, by, names):
    found = sums(Table.joined(tables), by, words(names), str, str)
    return {tuple(one.key.values()): one for one in found}


@pytest.fixture
def kept(tmp_path):
    """Three machines over forty days, which lie in two blocks or three."""
    engine = open_records(tmp_path / "records.db")
    store.metadata.create_all(engine)
    names, kept = Names(), ProductionStore(engine)
    for machine in (1, 2, 3):
        names.code("machine", f"m{machine}")
        samples = machines.day(machine, days=40, every_s=1_800, counts_s=900)
        folded = machines.folded(machines.FILLER, samples, 40 * 24, names=names, planner=machines.Shifts())
        kept.write_days(day_facts(folded, machine), [], [], T0, {})
    yield kept, names
    engine.dispose()


@pytest.mark.parametrize("by", QUESTIONS)
@pytest.mark.parametrize("chosen", [(1, 2, 3), (2,)])
def test_every_form_gives_the_sums_of_all_rows(kept, by, chosen):
    records, names = kept
    codes = np.array(chosen, np.int32)
    for start, end in ((0, 40), (3, 39), (5, 6)):
        found = Blocks(records, names).table(codes, T0 + start * D, T0 + end * D, by)
        plain = records.block(0, 10**6).table
        mine = np.isin(plain.machine, codes) & (plain.day >= DAY0 + start) & (plain.day < DAY0 + end)
        assert answered(found, by, names) == answered([plain.take(mine)], by, names)


def test_a_whole_block_without_days_is_far_smaller(kept):
    records, names = kept
    blocks = Blocks(records, names)
    sizes = {form: len(blocks.block(DAY0 // DAYS + 1, form).table) for form in (ALL, NO_DAYS, BRIEF)}
    assert sizes[NO_DAYS] * 5 < sizes[ALL]
    assert sizes[BRIEF] <= sizes[ALL]


def test_a_day_that_is_written_again_is_read_again_in_every_form(kept):
    records, names = kept
    blocks, codes = Blocks(records, names), np.array([1, 2, 3], np.int32)
    before = {by: answered(blocks.table(codes, T0, T0 + 40 * D, by), by, names) for by in QUESTIONS}
    samples = machines.day(9, every_s=600)
    folded = machines.folded(machines.FILLER, samples, 24, names=names, planner=machines.Shifts())
    records.write_days(day_facts(folded, 1), [], [], T0, {DAY0: 1})
    blocks.forget([DAY0])
    for by in QUESTIONS:
        after = answered(blocks.table(codes, T0, T0 + 40 * D, by), by, names)
        plain = records.block(0, 10**6).table
        assert after == answered([plain], by, names)
        assert after != before[by]


def test_sums_beyond_64_bits_are_exact():
    names = Names()
    code, minor = names.code("machine", "m1"), names.code("reason", MINOR)
    rows = np.zeros(3, store.DAY)
    rows["machine"], rows["klass"], rows["reason"] = code, 3, [0, 0, minor]
    rows["ns"] = [2**62, 2**62, 5]
    rows["total"] = [-(2**62), -(2**62) - 3, -(2**62)]
    table = Table.of_days(rows)
    assert table.summed((), days=False) is None
    (one,) = sums(table, (), replace(words(names), line=["", "a"]), str, str)
    assert one.total_u == -3 * 2**62 - 3
    assert one.all_ns == 2**63 + 5
    assert one.cost_u == one.all_ns * 7_000_000


def test_places_are_the_same_whether_keys_lie_close_together_or_far_apart():
    rng = np.random.default_rng(3)
    near = rng.integers(0, 50, 500)
    far = near * 10**12
    assert grouped(near)[0].tolist() == grouped(far)[0].tolist()
    assert (near[grouped(near)[1]] == np.unique(near)).all()
    assert (far[grouped(far)[1]] == np.unique(far)).all()
    place, row = grouped(near)
    assert totals(np.ones(500), place, len(row)).tolist() == np.bincount(near)[np.unique(near)].tolist()
    assert not len(by_day(np.zeros(0, store.DAY), 1))
