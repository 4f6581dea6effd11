"""How the installation itself is, its metrics, and the door of `isthmus backup`."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from pydantic import Field

from isthmus.security.model import Action, Principal, Proof
from isthmus.values.errors import Denied
from isthmus.web.access import Room, Who, allow
from isthmus.web.audited import told
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.routes.connections import connections_answer
from isthmus.web.system import BackupOutcome, System

router = routes_of("system")
scraped = routes_of("system")
"""Not below /api/v1: where scrapers look."""


class Snapshot(BaseModel):
    owner: int = Field(gt=0, le=2**31 - 1, description="process id; when it is gone the snapshot is given up")


@router.get("/system", dependencies=allow(Action.READ))
async def get_system(services: Room) -> System:
    """Processes, versions, queues, lags, disk, certificates, backups and clock."""
    return await services.operations.system()


@router.post("/system/backups", dependencies=allow(Action.BACKUP), status_code=201)
async def hold_snapshot(wish: Snapshot, services: Room, who: Who) -> dict[str, Any]:
    """Hold a consistent snapshot of everything, for the command that copies it."""
    _local(who)
    return await services.operations.hold_snapshot(wish.owner)


@router.put("/system/backups/{ident}", dependencies=allow(Action.BACKUP), status_code=204)
async def conclude_backup(ident: str, outcome: BackupOutcome, services: Room, who: Who, request: Request) -> None:
    """The backup is complete: keep what is said about it, let the snapshot go."""
    _local(who)
    told(request)["new"] = outcome.model_dump()
    await services.operations.release_snapshot(ident, outcome)


@router.delete("/system/backups/{ident}", dependencies=allow(Action.BACKUP), status_code=204)
async def give_up_backup(ident: str, services: Room, who: Who) -> None:
    """Let the snapshot go."""
    _local(who)
    await services.operations.release_snapshot(ident, None)


def _local(who: Principal) -> None:
    """A snapshot is read from the disk: only who sits on this machine can do anything with it.

    Raises: Denied (local_only)
    """
    if who.proof is not Proof.SOCKET:
        raise Denied("snapshots are held through the socket in the data directory: use `isthmus backup`", "local_only")


@scraped.get("/metrics", dependencies=allow(Action.READ), include_in_schema=False)
async def get_metrics(request: Request, services: Room) -> Response:
    """The same for a scraper, as OpenMetrics or Prometheus text."""
    from isthmus.web.metrics import Families, render

    system = await services.operations.system()
    connections = connections_answer(services).connections
    families = Families(system, connections, services.site_status()["historian"]["rows"])
    body, media_type = render(families, request.headers.get("accept", ""))
    return Response(body, headers={"content-type": media_type})
