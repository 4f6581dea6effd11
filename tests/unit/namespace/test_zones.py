"""Zones, conduits, roles, owners and lock-outs in the plant file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from isthmus.namespace.compiled import Compiled
from isthmus.namespace.model import Conduit, Lockout, OwnRole, Zone
from isthmus.values.errors import Findings

PLANT = """\
plant: {enterprise: acme, site: lyon}
# what belongs together
zones:
  line1: {networks: [10.1.0.0/16], edges: [edge-1], security_level: 2, description: Filling}
  office: {networks: [10.9.0.0/16, "2001:db8::/48"], programs: [erp]}
conduits:
  up: {from: line1, to: site, allow: [edge]}  # frames
  view: {from: office, to: line1, allow: [read, live, history]}
  out: {from: site, to: outside, allow: [deliver]}
roles:
  crew: {extends: [operator], under: [hall/line1], zones: [line1], when: [stopped]}
connections:
  plc1: {driver: modbus-tcp, host: 10.1.0.7, zone: line1, owner: automation, lockout: {who: ana, why: new seal, since: 2026-03-01}}
assets:
  hall/line1: {zone: line1, owner: team filling}
  hall/line1/filler:
    source: plc1
    lockout: {who: bo, why: inside}
    tags:
      speed: {at: hr 2}
      twice: {formula: 2 * speed}
"""


@pytest.mark.mission("M5", "M76", "M84", "M90")
def test_what_is_declared_is_in_the_plant_and_comes_back_with_its_comments(namespace):
    namespace.apply(PLANT, 0, "ann", "first")
    assert namespace.export() == PLANT
    plant = namespace.current()
    assert plant.zones == (
        Zone("line1", ("10.1.0.0/16",), (), ("edge-1",), 2, "Filling"),
        Zone("office", ("10.9.0.0/16", "2001:db8::/48"), ("erp",)),
    )
    assert plant.conduits[1] == Conduit("view", "office", "line1", ("read", "live", "history"))
    assert plant.roles == (OwnRole("crew", ("operator",), under=("hall/line1",), zones=("line1",), when=("stopped",)),)
    (plc1,) = plant.connections
    assert (plc1.owner, plc1.lockout) == (("automation",), Lockout("ana", "new seal", "2026-03-01"))
    assets = {a.path: a for a in plant.assets}
    assert assets["hall/line1"].owner == ("team filling",)
    assert assets["hall/line1/filler"].lockout == Lockout("bo", "inside")
    assert assets["hall/line1/filler"].zone == "line1"  # of its source
    assert Compiled.from_parts(namespace.compiled().to_parts()) == namespace.compiled()


@pytest.mark.mission("M76", "M90")
def test_a_plan_shows_what_changes_of_them(namespace):
    namespace.apply(PLANT, 0, "ann", "first")
    text = (
        PLANT.replace("allow: [read, live, history]", "allow: [read]")
        .replace("security_level: 2", "security_level: 3")
        .replace("when: [stopped]", "when: [stopped, held]")
        .replace("owner: automation", "owner: electrics")
        .replace("    lockout: {who: bo, why: inside}\n", "")
        .replace("owner: team filling", "owner: team two")
        .replace("programs: [erp]}", "programs: [erp]}\n  lab: {}")
    )
    changes = [str(c) for c in namespace.plan(text).changes]
    assert changes == [
        "+ zone lab",
        "~ zone line1  security_level: 2 → 3",
        "~ conduit view  allow: [read, live, history] → [read]",
        "~ role crew  when: [stopped] → [stopped, held]",
        "~ connection plc1  owner: automation → electrics",
        "~ asset hall/line1  owner: team filling → team two",
        "~ asset hall/line1/filler  lockout: {who: bo, why: inside} → none",
    ]


def test_a_plan_tells_of_a_new_conduit_and_role_what_they_allow(namespace):
    changes = [str(c) for c in namespace.plan(PLANT).changes]
    assert "+ conduit view  from office, to line1, allow [read, live, history]" in changes
    assert "+ role crew  extends [operator], under [hall/line1], zones [line1], when [stopped]" in changes
    assert "+ zone line1  networks [10.1.0.0/16], edges [edge-1]" in changes


def changed(old: str, new: str) -> str:
    assert old in PLANT
    return PLANT.replace(old, new)


BAD = {
    "unknown key": (changed("security_level: 2", "level: 2"), ["plant.yaml:4:", "zones.line1.level", "not known here"]),
    "level": (changed("security_level: 2", "security_level: 5"), ["plant.yaml:4:", "zones.line1.security_level: must lie between 0 and 4", "was 5"]),
    "network": (changed("10.1.0.0/16]", "10.1.0.7/16]"), ["plant.yaml:4:", "zones.line1.networks.0: must be a network", "was 10.1.0.7/16"]),
    "network twice": (changed("[10.9.0.0/16,", "[10.1.0.0/16,"), ["plant.yaml:5:", "zone line1 has it already", "was 10.1.0.0/16"]),
    "reserved": (changed("  office: {net", "  outside: {}\n  office: {net"), ["plant.yaml:5:3", "every address that no zone names"]),
    "zone of a conduit": (changed("from: office", "from: offise"), ["plant.yaml:8:", "conduits.view.from: no such zone; did you mean office?, was offise"]),
    "to itself": (changed("from: office, to: line1", "from: line1, to: line1"), ["plant.yaml:8:", "conduits.view.to: a conduit joins two zones"]),
    "kind": (changed("[read, live, history]", "[reed]"), ["plant.yaml:8:", "conduits.view.allow.0", "did you mean read?, was reed"]),
    "from missing": (changed("from: office, ", ""), ["plant.yaml:8:", "conduits.view: from is missing"]),
    "built-in role": (changed("  crew:", "  viewer:"), ["plant.yaml:11:3", "is a role every plant has"]),
    "base": (changed("[operator]", "[oprator]"), ["plant.yaml:11:", "roles.crew.extends.0: no such role; did you mean operator?"]),
    "circle": (changed("[operator]", "[crew]"), ["plant.yaml:11:", "roles extend each other in a circle"]),
    "action": (changed("when: [stopped]", "allow: [write]"), ["plant.yaml:11:", "roles.crew.allow.0", "control.write"]),
    "path": (changed("under: [hall/line1]", "under: [hall/line9]"), ["plant.yaml:11:", "roles.crew.under.0: no tag or asset", "was hall/line9"]),
    "zone of a role": (changed("zones: [line1]", "zones: [line9]"), ["plant.yaml:11:", "roles.crew.zones.0: no such zone"]),
    "zone of a connection": (changed("zone: line1, owner", "zone: lin1, owner"), ["plant.yaml:13:", "connections.plc1.zone: no such zone; did you mean line1?"]),
    "zone of an asset": (changed("{zone: line1, owner: team", "{zone: lin1, owner: team"), ["plant.yaml:15:", "assets.hall/line1.zone: no such zone"]),
    "lock without reason": (changed("{who: bo, why: inside}", "{who: bo}"), ["plant.yaml:18:", "lockout: why is missing"]),
    "lock since": (changed("since: 2026-03-01", "since: yesterday"), ["plant.yaml:13:", "lockout.since: must be a time", "was yesterday"]),
    "no field conduit": (
        changed("edges: [edge-1], ", ""),
        ["plant.yaml:13:", "edge-1 stands in zone site, this device in zone line1: no conduit between them allows field"],
    ),
    "no edge conduit": (
        changed("  up: {from: line1, to: site, allow: [edge]}  # frames\n", ""),
        ["plant.yaml:4:", "zones.line1.edges: edge-1 stands in zone line1, core in zone site: no conduit between them allows edge"],
    ),
    "formula across": (
        changed("    tags:\n      speed: {at: hr 2}\n      twice: {formula: 2 * speed}", "    tags: {speed: {at: hr 2}}\n  board: {zone: office, tags: {seen: {formula: '{hall/line1/filler/speed}'}}}").replace("read, live", "live"),
        ["no conduit from office to line1 allows read", "was hall/line1/filler/speed"],
    ),
}  # fmt: skip


@pytest.mark.mission("M76", "M77")
@pytest.mark.parametrize("case", BAD)
def test_a_mistake_names_line_path_and_value(namespace, case):
    text, expected = BAD[case]
    with pytest.raises(Findings) as caught:
        namespace.plan(text)
    said = "\n".join(map(str, caught.value.findings))
    for part in expected:
        assert part in said, said


def test_a_conduit_of_the_kind_mends_it_whichever_way_it_leads(namespace):
    for ends in ("from: site, to: line1", "from: line1, to: site"):
        text = changed("edges: [edge-1], ", "").replace("  out:", f"  field: {{{ends}, allow: [field]}}\n  out:")
        assert namespace.plan(text).changes


def test_without_zones_a_zone_of_a_connection_is_a_word_and_nothing_is_refused(namespace):
    text = "plant: {enterprise: a, site: b}\nconnections:\n  x: {driver: modbus-tcp, host: a, zone: somewhere}\n"
    namespace.apply(text, 0, "ann", "as before")
    assert namespace.current().connections[0].zone == "somewhere"


def test_an_edge_nobody_uses_is_a_warning(namespace):
    (warning,) = namespace.plan(changed("edges: [edge-1]", "edges: [edge-1, edge-7]")).warnings
    assert "edge-7" in str(warning)


def test_the_example_of_the_page_applies(namespace):
    page = (Path(__file__).resolve().parents[3] / "docs" / "policy.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    namespace.apply("plant: {enterprise: acme, site: lyon}\n" + example, 0, "ann", "as in the book")
    assert {zone.name for zone in namespace.current().zones} == {"line1", "office"}
