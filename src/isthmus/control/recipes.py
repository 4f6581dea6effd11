"""Recipes and parameter sets: versions, a second person who agrees to them, and downloads that are all or told.

A download first checks every value as if it were written; when one would be refused nothing is written at all. Where a point
asks for a second person the whole download waits for one, once. Then each goes the way of every write, in the order of the
recipe, and the first that is not done stops the rest. The report names what was written, what not, and what was there before.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from isthmus.bus.tasks import end
from isthmus.control import model
from isthmus.control import recipe_store as store
from isthmus.control.model import APPROVAL_S, READ, Asker, Permissions, Refusal, Stage, checked_value
from isthmus.control.people import who
from isthmus.control.recipe_model import MOST_ITEMS, Download, Item, Line, Recipe, Version
from isthmus.control.service import Control
from isthmus.namespace.model import Plant
from isthmus.ports.audit import Audit, NotDurable
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, IsthmusError
from isthmus.values.ids import MAX_PATH_CHARS
from isthmus.values.messages.control import Written

CHANGE = "recipe.change"
APPROVE = "recipe.approve"
MOST_LISTED = 100
MOST_WAITING = 50
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A download that waits for a second person, and who asked for it."""

    report: Download
    asker: Asker


@dataclass(frozen=True, slots=True)
class Detail:
    """A recipe with its newest version, and the newest that was approved."""

    recipe: Recipe
    newest: Version | None
    approved: Version | None


class Recipes:
    """Keeps recipes and carries downloads out."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        control: Control,
        plant: Callable[[], Plant],
        permissions: Permissions,
        audit: Audit,
        behind: Callable[[Asker], tuple[str, ...]],
        log: logging.Logger,
    ) -> None:
        self._engine, self._clock, self._control, self._plant = engine, clock, control, plant
        self._permissions, self._audit, self._behind, self._log = permissions, audit, behind, log
        self._running: dict[str, asyncio.Task[Download]] = {}  # by asset
        self._waiting: dict[int, _Waiting] = {}

    async def open(self) -> None:
        """What an earlier core had begun has stopped where it was, what waited for a person has expired; nothing is sent again."""

        def mend(db: Connection) -> bool:
            found = store.open_downloads(db)
            for one in found:
                state = "broken" if one.state == "running" else "expired"
                store.save_download(db, replace(one, state=state, ended_ns=self._clock.now_ns()))
            return any(one.state == "running" for one in found)

        if await self._do(mend):
            self._log.warning("downloads of recipes were cut off when core ended; their reports tell how far they came")

    async def close(self) -> None:
        """End what is under way."""
        await end(self._running.values())

    # reading

    async def listed(self, asker: Asker) -> list[Detail]:
        """Recipes somebody may read, by name."""

        def load(db: Connection) -> list[Detail]:
            return [self._detail(db, one) for one in store.recipes(db)]

        return [one for one in await self._do(load) if self._visible(asker, one.recipe)]

    async def get(self, asker: Asker, name: str) -> Detail:
        """One. Raises: LookupError"""

        def load(db: Connection) -> Detail | None:
            found = store.recipe(db, name)
            return None if found is None else self._detail(db, found)

        found = await self._do(load)
        if found is None or not self._visible(asker, found.recipe):
            raise LookupError(name)
        return found

    async def versions(self, asker: Asker, name: str) -> list[Version]:
        """All of one recipe, newest first. Raises: LookupError"""
        await self.get(asker, name)
        return await self._do(lambda db: store.versions(db, name))

    async def downloads(self, asker: Asker, name: str, limit: int = 20) -> list[Download]:
        """Downloads of a recipe, newest first. Raises: LookupError"""
        await self.get(asker, name)
        await self._expire()
        found = await self._do(lambda db: store.downloads(db, name, min(limit, MOST_LISTED)))
        return [one for one in found if self._reads_all(asker, one)]

    async def waiting(self, asker: Asker) -> list[tuple[Download, bool]]:
        """Downloads that wait for a second person, oldest first, each with whether this somebody asked for it."""
        await self._expire()
        found = [one for one in self._waiting.values() if self._reads_all(asker, one.report)]
        return [(one.report, self._same(one.asker, asker)) for one in found]

    def _reads_all(self, asker: Asker, one: Download) -> bool:
        return all(self._reads(asker, line.path) for line in one.lines)

    @staticmethod
    def _detail(db: Connection, recipe: Recipe) -> Detail:
        found = store.versions(db, recipe.name)
        approved = next((v for v in found if v.state == "approved"), None)
        return Detail(recipe, found[0] if found else None, approved)

    def _reads(self, asker: Asker, path: str) -> bool:
        return self._permissions.decide(asker, READ, path).allowed

    def _visible(self, asker: Asker, recipe: Recipe) -> bool:
        """Whether somebody may read any of the assets it is for; one of plain paths asks for the whole site."""
        if recipe.type:
            return any(self._reads(asker, path) for path in self._assets(recipe))
        return self._reads(asker, recipe.asset)

    def _assets(self, recipe: Recipe) -> list[str]:
        if recipe.type:
            return [asset.path for asset in self._plant().assets if asset.type == recipe.type]
        return [recipe.asset]

    # changing

    async def save(self, asker: Asker, recipe: Recipe, items: tuple[Item, ...], reason: str) -> Version:
        """A new recipe, or the next version of one. Every value is held against the points of every asset it is for.

        Raises: Refusal, ConfigError naming each value that does not fit, NotDurable
        """
        known = await self._do(lambda db: store.recipe(db, recipe.name))
        if known is not None and (known.type, known.asset) != (recipe.type, recipe.asset):
            raise ConfigError(f"name: recipe {recipe.name} is for {known.type or known.asset or 'the plant'} already")
        self._may(asker, CHANGE, recipe)
        items = self._fit(recipe, items)
        made = Version(
            recipe.name, 0, "draft", items, asker.name, self._clock.now_ns(), asker.user_id, self._behind(asker), reason
        )
        new = {"recipe": recipe.name, "items": {item.tag: item.value for item in items}}
        intent = await self._audit.intent(who(asker), CHANGE, f"recipes/{recipe.name}", new=new, reason=reason)

        def save(db: Connection) -> Version:
            store.save_recipe(db, recipe)
            return store.add_version(db, made)

        found = await self._do(save)
        await self._audit.outcome(intent, "ok", new={"version": found.number})
        return found

    async def approve(self, asker: Asker, name: str, number: int) -> Version:
        """Another person agrees to a version; only then it can be downloaded.

        Raises: LookupError, Refusal, ConfigError if it does not fit the plant any more, NotDurable
        """
        recipe = (await self.get(asker, name)).recipe
        version = await self._version(name, number)
        self._may(asker, APPROVE, recipe)
        if asker.proof != "session":
            raise Refusal(
                "needs_session", "only a person who signed in can approve a recipe; a token cannot do it for one"
            )
        if self._is_author(version, asker):
            raise Refusal(
                "same_person", f"version {number} is {version.author}'s own", "another person must approve it"
            )
        self._fit(recipe, version.items)
        intent = await self._audit.intent(who(asker), APPROVE, f"recipes/{name}/{number}")
        now_ns = self._clock.now_ns()
        done = await self._do(lambda db: store.approve(db, name, number, asker.name, now_ns))
        await self._audit.outcome(intent, "ok" if done else "refused wrong_state")
        if not done:
            raise Refusal("wrong_state", f"version {number} of {name} is {version.state}")
        return await self._version(name, number)

    async def _version(self, name: str, number: int) -> Version:
        found = await self._do(lambda db: store.version(db, name, number))
        if found is None:
            raise LookupError(f"{name} {number}")
        return found

    def _is_author(self, version: Version, asker: Asker) -> bool:
        if version.author_id is not None and asker.user_id is not None:
            return version.author_id == asker.user_id
        mine = {name.casefold() for name in (version.author, *version.behind)}
        return bool(mine & {name.casefold() for name in (asker.name, *self._behind(asker))})

    def _same(self, one: Asker, other: Asker) -> bool:
        """Whether they are one person, or one answers for the other."""
        if one.user_id is not None and other.user_id is not None:
            return one.user_id == other.user_id
        mine = {name.casefold() for name in (one.name, *self._behind(one))}
        return bool(mine & {name.casefold() for name in (other.name, *self._behind(other))})

    def _may(self, asker: Asker, action: str, recipe: Recipe) -> None:
        """At each asset it is for; one of a type that has none yet, and one of plain paths, asks for the whole site."""
        for path in self._assets(recipe) or [""]:
            answer = self._permissions.decide(asker, action, path)
            if not answer.allowed:
                raise Refusal(answer.code, answer.reason)

    def _fit(self, recipe: Recipe, items: tuple[Item, ...]) -> tuple[Item, ...]:
        """The items with their values in the types of their tags.

        Raises: ConfigError naming what does not fit
        """
        if not 0 < len(items) <= MOST_ITEMS:
            raise ConfigError(f"items: a recipe has 1 to {MOST_ITEMS} values, was {len(items)}")
        twice = {item.tag for item in items if [other.tag for other in items].count(item.tag) > 1}
        if twice:
            raise ConfigError(f"items: {', '.join(sorted(twice))} is named twice")
        assets = self._assets(recipe)
        if recipe.type and not assets:
            raise ConfigError(f"type: no asset of the plant has this type, was {recipe.type!r}")
        if recipe.asset and not any(a.path == recipe.asset for a in self._plant().assets):
            raise ConfigError(f"asset: the plant has no such asset, was {recipe.asset!r}")
        wrong: list[str] = []
        fit: dict[str, Written] = {}
        for asset in assets:
            for item in items:
                try:
                    fit[item.tag] = self._value(path_of(asset, item.tag), item.value)
                except (Refusal, ConfigError) as error:
                    wrong.append(str(error))
        if wrong:
            raise ConfigError(f"items: {'; '.join(dict.fromkeys(wrong))}"[:4000])
        return tuple(Item(item.tag, fit[item.tag]) for item in items)

    def _value(self, path: str, value: object) -> Written:
        plant = self._plant()
        tag = plant.by_path.get(path)
        point = next((p for p in plant.points if tag is not None and p.tag == tag.id), None)
        if tag is None or point is None:
            raise ConfigError(f"{path[:MAX_PATH_CHARS]} is no point that may be written")
        return checked_value(tag, point, value)

    # downloading

    async def download(
        self, asker: Asker, name: str, *, asset: str = "", number: int = 0, reason: str = ""
    ) -> Download:
        """Write the values of the newest approved version (or of this one) to an asset; the report. It waits where a point asks for
        a second person.

        Raises: LookupError, Refusal (also where another download runs there), ConfigError, NotDurable
        """
        detail = await self.get(asker, name)
        version = await self._version(name, number) if number else detail.approved
        if version is None or version.state != "approved":
            raise Refusal(
                "not_approved",
                f"{name} has no approved version{f' {number}' if number else ''}",
                "another person approves it",
            )
        place = self._target(detail.recipe, asset)
        return await self._alone(place, lambda: self._download(asker, version, place, reason))

    async def _alone(self, place: str, work: Callable[[], Coroutine[Any, Any, Download]]) -> Download:
        """One download at a time to an asset; it goes on when whoever asked goes away. Raises: Refusal"""
        if place in self._running:
            raise Refusal(
                "download_running", f"another download to {place or 'the plant'} is under way", "wait for its report"
            )
        task = asyncio.create_task(work(), name=f"recipe to {place}")
        self._running[place] = task
        task.add_done_callback(lambda _: self._running.pop(place, None))
        return await asyncio.shield(task)

    def _target(self, recipe: Recipe, asset: str) -> str:
        known = self._assets(recipe)
        if asset and asset not in known:
            raise ConfigError(f"asset: recipe {recipe.name} is not for it, was {asset!r}")
        if asset or len(known) == 1:
            return asset or known[0]
        raise ConfigError(f"asset: say which of {', '.join(known[:10]) or 'none'}")

    async def _download(self, asker: Asker, version: Version, asset: str, reason: str) -> Download:
        now_ns = self._clock.now_ns()
        lines = tuple(self._line(asker, asset, item) for item in version.items)
        report = Download(
            0, version.recipe, version.number, asset, asker.name, reason, "running", now_ns, None, lines
        )  # fmt: skip
        report, needs_second = await self._checked(asker, report)
        if any(line.code for line in report.lines):
            report = replace(report, state="refused", ended_ns=self._clock.now_ns())
        elif needs_second:
            await self._expire()
            if len(self._waiting) >= MOST_WAITING:
                raise Refusal(
                    "too_many_waiting", f"{MOST_WAITING} downloads wait for a second person", "decide about some first"
                )
            report = replace(report, state="waiting", expires_ns=now_ns + round(APPROVAL_S * NS_PER_S))
        report = replace(report, id=await self._do(lambda db: store.add_download(db, report)))
        if report.state == "waiting":
            self._waiting[report.id] = _Waiting(report, asker)
        return await self._carried_out(asker, report) if report.state == "running" else report

    async def _carried_out(self, asker: Asker, report: Download, second: Asker | None = None) -> Download:
        """Every value in its order, until one is not done."""
        lines = list(report.lines)
        for place, line in enumerate(lines):
            lines[place] = await self._written(asker, line, _why(report), second)
            report = replace(report, lines=tuple(lines))
            if lines[place].state != Stage.DONE:
                return await self._ended(report, "stopped")
            await self._do(lambda db, now=report: store.save_download(db, now))
        return await self._ended(report, "done")

    # a second person

    async def agree(self, asker: Asker, name: str, number: int) -> Download:
        """A second person agrees to a whole download; everything is checked anew and written. What stands against it now leaves it
        waiting.

        Raises: LookupError, Refusal, NotDurable
        """
        found = await self._await(asker, name, number)
        if asker.proof != "session":
            raise Refusal(
                "needs_session", "only a person who signed in can agree to a download; a token cannot do it for one"
            )
        if self._same(found.asker, asker):
            raise Refusal(
                "same_person", f"{found.report.by} asked for this download", "another person must agree to it"
            )
        return await self._alone(found.report.asset, lambda: self._agreed(found, asker))

    async def _agreed(self, found: _Waiting, second: Asker) -> Download:
        report, by = found.report, found.asker
        if self._waiting.pop(report.id, None) is None:
            raise Refusal("wrong_state", "somebody else decided about it meanwhile")
        try:
            lines = tuple(replace(line, before=self._held(by, line.path)) for line in report.lines)
            checked, _ = await self._checked(by, replace(report, lines=lines), second)
            no = next((line for line in checked.lines if line.code), None)
            if no is not None:
                raise Refusal(no.code, f"{no.path}: {no.reason}", no.clears)
            running = replace(checked, state="running", second=second.name, expires_ns=None)
            await self._do(lambda db: store.save_download(db, running))
        except BaseException:
            self._waiting[report.id] = found
            raise
        return await self._carried_out(by, running, second)

    async def refuse(self, asker: Asker, name: str, number: int, reason: str) -> Download:
        """Say no to a download that waits, or take back one's own.

        Raises: LookupError, Refusal, NotDurable
        """
        found = await self._await(asker, name, number)
        if not self._same(found.asker, asker):
            for line in found.report.lines:
                answer = self._permissions.decide(asker, model.APPROVE, line.path)
                if not answer.allowed:
                    raise Refusal(answer.code, answer.reason)
        if not reason.strip():
            raise Refusal("reason_needed", "say why")
        if self._waiting.pop(number, None) is None:
            raise Refusal("wrong_state", "somebody else decided about it meanwhile")
        return await self._ended(replace(found.report, second=asker.name, said=reason, expires_ns=None), "rejected")

    async def _await(self, asker: Asker, name: str, number: int) -> _Waiting:
        """Raises: LookupError, Refusal (it waits for nobody)"""
        await self.get(asker, name)
        await self._expire()
        found = self._waiting.get(number)
        if found is not None and found.report.recipe == name and self._reads_all(asker, found.report):
            if self._late(found):
                raise Refusal("wrong_state", "this download has waited for too long", "ask for it again")
            return found
        known = await self._do(lambda db: store.download(db, number))
        if known is None or known.recipe != name or not self._reads_all(asker, known):
            raise LookupError(f"{name} {number}")
        raise Refusal("wrong_state", f"this download is {known.state} and waits for nobody")

    async def _expire(self) -> None:
        """What nobody decided about in time is over; where the records take nothing, it is told so later."""
        for number, found in list(self._waiting.items()):
            if self._late(found):
                with contextlib.suppress(NotDurable):
                    await self._ended(replace(found.report, expires_ns=None), "expired")
                    self._waiting.pop(number, None)

    def _late(self, found: _Waiting) -> bool:
        return self._clock.now_ns() >= (found.report.expires_ns or 0)

    async def _ended(self, report: Download, state: str) -> Download:
        ended = replace(report, state=state, ended_ns=self._clock.now_ns())
        await self._do(lambda db: store.save_download(db, ended))
        return ended

    def _line(self, asker: Asker, asset: str, item: Item) -> Line:
        path = path_of(asset, item.tag)
        return Line(path, item.value, self._held(asker, path))

    def _held(self, asker: Asker, path: str) -> Written | None:
        """What a point holds now, as far as somebody may see it."""
        tag = self._plant().by_path.get(path)
        return self._control.value(tag) if tag is not None and self._reads(asker, path) else None

    async def _checked(self, asker: Asker, report: Download, second: Asker | None = None) -> tuple[Download, bool]:
        """The report with why each value would be refused now, and whether any point asks for a second person."""
        lines, needs_second = [], False
        for line in report.lines:
            try:
                needs_second |= await self._control.check(
                    asker, line.path, line.value, reason=_why(report), second=second
                )
            except LookupError:
                lines.append(replace(line, code="unknown_tag", reason=f"the plant has no tag {line.path}"))
            except Refusal as no:
                lines.append(replace(line, code=no.code, reason=no.reason, clears=no.clears))
            else:
                lines.append(line)
        return replace(report, lines=tuple(lines)), needs_second

    async def _written(self, asker: Asker, line: Line, why: str, second: Asker | None) -> Line:
        try:
            chosen = await self._control.select(asker, line.path)
            done = await self._control.write(
                asker, line.path, line.value, selection=chosen.id, reason=why, second=second
            )
        except LookupError:
            return replace(line, code="unknown_tag", reason=f"the plant has no tag {line.path} any more")
        except Refusal as no:
            return replace(line, state="denied", code=no.code, reason=no.reason, clears=no.clears)
        except IsthmusError as error:
            return replace(line, state="denied", code="not_durable", reason=str(error))
        return replace(
            line, state=str(done.state), write=done.id, code=done.code, reason=done.detail, clears=done.clears
        )

    async def _do(self, work: Callable[..., T], *more: Any) -> T:
        def run() -> T:
            with self._engine.begin() as db:
                return work(db, *more)

        try:
            return await asyncio.to_thread(run)
        except SQLAlchemyError as error:
            raise NotDurable(f"the records take nothing ({str(error.__cause__ or error)[:200]})") from error


def _why(report: Download) -> str:
    more = report.reason and f": {report.reason}"
    return f"recipe {report.recipe} version {report.number}{more}"


def path_of(asset: str, tag: str) -> str:
    """The path of a value of a recipe."""
    return f"{asset}/{tag}" if asset else tag
