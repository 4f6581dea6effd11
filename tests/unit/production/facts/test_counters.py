"""Counters that reset, roll over, jump back or say nonsense: refused or marked with the reason, never averaged away."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from isthmus.production.counters import Limit, count
from isthmus.production.model import MarkKind

_spec = importlib.util.spec_from_file_location("machines", Path(__file__).with_name("machines.py"))
assert _spec is not None
machines = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(machines)
series = machines.series
pytestmark = pytest.mark.mission("M50")
FAST = Limit(2, 1_000_000_000)


def read(*samples, **rest):
    found = count(series(*samples), **rest)
    return [a // 1_000_000 for a in found.amount_u.tolist()], [str(m.kind) for m in found.marks]


def test_growth_is_counted():
    assert read((0, 10), (60, 130), (120, 130), (180, 131), limit=FAST) == ([120, 0, 1], [])


def test_a_reset_counts_what_it_shows():
    assert read((0, 1_000), (60, 30), limit=FAST) == ([30], ["reset"])


def test_a_roll_over_goes_on_over_its_modulo():
    assert read((0, 65_500), (60, 20), modulo=65_536, limit=FAST) == ([56], ["rollover"])


def test_a_counter_of_a_modulo_that_is_switched_off_is_a_reset():
    assert read((0, 30_000), (60, 5), modulo=65_536, limit=FAST) == ([5], ["reset"])


def test_a_jump_back_counts_nothing():
    assert read((0, 100_000), (60, 99_000), (120, 99_010), limit=FAST) == ([0, 10], ["jump_back"])


def test_an_absurd_rate_counts_nothing_and_neither_does_its_way_back():
    assert read((0, 100), (1, 1_000_000), (2, 102), limit=FAST) == ([0, 0], ["absurd", "jump_back"])


def test_where_no_rate_is_declared_what_no_machine_makes_is_absurd_too():
    assert read((0, 100), (1, 4_000_000_000), (2, 90_000)) == ([0, 0], ["absurd", "jump_back"])
    assert read((0, 1_000_000), (1, 400_000), (2, 400_001)) == ([0, 1], ["jump_back"])
    assert read((0, 1_000_000), (1, 3)) == ([3], ["reset"])
    assert read((0, 1_000), (1, 990)) == ([0], ["jump_back"]), "not much less than before: it did not begin again"
    assert read((0, 100), (1, 9_000)) == ([8_900], []), "fast, and possible"


def test_after_an_hour_of_silence_much_is_not_absurd():
    assert read((0, 0), (3_600, 7_000), limit=FAST) == ([7_000], [])


def test_negative_and_no_numbers_are_refused_and_counted_across():
    found = count(series((0, 1.0), (1, -5.0), (2, float("nan")), (3, float("inf")), (4, 4.0)))
    assert found.amount_u.tolist() == [3_000_000]
    assert [m.kind for m in found.marks] == [MarkKind.NEGATIVE, MarkKind.NOT_A_NUMBER, MarkKind.NOT_A_NUMBER]


def test_a_bad_reading_hides_nothing():
    assert read((0, 1), (1, 0, 0x80000000), (2, 5)) == ([4], [])


def test_parts_of_a_piece_stay_exact():
    found = count(series(*((i, 0.1 * i) for i in range(11))), whole=False)
    assert int(found.amount_u.sum()) == 1_000_000


def test_what_counts_is_decided_by_neighbours_alone():
    rows = [(i, v) for i, v in enumerate((5, 9, 2, 8, 7, 100_000, 3, 4, 4, 9))]
    whole = count(series(*rows), limit=FAST).amount_u
    parts = [count(series(*rows[i : i + 2]), limit=FAST).amount_u for i in range(len(rows) - 1)]
    assert whole.tolist() == np.concatenate(parts).tolist()


def test_over_edges_a_reading_belongs_to_the_time_before_it():
    found = count(series((0, 0), (10, 10), (20, 30)))
    edges = np.array([machines.T0, machines.T0 + 10 * machines.S, machines.T0 + 20 * machines.S])
    assert (found.over(edges) // 1_000_000).tolist() == [10, 20]
