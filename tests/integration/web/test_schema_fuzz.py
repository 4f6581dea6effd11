"""Every operation of the OpenAPI document, asked with whatever fits its schema and with what does not: never a 5xx."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import schemathesis
from fake_alarms import FakeDesk, alarm_at
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode

from isthmus.web.api import openapi_document

pytestmark = [pytest.mark.real("schemathesis", "uvicorn"), pytest.mark.timeout(900)]

OUTSIDE: dict[tuple[str, str], str] = {}
"""Operations that are left out, each with its reason. Nothing here acts outside: devices, edges and the record are stand-ins."""

SIGNS_OUT = {("DELETE", "/api/v1/session"), ("PUT", "/api/v1/session/password")}
"""Asked with a token like all others; they refuse it (`needs_session`), so they cannot end the test's own session."""


def operations() -> list[tuple[str, str]]:
    paths = openapi_document()["paths"]
    return sorted((method.upper(), path) for path, methods in paths.items() for method in methods)


VALUES = {("ItemBody", "value"), ("WriteRequest", "value"), ("WriteRequest", "base")}
"""Numbers that go to a machine: its own range, which the gate knows, is their end."""


class Imports:
    """Takes every block."""

    async def import_position(self, key: str) -> None:
        return None

    async def take_import(self, key: str, position: Any, batches: Any) -> bool:
        return True


async def fuzz(works: Any, port: int, examples: int, start: int = 7) -> list[str]:
    """What answered with a 5xx, as curl lines."""
    schema = schemathesis.openapi.from_dict(openapi_document())
    schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
    works.services.imports = Imports()
    works.services.alarms = FakeDesk(alarm_at("hall/line1/filler/speed"), alarm_at("hall/line2/filler/speed", "low", 2))
    found: list[str] = []
    token = works.tokens["admin"]

    def one(operation: Any) -> None:
        @seed(start)
        @settings(
            max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            headers = {"Authorization": f"Bearer {token}"}
            answer = case.call(
                base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=90
            )  # some wait for news as long as they are asked to, up to a minute
            if answer.status_code >= 500:
                found.append(f"{answer.status_code} {answer.text[:200]} <- {case.as_curl_command()[:1500]}")

        ask()

    for result in schema.get_all_operations():
        operation = result.ok()
        if (operation.method.upper(), operation.path) not in OUTSIDE:
            await asyncio.to_thread(one, operation)
    return found


@pytest.mark.mission("M43", "M78")
async def test_no_operation_answers_with_a_5xx(controlled: Any, port: int) -> None:
    found = await fuzz(controlled, port, examples=4)
    assert "\n".join(found) == ""


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_no_operation_answers_with_a_5xx_at_length(controlled: Any, port: int) -> None:
    for start in range(5):
        found = await fuzz(controlled, port, examples=200, start=start)
        assert "\n".join(found) == ""


def test_nothing_is_left_out_that_is_not_there() -> None:
    assert set(OUTSIDE) <= set(operations())
    assert set(operations()) >= SIGNS_OUT


def integers(
    part: Any, where: tuple[str, ...], schemas: Any, found: dict[str, tuple[str, ...]], seen: set[str]
) -> None:
    """Into `found`: each integer of a schema that has no end."""
    if isinstance(part, dict):
        if part.get("type") == "integer" and not {"maximum", "exclusiveMaximum"} & set(part):
            found["/".join(where)] = where
        if (named := str(part.get("$ref", "")).rpartition("/")[2]) and named not in seen:
            seen.add(named)
            integers(schemas[named], (named,), schemas, found, seen)
        for key, below in part.items():
            integers(below, (*where, key), schemas, found, seen)
    elif isinstance(part, list):
        for i, below in enumerate(part):
            integers(below, (*where, str(i)), schemas, found, seen)


def test_every_integer_that_is_asked_for_has_an_end() -> None:
    """One that a database cannot hold would be an error of ours instead of a refusal."""
    document = openapi_document()
    found: dict[str, tuple[str, ...]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            asked = [operation.get("parameters", []), operation.get("requestBody", {})]
            integers(asked, (method, path), document["components"]["schemas"], found, set())
    assert {where: at for where, at in found.items() if (at[0], at[2]) not in VALUES} == {}
