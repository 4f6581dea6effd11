"""How long the search for cycles may stop a process: by how much one step looks at, never by a clock."""

from __future__ import annotations

import gc

from isthmus.app.process import settle_collector

MOST = 45_000
"""Objects of one step. What was looked at twice is looked at again only by the rare search through everything."""


def test_one_step_of_the_collector_looks_at_few_objects_however_many_come_at_once():
    thresholds, seen = gc.get_threshold(), []

    def heard(phase, info):
        if phase == "start" and info["generation"] < 2:
            seen.append(sum(len(gc.get_objects(g)) for g in range(info["generation"] + 1)))

    try:
        settle_collector()
        gc.callbacks.append(heard)
        kept = [[n] for n in range(300_000)]  # as a flood makes rows: all of them stay
        gc.callbacks.remove(heard)
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
    assert len(kept) == 300_000
    assert len(seen) >= 20, "nothing was looked at, so nothing was shown"
    assert max(seen) <= MOST
