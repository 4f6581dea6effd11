"""Screens from the first draft to what people see."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.app.records import open_records
from isthmus.namespace.changes import Hand
from isthmus.namespace.model import Asset, Plant, Tag
from isthmus.screens.model import read
from isthmus.screens.service import Screens, find, paths_of, starter, symbol_for
from isthmus.screens.store import metadata
from isthmus.values.clock import ManualClock
from isthmus.values.errors import ConfigError, Denied, Findings
from isthmus.values.sample import ValueType

pytestmark = pytest.mark.real("sqlite")

EVA, SAM = Hand("Eva", 1, person=True), Hand("Sam", 2, person=True)
PROGRAM = Hand("builder", person=False, behind=("Eva",))
BOX = {"x": 0, "y": 0, "w": 40, "h": 40}


def tag(number: int, path: str, **more: Any) -> Tag:
    asset, _, name = path.rpartition("/")
    given: dict[str, Any] = {"kind": "value", "type": ValueType.FLOAT, **more}
    return Tag(id=number, path=path, asset=asset, name=name, **given)


def make_plant() -> Plant:
    tags = [
        tag(1, "hall/line1/filler/state", kind="state", type=ValueType.INT),
        tag(2, "hall/line1/filler/speed", unit="1/min", low=0.0, high=160.0, setpoint="hall/line1/filler/target"),
        tag(3, "hall/line1/filler/target", unit="1/min", low=0.0, high=160.0),
        tag(4, "hall/line1/buffer_tank/level", unit="%", low=0.0, high=100.0),
        tag(5, "hall/line1/filler/note", type=ValueType.TEXT, kind="text"),
        *(tag(10 + i, f"hall/pumps/pump{i}/state", kind="state", type=ValueType.INT) for i in range(40)),
        tag(99, "connections/plc1/latency", kind="system"),
    ]
    assets = [
        Asset("", "lyon", "site", "", "", 0),
        Asset("hall", "hall", "area", "", "", 1),
        Asset("hall/line1", "line1", "line", "", "hall", 2, description="Glass line"),
        Asset("hall/line1/buffer_tank", "buffer_tank", "asset", "", "hall/line1", 3),
        Asset("hall/line1/filler", "filler", "asset", "filler", "hall/line1", 4),
        Asset("hall/pumps", "pumps", "line", "", "hall", 5),
        *(Asset(f"hall/pumps/pump{i}", f"pump{i}", "asset", "pump", "hall/pumps", 6 + i) for i in range(40)),
        Asset("connections/plc1", "plc1", "connection", "", "connections", 90),
    ]
    return Plant(1, "acme", "lyon", "UTC", tuple(tags), tuple(assets), by_path={t.path: t for t in tags}, by_id={t.id: t for t in tags})  # fmt: skip


PLANT = make_plant()


def drawn(*elements: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"schema": 1, "title": "Pumps", "width": 400, "height": 300, "elements": list(elements), **more}


PUMP = {"id": "p", "kind": "symbol", "symbol": "pump", **BOX, "bind": {"state": "./state"}}


@pytest.fixture
def screens(tmp_path: Path) -> Iterator[Screens]:
    engine = open_records(tmp_path / "records.db")
    metadata.create_all(engine)
    yield Screens(engine, lambda: PLANT, ManualClock(1_700_000_000 * 10**9))
    engine.dispose()


@pytest.mark.mission("M23")
def test_from_draft_to_published_by_two_people(screens: Screens) -> None:
    made = screens.create("pumps", drawn(type="pump"), EVA)
    assert (made.state, made.rev, made.live) == ("draft", 1, None)
    saved = screens.save("pumps", drawn(PUMP, type="pump"), 1, EVA)
    with pytest.raises(Denied, match="put its draft forward") as early:
        screens.publish("pumps", saved.rev, SAM)
    assert early.value.code == "wrong_state"
    sent = screens.review("pumps", saved.rev, " first ", EVA)
    assert (sent.state, sent.review_by, sent.note) == ("review", "Eva", "first")
    for hand, code in ((EVA, "same_person"), (PROGRAM, "needs_session"), (Hand("x", person=True, behind=("eva",)), "same_person")):  # fmt: skip
        with pytest.raises(Denied) as refused:
            screens.publish("pumps", sent.rev, hand)
        assert refused.value.code == code
    done = screens.publish("pumps", sent.rev, SAM)
    assert (done.state, done.live) == ("published", 1)
    assert screens.document("pumps") == read(drawn(PUMP, type="pump"))
    versions = screens.versions("pumps")
    assert [(v.version, v.authors, v.published_by, v.note) for v in versions] == [(1, ("Eva",), "Sam", "first")]
    with pytest.raises(Denied, match="published as it is"):
        screens.review("pumps", done.rev, "", EVA)


def test_what_is_published_stays_while_the_next_draft_is_drawn(screens: Screens) -> None:
    rev = screens.create("a", drawn(), EVA).rev
    rev = screens.publish("a", screens.review("a", rev, "", EVA).rev, SAM).rev
    saved = screens.save("a", drawn({**PUMP, "bind": {}}), rev, SAM)
    assert saved.editors == ("Sam",)  # who drew the version before may publish this one
    assert screens.document("a")["elements"] == []
    assert [line["id"] for line in screens.compare("a", 1, 0)] == ["p"]
    rev = screens.publish("a", screens.review("a", saved.rev, "", SAM).rev, EVA).rev
    assert len(screens.document("a")["elements"]) == 1
    back = screens.restore("a", 1, rev, EVA)
    assert (back.state, back.live) == ("draft", 2)
    assert screens.document("a", 0)["elements"] == []
    with pytest.raises(LookupError):
        screens.document("a", 7)


def test_a_stale_base_is_refused_whatever_is_wanted(screens: Screens) -> None:
    screens.create("a", drawn(), EVA)
    screens.save("a", drawn(title="Mine"), 1, SAM)
    for act in (
        lambda: screens.save("a", drawn(title="Yours"), 1, EVA),
        lambda: screens.review("a", 1, "", EVA),
        lambda: screens.publish("a", 1, SAM),
        lambda: screens.give_back("a", 1, "no", SAM),
        lambda: screens.retire("a", 1),
    ):
        with pytest.raises(Denied, match="changed meanwhile by Sam") as refused:
            act()
        assert refused.value.code == "stale_base"
    assert screens.get("a").title == "Mine"


def test_saving_takes_a_draft_out_of_review_and_a_reviewer_says_why_not(screens: Screens) -> None:
    rev = screens.review("a", screens.create("a", drawn(), EVA).rev, "", EVA).rev
    assert screens.save("a", drawn(title="More"), rev, EVA).state == "draft"
    rev = screens.review("a", rev + 1, "", EVA).rev
    with pytest.raises(Denied, match="say what is wrong"):
        screens.give_back("a", rev, " ", SAM)
    back = screens.give_back("a", rev, "the pump is missing", SAM)
    assert (back.state, back.note) == ("draft", "the pump is missing")


def test_what_would_show_nothing_does_not_go_to_review(screens: Screens) -> None:
    lame = [
        {"id": "t", "kind": "trend", **BOX},
        {"id": "v", "kind": "value", **BOX, "bind": {"value": "hall/line1/filler/sped"}},
        {"id": "r", "kind": "value", **BOX, "bind": {"value": "./speed"}},
        {"id": "b", "kind": "button", **BOX, "to": {"screen": "nowhere"}},
        {"id": "s", "kind": "symbol", "symbol": "pump", **BOX, "asset": "hall/line9", "bind": {}},
    ]
    rev = screens.create("a", drawn(*lame), EVA).rev
    with pytest.raises(Findings) as refused:
        screens.review("a", rev, "", EVA)
    assert [(f.path, f.problem, f.value) for f in refused.value.findings] == [
        ("elements.t.pens", "is bound to no tag", ""),
        ("elements.v.bind.value", "there is no such tag", "hall/line1/filler/sped"),
        ("elements.r.bind.value", "is relative, and the screen names neither an asset nor a type", "./speed"),
        ("elements.b.to", "leads to a screen that is not there", "nowhere"),
        ("elements.s.asset", "there is no such asset", "hall/line9"),
    ]
    assert screens.get("a").state == "draft"


def test_one_template_is_checked_for_all_its_assets() -> None:
    assert find(drawn(PUMP, type="pump"), PLANT) == []
    assert find(drawn({**PUMP, "bind": {"value": "./speed"}}, type="pump"), PLANT)[0].problem == "there is no tag hall/pumps/pump0/speed"  # fmt: skip
    assert find(drawn(type="boiler"), PLANT)[0].problem == "no asset has this type"


def test_retired_ones_are_gone_and_come_back_by_their_name(screens: Screens) -> None:
    rev = screens.create("a", drawn(), EVA).rev
    screens.retire("a", rev)  # never published: nothing is kept
    rev = screens.create("a", drawn(), EVA).rev
    assert rev == 1
    rev = screens.publish("a", screens.review("a", rev, "", EVA).rev, SAM).rev
    screens.retire("a", rev)
    assert screens.listed() == ()
    with pytest.raises(LookupError):
        screens.document("a")
    again = screens.create("a", drawn(title="Back"), SAM)
    assert (again.state, again.live) == ("draft", None)
    assert [v.version for v in screens.versions("a")] == [1]
    done = screens.publish("a", screens.review("a", again.rev, "", SAM).rev, EVA)
    assert done.live == 2
    with pytest.raises(Denied, match="there is a screen 'a' already"):
        screens.create("a", drawn(), EVA)


def test_screens_beside_a_plant_are_published_once_and_wrong_ones_named(
    screens: Screens, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "screens"
    assert screens.load(folder) == []
    folder.mkdir()
    (folder / "good.json").write_text(json.dumps(drawn(title="Good")))
    (folder / "lame.json").write_text(json.dumps(drawn({**PUMP, "w": 0})))
    (folder / "half.json").write_text("{")
    (folder / "Bad Name.json").write_text(json.dumps(drawn()))
    with caplog.at_level(logging.WARNING):
        assert screens.load(folder) == ["good"]
    said = "\n".join(caplog.messages)
    assert "elements.p.w: must lie between" in said
    assert "half.json" in said
    assert "Bad Name.json" in said
    assert screens.get("good").live == 1
    screens.save("good", drawn(title="Ours"), screens.get("good").rev, EVA)
    (folder / "good.json").write_text(json.dumps(drawn(title="Theirs")))
    assert screens.load(folder) == []
    assert screens.get("good").title == "Ours"


@pytest.mark.mission("M24")
def test_a_first_drawing_shows_a_line_in_flow_order() -> None:
    document = starter(PLANT, "hall/line1")
    assert document["title"] == "Glass line"
    symbols = [(e["symbol"], e["asset"], e["bind"]) for e in document["elements"] if e["kind"] == "symbol"]
    assert symbols == [
        ("tank", "./buffer_tank", {"level": "./level"}),
        ("filler", "./filler", {"state": "./state"}),
    ]
    assert find(document, PLANT) == []
    assert "hall/line1/filler/speed" in paths_of(document)
    assert "hall/line1/filler/target" not in paths_of(document)  # it is the pointer's set-point
    many = starter(PLANT, "hall/pumps")
    assert sum(e["kind"] == "symbol" for e in many["elements"]) == 16
    assert any("24 more machines" in e.get("text", "") for e in many["elements"])
    assert find(many, PLANT) == []
    for asset in ("", "hall/line1/filler"):
        assert find(starter(PLANT, asset), PLANT) == []
    with pytest.raises(ConfigError, match="asset: there is none"):
        starter(PLANT, "hall/line7")


@pytest.mark.parametrize(
    ("name", "symbol"),
    [("case_packer", "packer"), ("palletiser", "palletiser"), ("supply-fan", "fan"), ("x17", "machine"), ("chiller_pump", "pump"), ("belt1", "conveyor")],
)  # fmt: skip
def test_a_name_speaks_of_its_symbol(name: str, symbol: str) -> None:
    assert symbol_for(Asset(name, name, "asset", "", "", 0)) == symbol
