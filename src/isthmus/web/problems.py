"""Every error over HTTP has one shape: problem details.

Source: RFC 9457
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from isthmus.ports.audit import NotDurable
from isthmus.security.attempts import TooManyFailures
from isthmus.values.errors import (
    ConfigError,
    Denied,
    Finding,
    Findings,
    IsthmusError,
    Malformed,
    NotConnected,
    Rejected,
    TryLater,
)

MEDIA_TYPE = "application/problem+json"

_DENIED_STATUS = {
    "no_credentials": 401,
    "wrong_password": 401,
    "link_spent": 401,
    "totp_needed": 401,
    "wrong_code": 401,
    "wrong_badge": 401,
    "code_spent": 401,
    "look_alike": 409,
    "badge_taken": 409,
    "passkey_refused": 401,
    "passkey_suspect": 401,
    "challenge_spent": 401,
    "stale_base": 409,
    "name_taken": 409,
    "conflict": 409,
    "backup_running": 409,
    "approval_needed": 409,
    "window_closed": 409,
    "wrong_state": 409,
    "too_many_changes": 409,
    "too_many_screens": 409,
    "reason_needed": 422,
    "value_type": 422,
    "out_of_range": 422,
    "step": 422,
    "rate": 422,
    "value_changed": 409,
    "value_unknown": 409,
    "write_open": 409,
    "selection_needed": 409,
    "selection_gone": 409,
    "too_many_waiting": 409,
    "download_running": 409,
    "not_approved": 409,
    "beyond_stock": 409,
    "beyond_count": 409,
    "beyond_order": 409,
    "lot_held": 409,
    "lot_expired": 409,
    "lot_circle": 409,
    "not_in_bill": 409,
    "machine_busy": 409,
    "busy_elsewhere": 409,
    "operation_order": 409,
    "steps_open": 409,
    "wrong_step": 409,
    "counted_by_machine": 409,
    "unknown_host": 421,
}
"""Refusals that are not plainly 'you may not' (403)."""

_CODES = {404: "not_found", 405: "method_not_allowed", 406: "not_acceptable", 413: "too_large", 415: "media_type"}
_SECRET = frozenset({"password", "current", "link", "token", "code", "pin", "badge", "credential"})


class Place(BaseModel):
    """One thing wrong in what was sent."""

    where: str = Field(description="file, or query, path, body")
    line: int = Field(0, description="from 1; 0 where there is no such place")
    column: int = 0
    path: str = Field(description="dotted path inside the document")
    problem: str
    value: str = ""
    severity: str = "error"


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    type: str = Field(description="urn:isthmus:problem:<code>")
    title: str
    status: int
    detail: str = Field(description="in words, fit for a user's eyes")
    code: str = Field(description="stable, for programs")
    errors: list[Place] | None = None


class NotFound(IsthmusError):
    """What was named does not exist."""

    def __init__(self, reason: str, code: str = "not_found") -> None:
        super().__init__(reason)
        self.code = code


class Refused(IsthmusError):
    """The request cannot be served as it is, whoever asks."""

    def __init__(self, reason: str, status: int, code: str) -> None:
        super().__init__(reason)
        self.status, self.code = status, code


def place(finding: Finding) -> dict[str, Any]:
    """A finding as it is sent."""
    return {
        "where": finding.where,
        "line": finding.line,
        "column": finding.column,
        "path": finding.path,
        "problem": finding.problem,
        "value": finding.value,
        "severity": finding.severity,
    }


def problem(
    status: int,
    code: str,
    detail: str,
    errors: Sequence[Mapping[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer for an error."""
    body: dict[str, Any] = {
        "type": f"urn:isthmus:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if errors is not None:
        body["errors"] = errors
    return Response(orjson.dumps(body), status, headers, MEDIA_TYPE)


def answer(error: IsthmusError) -> Response:
    """The answer for an error we raised on purpose."""
    text = str(error)
    match error:
        case TooManyFailures():
            return problem(429, "too_many_failures", text, headers=_retry(error.after_s))
        case TryLater():
            return problem(503, "try_later", text, headers=_retry(error.after_s))
        case Denied():
            status = _DENIED_STATUS.get(error.code, 403)
            return problem(status, error.code, text, headers={"WWW-Authenticate": "Bearer"} if status == 401 else None)
        case Findings():
            return problem(422, "findings", text, [place(f) for f in error.findings])
        case ConfigError():
            return problem(422, "invalid", text, _places(text))
        case NotFound():
            return problem(404, error.code, text)
        case Refused():
            return problem(error.status, error.code, text)
        case NotDurable():
            return problem(503, "audit_unavailable", text, headers=_retry(5.0))
        case NotConnected():
            return problem(503, "not_connected", text, headers=_retry(5.0))
        case Rejected():
            return problem(502, "rejected", text)
        case Malformed():
            return problem(400, "malformed", text)
        case _:
            return problem(500, "internal", text)


def _places(text: str) -> list[dict[str, Any]]:
    path, found, rest = text.partition(": ")
    return [place(Finding("error", "request", 0, 0, path if found else "", rest if found else text))]


def _retry(after_s: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(after_s)))}


def internal() -> Response:
    """The answer for a bug; its traceback is in the log."""
    return problem(500, "internal", "something went wrong inside Isthmus; the log of core has the details")


def _invalid(errors: Iterable[Mapping[str, Any]]) -> Response:
    places = []
    for error in errors:
        where, *path = (str(part) for part in error["loc"])
        given = error.get("input")
        show = isinstance(given, str | int | float) and not _SECRET & set(path)
        finding = Finding("error", where, 0, 0, ".".join(path), str(error["msg"]), str(given)[:200] if show else "")
        places.append(place(finding))
    detail = "; ".join(f"{p['path'] or p['where']}: {p['problem']}" for p in places[:5])
    return problem(422, "invalid", detail, places)


def install(app: FastAPI) -> None:
    """Give every error of an app this shape; what is not handled here the doors catch."""

    async def ours(_: Request, error: Exception) -> Response:
        return answer(error) if isinstance(error, IsthmusError) else internal()

    async def invalid(_: Request, error: Exception) -> Response:
        return _invalid(error.errors()) if isinstance(error, RequestValidationError) else internal()

    async def http(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            return internal()
        status = error.status_code
        detail = str(error.detail)
        if status in (404, 405):
            detail = f"there is no {request.method} {request.url.path}"
        return problem(status, _CODES.get(status, "http"), detail, headers=error.headers)

    app.add_exception_handler(IsthmusError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
