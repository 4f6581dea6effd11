"""Rationalisation as a table: out, back in, and every way in which a table can be wrong."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.alarms.rationalisation import (
    COLUMNS,
    Declared,
    _bare,
    cell_of,
    declared,
    edit_plant,
    guarded,
    lines,
    rewritten,
)
from isthmus.namespace.plantfile import Document, plain_data
from isthmus.values.errors import ConfigError, Findings

pytestmark = pytest.mark.mission("M24")

PLANT = """\
plant: {enterprise: acme, site: lyon}   # ours
connections:
  plc1: {driver: modbus-tcp, host: 10.0.0.1}
types:
  filler:
    tags:
      speed:
        unit: 1/min
        alarms:
          high: 140          # fast
          high_high: {limit: 150, priority: high, cause: drive}
      state: {map: packml, alarms: {states: {Aborted: high}}}
    alarms:
      jam: {when: speed > 3, priority: low}
assets:
  hall/line1/filler: {type: filler, source: plc1}
  hall/line2/filler:
    type: filler
    source: plc1
    tags:
      pressure:
        unit: bar
        alarms:
          low:
            limit: 2
            cause: |
              The pump stands
            response: look   # at it
"""


@dataclass(frozen=True)
class Spec:
    kind: str
    priority: str = "medium"
    message: str = ""
    unit: str = ""
    limit: float | None = None
    deadband: float = 0.0
    on_delay_s: float = 0.0
    off_delay_s: float = 0.0
    latch: bool = False
    cause: str = ""
    consequence: str = ""
    consequence_class: str = ""
    response: str = ""
    response_s: float | None = None
    per_s: float = 1.0


@dataclass(frozen=True)
class Alarm:
    path: str
    asset: str
    name: str
    spec: Spec

    @property
    def key(self) -> str:
        return f"{self.path}#{self.name}"


def fillers() -> list[Alarm]:
    found = []
    for asset in ("hall/line1/filler", "hall/line2/filler"):
        found += [
            Alarm(f"{asset}/speed", asset, "high", Spec("high", unit="1/min", limit=140.0)),
            Alarm(
                f"{asset}/speed",
                asset,
                "high_high",
                Spec("high_high", "high", unit="1/min", limit=150.0, cause="drive"),
            ),
            Alarm(f"{asset}/state", asset, "state:Aborted", Spec("state", "high")),
            Alarm(asset, asset, "jam", Spec("expression", "low")),
        ]
    pressure = "hall/line2/filler/pressure"
    low = Spec("low", unit="bar", limit=2.0, cause="The pump stands\n", response="look")
    return [
        *found,
        Alarm(pressure, "hall/line2/filler", "low", low),
        Alarm("connections/plc1", "connections/plc1", "communication", Spec("communication")),
    ]


KNOWN = [declared(alarm) for alarm in fillers()]
LOW = "hall/line2/filler/pressure#low"


def table(*rows: dict[str, str], delimiter: str = ",") -> bytes:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, delimiter=delimiter, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def edited(*rows: dict[str, str], **how: str) -> str:
    return edit_plant(PLANT, table(*rows, **how), KNOWN).text


def findings(data: bytes, text: str = PLANT) -> list[tuple[int, int, str]]:
    with pytest.raises(Findings) as caught:
        edit_plant(text, data, KNOWN)
    return [(one.line, one.column, one.problem) for one in caught.value.findings]


def data_of(text: str):
    return plain_data(Document(text, "plant.yaml").root)


def test_the_table_out_and_in_again_changes_nothing():
    out = "".join(lines(KNOWN))
    assert out.splitlines()[0].split(",") == list(COLUMNS)
    for delimiter in ",;":
        data = "".join(lines(KNOWN, delimiter)).encode("utf-8-sig")
        assert edit_plant(PLANT, data, KNOWN).text == PLANT


def test_a_value_is_changed_where_it_stands_and_nothing_else_moves():
    text = edited({"alarm": LOW, "limit": "2.5", "response": "Start pump 2"})
    assert text == PLANT.replace("limit: 2\n", "limit: 2.5\n").replace(
        "response: look   # at it", "response: Start pump 2   # at it"
    )


def test_what_is_new_is_added_and_what_is_emptied_goes():
    text = edited(
        {
            "alarm": LOW,
            "cause": "",
            "deadband": "0.1",
            "latch": "yes",
            "on_delay_s": "30",
            "consequence_class": "major",
            "response_time_s": "600",
        }
    )
    low = data_of(text)["assets"]["hall/line2/filler"]["tags"]["pressure"]["alarms"]["low"]
    assert low == {
        "limit": 2,
        "response": "look",
        "deadband": 0.1,
        "latch": True,
        "on_delay": "30 s",
        "consequence_class": "major",
        "response_time": "600 s",
    }
    assert "# at it" in text
    assert "# fast" in text


def test_what_all_assets_of_a_type_are_given_is_changed_in_the_type():
    rows = [{"alarm": f"hall/{line}/filler/speed#high", "limit": "135"} for line in ("line1", "line2")]
    assert edited(*rows) == PLANT.replace("high: 140 ", "high: {limit: 135} ")


def test_what_one_asset_is_given_differs_there():
    text = edited({"alarm": "hall/line1/filler/speed#high_high", "limit": "155"})
    assert text == PLANT.replace(
        "hall/line1/filler: {type: filler, source: plc1}",
        "hall/line1/filler: {type: filler, source: plc1, tags: {speed: {alarms: {high_high: {limit: 155}}}}}",
    )
    block = edited({"alarm": "hall/line2/filler/speed#high_high", "cause": "Belt slips"})
    both = data_of(block)["assets"]["hall/line2/filler"]["tags"]
    assert both["speed"] == {"alarms": {"high_high": {"cause": "Belt slips", "limit": 150}}}
    assert set(both) == {"pressure", "speed"}


def test_states_expressions_and_connections():
    rows = [
        {"alarm": f"hall/{line}/filler/state#state:Aborted", "priority": "critical", "response": "Reset"}
        for line in ("line1", "line2")
    ]
    assert "states: {Aborted: {priority: critical, response: Reset}}" in edited(*rows)
    jams = [{"alarm": f"hall/{line}/filler#jam", "consequence": "Glass"} for line in ("line1", "line2")]
    assert "jam: {when: speed > 3, priority: low, consequence: Glass}" in edited(*jams)
    assert "host: 10.0.0.1, alarm: high}" in edited({"alarm": "connections/plc1#communication", "priority": "high"})


def test_either_way_of_telling_the_priority_takes_the_others_place():
    text = PLANT.replace("priority: high, cause: drive", "consequence_class: severe, response_time: 10 min")
    known = [
        declared(replace(a, spec=replace(a.spec, consequence_class="severe", response_s=600.0)))
        if a.name == "high_high"
        else declared(a)
        for a in fillers()
    ]
    rows = [{"alarm": f"hall/{line}/filler/speed#high_high", "priority": "low"} for line in ("line1", "line2")]
    found = data_of(edit_plant(text, table(*rows), known).text)["types"]["filler"]["tags"]["speed"]["alarms"][
        "high_high"
    ]
    assert found == {"limit": 150, "response_time": "10 min", "priority": "low"}


def test_a_rate_is_told_as_it_was_said():
    one = declared(Alarm("a/b", "a", "rate", Spec("rate", unit="bar", limit=2.5 / 60, per_s=60.0)))
    assert (one.values["limit"], one.unit) == (2.5, "bar/min")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", (1, 1, "is empty; its first line names the columns, among them alarm")),
        (b"limit\n1\n", (1, 1, "the first line names the columns; alarm is missing")),
        (b"alarm,limit,lmit\n", (1, 3, "no column of this table")),
        (b"alarm,limit,limit\n", (1, 3, "this column stands here twice")),
        (b"alarm,limit\n\nnowhere#high,3\n", (3, 1, "the plant has no such alarm")),
        (f"alarm,limit\n{LOW},3\n{LOW},4\n".encode(), (3, 1, "this alarm stands here twice, first in line 2")),
        (f"alarm,limit\n{LOW},much\n".encode(), (2, 2, "must be a number")),
        (f"alarm,limit\n{LOW},nan\n".encode(), (2, 2, "must be a number")),
        (f"alarm,limit\n{LOW},1e999\n".encode(), (2, 2, "must be a number")),
        (f"alarm;limit\n{LOW};1.000,5\n".encode(), (2, 2, "a number with both")),
        (f"alarm,limit\n{LOW},\n".encode(), (2, 2, "may not be empty")),
        (f"alarm,deadband\n{LOW},-1\n".encode(), (2, 2, "may not be negative")),
        (f"alarm,priority\n{LOW},hihg\n".encode(), (2, 2, "must be one of critical, high, medium, low; did you mean high?")),
        (f"alarm,latch\n{LOW},perhaps\n".encode(), (2, 2, "must be yes or no")),
        (f"alarm,cause\n{LOW},{'x' * 1001}\n".encode(), (2, 2, "longer than 1000 characters")),
        (f"alarm,limit\n{LOW},1,2\n".encode(), (2, 3, "this row has more cells than the 2 columns")),
        (b'alarm,limit\n"open,3\n', (2, 1, "is no CSV")),
        (b"\xff\xfea\0", (1, 1, "is UTF-16")),
        (b"alarm,limit\n\0", (2, 1, "is no text")),
        (b"alarm,limit\nconnections/plc1#communication,3\n", (2, 2, "an alarm of the kind communication has no limit")),
        (b"alarm,cause\nhall/line1/filler#jam,x\n", (2, 2, "stands in the type filler for all its assets")),
        (b"alarm,cause\nhall/line1/filler/speed#high_high,\n", (2, 2, "an asset cannot take away")),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_by_line_and_column(data, found):
    line, column, problem = findings(data)[0]
    assert (line, column) == found[:2]
    assert problem.startswith(found[2])


def test_a_decimal_comma_and_latin_1():
    text = edit_plant(PLANT, f"alarm;limit;response\r\n{LOW};2,25;Pumpe prüfen\r\n".encode("latin-1"), KNOWN).text
    assert "limit: 2.25" in text
    assert 'response: "Pumpe prüfen"' in text


def test_an_alarm_of_a_tag_list_is_changed_there():
    listed = Declared("hall/x/p#high", "hall/x/p", "hall/x", "high", "high", "bar", {"limit": 3.0, "priority": "low"})
    with pytest.raises(Findings) as caught:
        edit_plant(PLANT, b"alarm,limit\nhall/x/p#high,4\n", [*KNOWN, listed])
    assert "tag list" in caught.value.findings[0].problem


def test_an_aliased_section_is_not_edited_behind_its_back():
    text = "assets:\n  a: {tags: {p: {alarms: &x {high: {limit: 3}}}}}\n  b: {tags: {p: {alarms: *x}}}\n"
    known = [Declared(f"{a}/p#high", f"{a}/p", a, "high", "high", "", {"limit": 3.0}) for a in "ab"]
    with pytest.raises(ConfigError, match="laid out"):
        edit_plant(text, b"alarm,limit\na/p#high,4\n", known)


def test_windows_line_ends_stay():
    text = PLANT.replace("\n", "\r\n")
    found = edit_plant(text, table({"alarm": LOW, "deadband": "0.5"}), KNOWN).text
    assert found.replace("\r\n", "\n").count("\n") == found.count("\r\n") == text.count("\r\n") + 1


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=30))
def test_a_guarded_cell_is_no_formula_and_comes_back(cell):
    kept = guarded(cell)
    assert not kept.startswith(("=", "+", "-", "@"))
    assert _bare(kept) == cell


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_comes_back_from_its_cell(number):
    assert float(cell_of(number)) == number


@settings(deadline=None, max_examples=40)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0"), max_size=60))
def test_any_text_may_stand_in_a_cell(said):
    said = said.strip()
    known = KNOWN
    if said in ("", "look"):
        return
    text = edit_plant(PLANT, table({"alarm": LOW, "response": guarded(said)}), known).text
    low = data_of(text)["assets"]["hall/line2/filler"]["tags"]["pressure"]["alarms"]["low"]
    assert low["response"].split() == said.split()


@settings(deadline=None, max_examples=40)
@given(
    st.fixed_dictionaries(
        {}, optional={name: st.integers(0, 99) | st.text("abc #:{}", max_size=5) for name in ("x", "y", "cause")}
    )
)
def test_an_edit_says_what_was_wanted_or_refuses(changes):
    document = Document("a: {x: 1, y: two} # c\nb:\n  x: 3\n  y: four\n", "plant.yaml")
    for key in "ab":
        if not changes:
            continue
        found = data_of(rewritten(document, {key: dict(changes)}))
        assert found[key] == {**data_of(document.text)[key], **changes}
