"""What a part loads before it works: seconds of a start are imports, and what crept in once is not missed again by anybody."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from isthmus.web.api import ROUTERS, openapi_document
from isthmus.web.late import LateRoute

_REPORTS = {"reportlab", "openpyxl", "scipy", "pandas", "pyarrow", "chdb", "apprise"}
_COMMANDS = {"typer", "click", "rich", "alembic", "isthmus.bench", "isthmus.simulators", "isthmus.transfer"}
_SERVING = {"fastapi", "starlette", "uvicorn", "sqlalchemy", "clickhouse_connect"}
_DRIVERS = {"asyncua", "google", "isthmus.drivers"}
_ROOMS = {
    f"isthmus.{room}" for room in ("alarms", "analytics", "control", "production", "quality", "screens", "connectors")
}

LEFT_OUT = {
    "_load_up()": _REPORTS | _COMMANDS | _SERVING | _DRIVERS | {"numpy", "pydantic", "psutil", "cryptography", "nats"},
    "_load_edge()": _REPORTS | _COMMANDS | _SERVING | _DRIVERS | {"pydantic"},
    "_load_core()": _REPORTS
    | _COMMANDS
    | _DRIVERS
    | _ROOMS
    | {"fastapi", "starlette", "uvicorn", "sqlalchemy", "nats", "isthmus.namespace.service"},
    "_load_core(); list(islice(part._load_more_of_core(), 2))": _REPORTS
    | (_COMMANDS - {"click"})
    | _DRIVERS
    | _ROOMS,  # uvicorn brings click
    "_load_core(); list(part._load_more_of_core())": _REPORTS | (_COMMANDS - {"click"}) | {"asyncua"},
}
"""By what is loaded, the modules that must not come with it."""


@pytest.mark.parametrize("load", LEFT_OUT)
def test_a_part_begins_without_what_it_does_not_need_to_begin(load):
    program = (
        f"import sys; from itertools import islice; from isthmus.app import part; part.{load}; print(*sys.modules)"
    )
    loaded = set(subprocess.check_output([sys.executable, "-c", program], text=True).split())
    assert "isthmus.app.part" in loaded
    assert sorted(loaded & LEFT_OUT[load]) == []


def test_no_route_is_analysed_and_no_model_is_built_before_somebody_asks():
    program = (
        "import pydantic, gc; from isthmus.web.api import ROUTERS, _routes; from isthmus.web.late import BaseModel\n"
        "print(sum(r.__dict__['_whole'] for router in ROUTERS for r in router.routes))\n"
        "print(sum(r.__dict__['_whole'] for r in _routes().routes))\n"
        "print(*(m.__name__ for m in gc.get_objects() if isinstance(m, type) and m is not BaseModel"
        " and issubclass(m, BaseModel) and m.__pydantic_complete__))"
    )
    said = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    assert said == ["0", "0", "ScopeModel"]  # one of these is another model's default, so somebody asks for it at once


def test_every_route_can_be_made_whole():
    routes = [route for router in ROUTERS for route in router.routes]
    assert len(routes) > 200
    for route in routes:
        assert isinstance(route, LateRoute), f"{route.path} is analysed at each start; register it by routes_of"
        whole = route.below("/api/v1")
        assert whole.dependant.call is route.endpoint
        assert whole.path == f"/api/v1{route.path}"
        with pytest.raises(AttributeError, match="nothing_of_ours"):
            _ = whole.nothing_of_ours


def test_an_edge_with_one_driver_loads_no_other():
    program = (
        "import sys; from isthmus.ports.drivers import driver_spec; driver_spec('modbus-tcp'); print(*sys.modules)"
    )
    loaded = set(subprocess.check_output([sys.executable, "-c", program], text=True).split())
    assert "isthmus.drivers.modbus_tcp" in loaded
    assert not loaded & {"isthmus.drivers.opcua", "isthmus.drivers.sparkplug", "isthmus.drivers.mqtt"}


@pytest.mark.timeout(600)  # it makes every route whole, twice: some seconds of processor time
def test_the_contract_is_the_same_when_models_are_made_late():
    program = (
        "import json; from isthmus.app.core import load_first; load_first()\n"
        "from isthmus.web.api import openapi_document; print(json.dumps(openapi_document()))"
    )
    said = json.loads(subprocess.check_output([sys.executable, "-c", program], text=True))
    assert said == openapi_document()
