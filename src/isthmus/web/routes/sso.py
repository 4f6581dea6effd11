"""What sign-in offers, and single sign-on by outside providers."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import urlencode

from fastapi import BackgroundTasks, Request, Response
from pydantic import Field
from starlette.responses import RedirectResponse

from isthmus.security.emergency import State as Sealed
from isthmus.security.oidc import State
from isthmus.values.errors import Denied, IsthmusError, NotConnected, TryLater
from isthmus.web.access import Room
from isthmus.web.audited import told
from isthmus.web.doors import API
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound
from isthmus.web.routes.session import From, enter
from isthmus.web.services import Services

router = routes_of("session")

KEPT: Final = "isthmus_sign_on"
"""Cookie that binds a sign-in under way to its browser; sent along when the provider sends the browser back."""
TROUBLE: Final = "isthmus_sign_on_problem"
"""Cookie with why a sign-in failed, sealed, so that nobody's link makes our page say what they want."""
_PATH: Final = f"{API}/session/oidc"
_METHODS: Final = f"{API}/session/methods"
_START: Final = "/"


class ProviderOffer(BaseModel):
    name: str
    label: str
    state: State
    reason: str = Field(description="why it cannot be used now, empty where it can")


class Trouble(BaseModel):
    code: str
    detail: str


class Methods(BaseModel):
    """What signing in offers here, to this browser."""

    password: bool = True
    totp: bool = Field(description="second factors can be set up")
    passkey: bool
    passkey_reason: str = Field(description="why passkeys do not work on this page, empty where they do")
    oidc: list[ProviderOffer]
    problem: Trouble | None = Field(description="why the sign-on of this browser failed; told once")
    badge: str | None = Field(description="the station this browser is enrolled as; null where badges are not taken")
    badge_only: bool = Field(description="no PIN is asked for here")
    break_glass: bool = Field(description="a sealed credential is ready")


def page_origin(services: Services, request: Request) -> str:
    """The origin of the page that asks. Browsers leave it out of reads; then it is ours under the name they asked for."""
    host = request.headers.get("host", "").casefold()
    named = (one for one in services.sign_on.origins.allowed if one.partition("://")[2] == host)
    return request.headers.get("origin") or next(named, f"{request.url.scheme}://{host}")


@router.get("/session/methods")
async def methods(
    services: Room, request: Request, response: Response, later: BackgroundTasks, browser: From
) -> Methods:
    """What signing in offers here. Providers are told of from memory, and asked after the answer has left."""
    reason = services.passkeys.fits(page_origin(services, request))
    told = services.sign_on.seal.open(request.cookies.get(TROUBLE, ""), "trouble")
    if TROUBLE in request.cookies:
        response.delete_cookie(TROUBLE, path=_METHODS, httponly=True, samesite="lax")
    if services.sign_on.due():
        later.add_task(services.sign_on.refresh)
    offers = [
        ProviderOffer(name=s.name, label=s.label, state=s.state, reason=s.reason) for s in services.sign_on.states()
    ]
    security = services.security
    station = await asyncio.to_thread(security.stations.whose, browser.station)
    sealed = await asyncio.to_thread(security.emergency.state)
    return Methods(
        totp=security.second.offered,
        passkey=not reason,
        passkey_reason=reason,
        oidc=offers,
        problem=Trouble(code=told[0], detail=told[1]) if isinstance(told, list) else None,
        badge=station.name if station else None,
        badge_only=station is not None and station.badge_only,
        break_glass=sealed is Sealed.READY,
    )


@router.get("/session/oidc/{provider}", status_code=302, response_class=RedirectResponse)
async def begin_sign_on(provider: str, services: Room, request: Request, to: str = _START) -> Response:
    """Send the browser to a provider; a page opens this as a link."""
    if not services.sign_on.has(provider):
        raise NotFound("there is no such provider", "unknown_provider")
    home = services.sign_on.origins.primary
    if request.headers.get("host", "").casefold() != home.partition("://")[2] and "home" not in request.query_params:
        # The provider sends back to one address only, and cookies stay where they were set: begin there.
        return RedirectResponse(f"{home}{_PATH}/{provider}?{urlencode({'to': _local(to), 'home': '1'})}", 302)
    try:
        address, kept = await services.sign_on.begin(provider, _local(to))
    except IsthmusError as error:
        return _failed(services, request, error)
    response = RedirectResponse(address, 302)
    _keep(services, response, KEPT, kept, _PATH, 600)
    return response


@router.get("/session/oidc/{provider}/callback", status_code=303, response_class=RedirectResponse)
async def finish_sign_on(provider: str, services: Room, request: Request, browser: From) -> Response:
    """Where a provider sends the browser back to: sets the session cookie and opens the page it came from."""
    if not services.sign_on.has(provider):
        raise NotFound("there is no such provider", "unknown_provider")
    kept = request.cookies.get(KEPT, "")
    try:
        signed_in, to = await services.sign_on.finish(
            provider, kept, request.query_params, browser.source, **browser.more
        )
    except IsthmusError as error:
        told(request).update(tried="", result=f"refused {code_of(error)}")
        response = _failed(services, request, error)
    else:
        response = RedirectResponse(to, 303)
        await enter(services, request, response, signed_in)
    response.delete_cookie(KEPT, path=_PATH, httponly=True, samesite="lax")
    return response


def _keep(services: Services, response: Response, name: str, value: str, path: str, age_s: int) -> None:
    secure = services.sign_on.origins.primary.startswith("https:")
    response.set_cookie(name, value, max_age=age_s, path=path, secure=secure, httponly=True, samesite="lax")


def _failed(services: Services, request: Request, error: IsthmusError) -> Response:
    """A browser goes to the sign-in page, which says why; a program gets the problem."""
    if "text/html" not in request.headers.get("accept", ""):
        raise error
    code = code_of(error)
    response = RedirectResponse(f"/login?problem={code}", 303)
    _keep(services, response, TROUBLE, services.sign_on.seal.close([code, str(error)], "trouble"), _METHODS, 120)
    return response


def code_of(error: IsthmusError) -> str:
    """What went wrong, for programs."""
    match error:
        case Denied():
            return error.code
        case NotConnected() | TryLater():
            return "provider_unreachable"
    return "provider_unfit"


def _local(to: str) -> str:
    """A page of ours, or the first one: never another host, never a route of the API."""
    plain = to.isascii() and to.isprintable() and len(to) <= 500 and "\\" not in to
    return to if plain and to.startswith("/") and not to.startswith(("//", "/api")) else _START
