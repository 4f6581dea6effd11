"""What may go wrong, named by what the caller does next; each is made from the API's problem details."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """One thing wrong in what was sent."""

    where: str
    path: str
    problem: str
    value: str = ""
    line: int = 0
    column: int = 0


class ApiError(Exception):
    """The server refused. ``code`` is stable and meant for programs, ``detail`` for people."""

    def __init__(self, status: int, code: str, detail: str, places: tuple[Place, ...] = ()) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.places = status, code, detail, places


class NotSignedIn(ApiError):
    """No token, or one that is not valid any more: make one with `isthmus token create`."""


class Forbidden(ApiError):
    """The token's role may not do this."""


class WriteRefused(Forbidden):
    """A write request was refused; the reason says why, and nothing was changed on a device."""

    @property
    def reason(self) -> str:
        """Why, and what would clear it."""
        return self.detail


class WriteUncertain(ApiError):
    """Nobody knows whether the write reached the device. It is not sent again; ``code`` and ``detail`` tell what is known."""


class NotFound(ApiError):
    """What was named does not exist, a tag for example."""


class Invalid(ApiError):
    """The question makes no sense as it is; ``places`` say where."""


class Busy(ApiError):
    """Ask again after ``after_s`` seconds."""

    after_s: float = 1.0


class Unreachable(ApiError):
    """Nobody answers at this address, or the answer broke off."""

    def __init__(self, detail: str) -> None:
        super().__init__(0, "unreachable", detail)


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: Invalid,
    401: NotSignedIn,
    403: Forbidden,
    404: NotFound,
    406: Invalid,
    409: Invalid,
    413: Invalid,
    422: Invalid,
    429: Busy,
    503: Busy,
}


_REFUSALS = frozenset({403, 409, 422})


def problem(status: int, body: bytes, retry_after: str | None = None, *, write: bool = False) -> ApiError:
    """The error of an answer; one that is no problem details, as a proxy's, is told as it is."""
    try:
        told = json.loads(body)
        code, detail = str(told["code"]), str(told["detail"])
        names = Place.__dataclass_fields__
        places = tuple(Place(**{k: v for k, v in p.items() if k in names}) for p in told.get("errors") or ())
    except (ValueError, KeyError, TypeError, AttributeError):
        code, detail, places = "http", f"{status}: {body[:200].decode(errors='replace')}", ()
    kind = _BY_STATUS.get(status, ApiError)
    refused = write and status in _REFUSALS
    error = (WriteRefused if refused else kind)(status, code, detail, places)
    if isinstance(error, Busy) and retry_after and retry_after.isdecimal():
        error.after_s = float(retry_after)
    return error
