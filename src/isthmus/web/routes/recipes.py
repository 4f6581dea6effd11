"""Recipes and parameter sets: versions, approval, download with a report."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Request, Response
from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from isthmus.control.model import MAX_REASON_CHARS, MAX_TEXT_CHARS
from isthmus.control.recipe_model import MOST_ITEMS, Download, Item, Recipe, Version
from isthmus.control.recipes import Detail
from isthmus.security.model import Action
from isthmus.values.errors import ConfigError
from isthmus.values.ids import MAX_PATH_CHARS, check_path
from isthmus.web.access import Room, Who, allow
from isthmus.web.audited import told
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound
from isthmus.web.routes.control import parts_of
from isthmus.web.times import iso

router = routes_of("recipes")

Name = Annotated[str, Path(max_length=120)]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


class ItemBody(BaseModel):
    tag: str = Field(
        max_length=MAX_PATH_CHARS, description="path relative to the asset; of the plant where there is none"
    )
    value: StrictBool | StrictInt | StrictFloat | Annotated[StrictStr, Field(max_length=MAX_TEXT_CHARS)]


class RecipeBody(BaseModel):
    name: str = Field(min_length=1, max_length=120)
    type: str = Field("", max_length=120, description="asset type; every asset of it can take the recipe")
    asset: str = Field("", max_length=MAX_PATH_CHARS, description="or one asset")
    description: str = Field("", max_length=1000)
    items: list[ItemBody] = Field(max_length=MOST_ITEMS, description="in the order in which they are written")
    reason: str = Field("", max_length=MAX_REASON_CHARS)


class ItemAnswer(BaseModel):
    tag: str
    value: float | int | str


class RecipeVersionAnswer(BaseModel):
    number: int
    state: str = Field(description="draft or approved")
    items: list[ItemAnswer]
    author: str
    created: str
    reason: str
    approved_by: str
    approved: str | None


class RecipeAnswer(BaseModel):
    name: str
    type: str
    asset: str
    description: str
    newest: RecipeVersionAnswer | None
    approved: RecipeVersionAnswer | None = Field(
        description="what a download writes; null while no version is approved"
    )


class RecipesAnswer(BaseModel):
    recipes: list[RecipeAnswer]


class VersionsAnswer(BaseModel):
    versions: list[RecipeVersionAnswer]


class DownloadBody(BaseModel):
    asset: str = Field(
        "", max_length=MAX_PATH_CHARS, description="which asset of the type; not needed where there is one"
    )
    version: int = Field(0, ge=0, le=2**31 - 1, description="the newest approved one unless told")
    reason: str = Field("", max_length=MAX_REASON_CHARS)


class LineAnswer(BaseModel):
    path: str
    value: float | int | str
    before: float | int | str | None
    state: str = Field(description="of the write, or `not written`")
    write: str = Field(description="its id in the journal")
    code: str
    reason: str
    clears: str


class DownloadAnswer(BaseModel):
    id: int
    recipe: str
    version: int
    asset: str
    by: str
    reason: str
    state: str = Field(
        description="waiting (for a second person), running, done, refused (nothing was written), stopped, broken (core ended), "
        "rejected or expired"
    )
    began: str
    ended: str | None
    second: str = Field(description="who agreed to it, or said no")
    said: str = Field(description="why not")
    expires_at: str | None = Field(description="until when it waits")
    lines: list[LineAnswer]


class WaitingDownload(DownloadAnswer):
    own: bool = Field(description="whether whoever asks is who asked for it")


class WaitingDownloads(BaseModel):
    downloads: list[WaitingDownload]


class DownloadRejection(BaseModel):
    reason: str = Field(max_length=MAX_REASON_CHARS)


class Downloads(BaseModel):
    downloads: list[DownloadAnswer]


@router.get("/recipes", dependencies=allow(Action.READ, part=True))
async def list_recipes(services: Room, principal: Who) -> RecipesAnswer:
    """Recipes by name, each with its newest and its approved version."""
    found = await parts_of(services).recipes.listed(principal)
    return RecipesAnswer(recipes=[_recipe(one) for one in found])


@router.post("/recipes", dependencies=allow(Action.RECIPE_CHANGE, part=True), status_code=201)
async def save_recipe(services: Room, principal: Who, body: RecipeBody, http: Request) -> RecipeVersionAnswer:
    """A new recipe, or the next version of one. Refused whole where a value does not fit a point of any of its assets."""
    if body.type and body.asset:
        raise ConfigError("asset: a recipe is for a type or for an asset, not for both")
    check_name(body.name)
    told(http).update(target=f"recipes/{body.name}", reason=body.reason)
    items = tuple(Item(item.tag, item.value) for item in body.items)
    recipe = Recipe(body.name, body.type, body.asset, body.description)
    made = await parts_of(services).recipes.save(principal, recipe, items, body.reason)
    told(http)["new"] = {"version": made.number}
    return _version(made)


@router.get("/recipes/{name}", dependencies=allow(Action.READ, part=True))
async def get_recipe(services: Room, principal: Who, name: Name) -> RecipeAnswer:
    """One recipe."""
    try:
        return _recipe(await parts_of(services).recipes.get(principal, name))
    except LookupError:
        raise _unknown(name) from None


@router.get("/recipes/{name}/versions", dependencies=allow(Action.READ, part=True))
async def list_recipe_versions(services: Room, principal: Who, name: Name) -> VersionsAnswer:
    """All versions, newest first."""
    try:
        found = await parts_of(services).recipes.versions(principal, name)
    except LookupError:
        raise _unknown(name) from None
    return VersionsAnswer(versions=[_version(one) for one in found])


@router.post("/recipes/{name}/versions/{n}/approve", dependencies=allow(Action.RECIPE_APPROVE, part=True))
async def approve_recipe(services: Room, principal: Who, name: Name, n: Number) -> RecipeVersionAnswer:
    """Agree to a version as another person than its author; only then it can be downloaded."""
    try:
        return _version(await parts_of(services).recipes.approve(principal, name, n))
    except LookupError:
        raise NotFound(f"there is no version {n} of recipe {name}", "unknown_recipe") from None


@router.post("/recipes/{name}/download", dependencies=allow(Action.WRITE, part=True))
async def download_recipe(
    services: Room, principal: Who, name: Name, body: DownloadBody, http: Request, response: Response
) -> DownloadAnswer:
    """Write its values to an asset one by one; the report says what was written, what not, and what was there before.

    202 where a point asks for a second person: the whole download waits for one.
    """
    told(http).update(reason=body.reason, target=f"recipes/{name} {body.asset}".strip())
    try:
        done = await parts_of(services).recipes.download(
            principal, name, asset=body.asset, number=body.version, reason=body.reason
        )
    except LookupError:
        raise _unknown(name) from None
    told(http)["new"] = {"version": done.number, "state": done.state}
    response.status_code = 202 if done.state == "waiting" else 200
    return _download(done)


@router.post("/recipes/{name}/downloads/{n}/approve", dependencies=allow(Action.CONTROL_APPROVE, part=True))
async def approve_download(services: Room, principal: Who, name: Name, n: Number, http: Request) -> DownloadAnswer:
    """Agree to a whole download as a second person: everything is checked anew and written."""
    told(http)["target"] = f"recipes/{name} download {n}"
    try:
        done = await parts_of(services).recipes.agree(principal, name, n)
    except LookupError:
        raise _no_download(name, n) from None
    told(http).update(new={"version": done.number, "state": done.state}, reason=done.reason)
    return _download(done)


@router.post("/recipes/{name}/downloads/{n}/reject", dependencies=allow(Action.CONTROL_APPROVE, part=True))
async def reject_download(
    services: Room, principal: Who, name: Name, n: Number, body: DownloadRejection, http: Request
) -> DownloadAnswer:
    """Say no to a download that waits, or take back one's own."""
    told(http).update(target=f"recipes/{name} download {n}", reason=body.reason)
    try:
        return _download(await parts_of(services).recipes.refuse(principal, name, n, body.reason))
    except LookupError:
        raise _no_download(name, n) from None


@router.get("/control/downloads", dependencies=allow(Action.READ, part=True))
async def list_waiting_downloads(services: Room, principal: Who) -> WaitingDownloads:
    """Downloads of recipes that wait for a second person, oldest first."""
    found = await parts_of(services).recipes.waiting(principal)
    return WaitingDownloads(downloads=[WaitingDownload(**_download(one).model_dump(), own=own) for one, own in found])


@router.get("/recipes/{name}/downloads", dependencies=allow(Action.READ, part=True))
async def list_downloads(
    services: Room, principal: Who, name: Name, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> Downloads:
    """Reports of downloads, newest first."""
    try:
        found = await parts_of(services).recipes.downloads(principal, name, limit)
    except LookupError:
        raise _unknown(name) from None
    return Downloads(downloads=[_download(one) for one in found])


def check_name(name: str) -> None:
    """A name that stands in addresses. Raises: ConfigError"""
    try:
        check_path(name)
        wrong = "/" in name
    except ConfigError:
        wrong = True
    if wrong:
        raise ConfigError(f"name: letters, digits, space and _ . ( ) + - are taken, was {name!r}")


def _unknown(name: str) -> NotFound:
    return NotFound(f"there is no recipe {name}", "unknown_recipe")


def _no_download(name: str, number: int) -> NotFound:
    return NotFound(f"there is no download {number} of recipe {name}", "unknown_recipe")


def _recipe(detail: Detail) -> RecipeAnswer:
    one = detail.recipe
    return RecipeAnswer(
        name=one.name,
        type=one.type,
        asset=one.asset,
        description=one.description,
        newest=_version(detail.newest) if detail.newest else None,
        approved=_version(detail.approved) if detail.approved else None,
    )


def _version(one: Version) -> RecipeVersionAnswer:
    return RecipeVersionAnswer(
        number=one.number,
        state=one.state,
        items=[ItemAnswer(tag=item.tag, value=item.value) for item in one.items],
        author=one.author,
        created=iso(one.created_ns),
        reason=one.reason,
        approved_by=one.approved_by,
        approved=iso(one.approved_ns) if one.approved_ns else None,
    )


def _download(one: Download) -> DownloadAnswer:
    return DownloadAnswer(
        id=one.id,
        recipe=one.recipe,
        version=one.number,
        asset=one.asset,
        by=one.by,
        reason=one.reason,
        state=one.state,
        began=iso(one.began_ns),
        ended=iso(one.ended_ns) if one.ended_ns else None,
        second=one.second,
        said=one.said,
        expires_at=iso(one.expires_ns) if one.expires_ns else None,
        lines=[
            LineAnswer(
                path=line.path, value=line.value, before=line.before, state=line.state, write=line.write, code=line.code,
                reason=line.reason, clears=line.clears,
            )
            for line in one.lines
        ],
    )  # fmt: skip
