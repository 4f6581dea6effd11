"""Process screens: list, show, draw, put to review, publish, compare, restore; import of drawings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Path, Query, Request, Response
from pydantic import Field

from isthmus.namespace.changes import Hand
from isthmus.screens.model import difference
from isthmus.screens.service import DRAFT, REVIEW, Screens, is_editor, paths_of, starter
from isthmus.screens.store import Screen, Version
from isthmus.screens.svg import MOST_BYTES, import_svg
from isthmus.security.model import Action, Principal, Proof
from isthmus.values.ids import MAX_PATH_CHARS
from isthmus.web.access import Room, Seen, Sight, Who, allow
from isthmus.web.audited import told
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound, Place, place
from isthmus.web.services import Services
from isthmus.web.times import iso

router = routes_of("screens")

T = TypeVar("T")
Ident = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9-]{0,59}$", description="its name in the address")]
Base = Annotated[int, Field(ge=1, le=2**31 - 1, description="the revision it began from; refused when it is another")]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Verb = Literal["save", "review", "publish", "return", "retire"]


class ScreenSummary(BaseModel):
    id: str
    title: str
    description: str
    asset: str = Field(description="the asset it shows when none is asked for; empty: none")
    type: str = Field(description="the asset type it can be opened for; empty: it is no template")
    state: Literal["draft", "review", "published"]
    rev: int = Field(description="grows with everything that happens to its draft")
    live: int | None = Field(description="the version people see")
    live_at: str | None
    published_by: str
    draft_by: str
    draft_at: str
    review_by: str
    review_at: str | None
    note: str = Field(description="what its author says, or why it came back")
    elements: int
    may: list[Verb] = Field(description="what whoever asks may do to it now")


class ScreenList(BaseModel):
    screens: list[ScreenSummary]


class ScreenAnswer(ScreenSummary):
    version: int = Field(description="which one this is; 0 is the draft")
    document: dict[str, Any]
    findings: list[Place] = Field(description="of the draft: what stands against putting it to review")


class NewScreen(BaseModel):
    id: str = Field(max_length=60)
    document: dict[str, Any] | None = None
    asset: str | None = Field(
        None, max_length=MAX_PATH_CHARS, description="draw what is below this asset, where there is no document"
    )


class ScreenDraft(BaseModel):
    document: dict[str, Any]
    base: Base


class ToReview(BaseModel):
    base: Base
    note: str = Field("", max_length=1000, description="what was changed, for who looks at it")


class ToPublish(BaseModel):
    base: Base


class GiveBack(BaseModel):
    base: Base
    reason: str = Field("", max_length=1000, description="what is wrong with it; who drew it needs none")


class Restore(BaseModel):
    base: Base
    version: int = Field(ge=1, le=2**31 - 1)


class ScreenVersion(BaseModel):
    version: int
    authors: list[str]
    published_by: str
    published_at: str
    note: str


class ScreenVersions(BaseModel):
    versions: list[ScreenVersion]


class Difference(BaseModel):
    action: Literal["add", "change", "remove"]
    id: str = Field(description="the element; empty for the screen itself")
    kind: str
    what: list[str] = Field(description="the keys that differ")


class Compared(BaseModel):
    differences: list[Difference]


class SvgText(BaseModel):
    svg: str = Field(max_length=MOST_BYTES)


class TakenOut(BaseModel):
    what: str
    count: int


class Drawing(BaseModel):
    source: str = Field(description="the clean drawing as a data: URL, for an element of kind image")
    width: float
    height: float
    told: list[TakenOut] = Field(description="what was taken out")


def _room(services: Services) -> Screens:
    if services.screens is None:
        raise NotFound("no screens are kept here", "no_screens")
    return services.screens


def _hand(services: Services, principal: Principal) -> Hand:
    """Who acts; for a token also the people who made one of its name."""
    behind: tuple[str, ...] = ()
    if principal.proof is Proof.TOKEN:
        behind = tuple({t.created_by for t in services.security.tokens() if t.name == principal.name})
    return Hand(principal.name, principal.user_id, principal.proof is Proof.SESSION, behind)


def _allowed(services: Services, principal: Principal, action: Action) -> bool:
    return services.policies.current().decide(principal, action).allowed


def _sees(services: Services, sight: Sight, document: Mapping[str, Any]) -> bool:
    """Who is narrowed to a part of the plant sees the screens that show nothing else of it."""
    if not sight.narrowed:
        return True
    plant = services.live.plant
    assets = {asset.path for asset in plant.assets}
    return all(
        sight.tag(plant.by_path[path]) if path in plant.by_path else path not in assets or sight.path(path)
        for path in paths_of(document)
    )


def _may(services: Services, screen: Screen, principal: Principal) -> list[Verb]:
    """What somebody may do to a screen now; doing it asks again."""
    change = _allowed(services, principal, Action.SCREEN_CHANGE)
    publish = _allowed(services, principal, Action.SCREEN_PUBLISH)
    hand = _hand(services, principal)
    fit: dict[Verb, bool] = {
        "save": change,
        "review": change and screen.state == DRAFT,
        "publish": publish and screen.state == REVIEW and hand.person and not is_editor(screen, hand),
        "return": publish and screen.state == REVIEW,
        "retire": publish,
    }
    return [verb for verb, good in fit.items() if good]


def _summary(
    services: Services, principal: Principal, screen: Screen, version: Version | None, document: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "id": screen.id,
        "title": document.get("title", screen.title),
        "description": document.get("description", ""),
        "asset": document.get("asset", ""),
        "type": document.get("type", ""),
        "state": screen.state,
        "rev": screen.rev,
        "live": screen.live,
        "live_at": iso(version.published_ns) if version else None,
        "published_by": version.published_by if version else "",
        "draft_by": screen.draft_by,
        "draft_at": iso(screen.draft_ns),
        "review_by": screen.review_by,
        "review_at": iso(screen.review_ns) if screen.review_ns else None,
        "note": screen.note,
        "elements": len(document.get("elements", ())),
        "may": _may(services, screen, principal),
    }


def _draws(services: Services, principal: Principal) -> bool:
    """Whether somebody may see what is not published yet."""
    return any(_allowed(services, principal, one) for one in (Action.SCREEN_CHANGE, Action.SCREEN_PUBLISH))


def _answer(services: Services, principal: Principal, sight: Sight, ident: str, wanted: int | None) -> ScreenAnswer:
    room = _room(services)
    screen = room.get(ident)
    draws = _draws(services, principal)
    number = (screen.live or 0) if wanted is None else wanted
    if number != screen.live and not draws:
        raise LookupError(f"{ident}, published")
    document = room.document(ident, number)
    if not _sees(services, sight, document):
        raise LookupError(ident)
    live = next((v for v in room.versions(ident) if v.version == screen.live), None)
    findings = room.findings(document) if draws and number == 0 else ()
    return ScreenAnswer.model_validate(
        {
            **_summary(services, principal, screen, live, document),
            "version": number,
            "document": document,
            "findings": [place(f) for f in findings],
        }
    )


async def _threaded(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except LookupError as error:
        raise NotFound(f"there is no screen {error.args[0] if error.args else ''}", "unknown_screen") from None


async def _after(
    services: Services, principal: Principal, sight: Sight, http: Request, do: Callable[[], Screen]
) -> ScreenAnswer:
    """The draft after something was done, and a line of it for the audit trail."""
    screen = await _threaded(do)
    told(http)["new"] = {"screen": screen.id, "rev": screen.rev, "state": screen.state, "live": screen.live}
    return await _threaded(lambda: _answer(services, principal, sight, screen.id, 0))


@router.get("/screens", dependencies=allow(Action.READ, part=True))
async def list_screens(services: Room, principal: Who, sight: Seen) -> ScreenList:
    """Screens in use, by title; those that were never published only for who may draw or publish."""

    def work() -> list[ScreenSummary]:
        room, draws = _room(services), _draws(services, principal)
        live = room.live_documents()
        rows: list[ScreenSummary] = []
        for screen in room.listed():
            document = live.get(screen.id) or (screen.draft if draws else None)
            if document is None or not _sees(services, sight, document):
                continue
            version = next((v for v in room.versions(screen.id) if v.version == screen.live), None)
            rows.append(ScreenSummary.model_validate(_summary(services, principal, screen, version, document)))
        return rows

    return ScreenList(screens=await _threaded(work))


@router.post("/screens", dependencies=allow(Action.SCREEN_CHANGE), status_code=201)
async def create_screen(request: NewScreen, services: Room, principal: Who, sight: Seen, http: Request) -> ScreenAnswer:
    """A new screen as a draft: a document, or a first drawing of what is below an asset."""

    def work() -> Screen:
        document = request.document
        if document is None:
            document = starter(services.live.plant, request.asset or "")
        return _room(services).create(request.id, document, _hand(services, principal))

    return await _after(services, principal, sight, http, work)


@router.post("/screens/import", dependencies=allow(Action.SCREEN_CHANGE))
async def import_drawing(request: SvgText, services: Room, http: Request) -> Drawing:
    """An SVG drawing, cleaned: what may hurt is taken out and told. Nothing is kept."""
    drawing = await asyncio.to_thread(import_svg, request.svg.encode("utf-8", "replace"))
    taken = [TakenOut(what=one.what, count=one.count) for one in drawing.told]
    told(http)["new"] = {"told": [f"{one.count} {one.what}" for one in taken]}
    return Drawing(source=drawing.source, width=drawing.width, height=drawing.height, told=taken)


@router.get("/screens/{ident}", dependencies=allow(Action.READ, part=True))
async def get_screen(
    services: Room,
    principal: Who,
    sight: Seen,
    ident: Ident,
    response: Response,
    version: Annotated[
        int | None, Query(ge=0, le=2**31 - 1, description="0 is the draft; what people see if absent")
    ] = None,
) -> ScreenAnswer:
    """One screen with its document; the draft where it was never published."""
    answer = await _threaded(lambda: _answer(services, principal, sight, ident, version))
    response.headers["ETag"] = f'"{answer.rev}"'
    return answer


@router.put("/screens/{ident}", dependencies=allow(Action.SCREEN_CHANGE))
async def save_screen(
    request: ScreenDraft, services: Room, principal: Who, sight: Seen, ident: Ident, http: Request
) -> ScreenAnswer:
    """Save the draft; refused whole with every element that is wrong, or when somebody else saved meanwhile."""

    def work() -> Screen:
        room = _room(services)
        old = room.get(ident).draft or {}
        saved = room.save(ident, request.document, request.base, _hand(services, principal))
        lines = difference(old, saved.draft or {})
        told(http)["old"] = {"rev": request.base, "changes": len(lines)}
        return saved

    return await _after(services, principal, sight, http, work)


@router.delete("/screens/{ident}", dependencies=allow(Action.SCREEN_PUBLISH), status_code=204)
async def retire_screen(services: Room, ident: Ident, base: Annotated[int, Query(ge=1, le=2**31 - 1)]) -> None:
    """Take a screen out of use; what was published of it stays in the records."""
    await _threaded(lambda: _room(services).retire(ident, base))


@router.get("/screens/{ident}/versions", dependencies=allow(Action.READ))
async def list_screen_versions(services: Room, ident: Ident) -> ScreenVersions:
    """What was published, newest first."""
    found = await _threaded(lambda: _room(services).versions(ident))
    return ScreenVersions(
        versions=[
            ScreenVersion(
                version=v.version,
                authors=list(v.authors),
                published_by=v.published_by,
                published_at=iso(v.published_ns),
                note=v.note,
            )
            for v in found
        ]
    )


@router.get("/screens/{ident}/compare", dependencies=allow(Action.READ))
async def compare_screen(
    services: Room,
    principal: Who,
    ident: Ident,
    old: Annotated[int, Query(ge=0, le=2**31 - 1, description="a version; 0 is the draft")],
    new: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
) -> Compared:
    """What differs between two versions, element by element."""
    if 0 in (old, new) and not _draws(services, principal):
        raise NotFound(f"there is no screen {ident}, published", "unknown_screen")
    lines = await _threaded(lambda: _room(services).compare(ident, old, new))
    return Compared(differences=[Difference.model_validate(line) for line in lines])


@router.post("/screens/{ident}/review", dependencies=allow(Action.SCREEN_CHANGE))
async def review_screen(
    request: ToReview, services: Room, principal: Who, sight: Seen, ident: Ident, http: Request
) -> ScreenAnswer:
    """Put the draft to review; refused with every element that would show nothing."""
    told(http)["reason"] = request.note
    hand = _hand(services, principal)
    return await _after(
        services, principal, sight, http, lambda: _room(services).review(ident, request.base, request.note, hand)
    )


@router.post("/screens/{ident}/publish", dependencies=allow(Action.SCREEN_PUBLISH))
async def publish_screen(
    request: ToPublish, services: Room, principal: Who, sight: Seen, ident: Ident, http: Request
) -> ScreenAnswer:
    """Let people see it, as another person than those who drew it; a token cannot do it for a person."""
    hand = _hand(services, principal)
    return await _after(services, principal, sight, http, lambda: _room(services).publish(ident, request.base, hand))


@router.post("/screens/{ident}/return", dependencies=allow(Action.SCREEN_PUBLISH))
async def return_screen(
    request: GiveBack, services: Room, principal: Who, sight: Seen, ident: Ident, http: Request
) -> ScreenAnswer:
    """Not as it is: a reviewer says why. Who drew it saves the draft anew, or takes it back without a reason."""
    hand = _hand(services, principal)
    told(http)["reason"] = request.reason
    return await _after(
        services, principal, sight, http, lambda: _room(services).give_back(ident, request.base, request.reason, hand)
    )


@router.post("/screens/{ident}/restore", dependencies=allow(Action.SCREEN_CHANGE))
async def restore_screen(
    request: Restore, services: Room, principal: Who, sight: Seen, ident: Ident, http: Request
) -> ScreenAnswer:
    """Make what was published once the draft."""
    hand = _hand(services, principal)
    return await _after(
        services, principal, sight, http, lambda: _room(services).restore(ident, request.version, request.base, hand)
    )
