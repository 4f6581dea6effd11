"""The way back to the machines: not built yet, and said plainly."""

from __future__ import annotations

from typing import NoReturn

from fastapi import APIRouter

from isthmus.security.model import Action
from isthmus.values.errors import Denied
from isthmus.web.access import allow

router = APIRouter(tags=["control"])


@router.post("/control/writes", status_code=403, dependencies=allow(Action.READ, part=True), response_model=None)
async def request_write() -> NoReturn:
    """Always refused: this version of Isthmus has no write path."""
    raise Denied("this version of Isthmus has no way to write to a device; nothing was sent", "write_path_absent")
