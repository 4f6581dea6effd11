"""`isthmus backup` and `isthmus restore`."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from isthmus.app.datadir import DataDir
from isthmus.app.sealing import KEY_NAME
from isthmus.app.secrets import Secrets
from isthmus.cli.options import DEFAULT_DATA, Data, Json
from isthmus.values.errors import ConfigError

Key = Annotated[Path | None, typer.Option("--key", "--encrypt", metavar="FILE", help="Passphrase or key file.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(backup)
    app.command()(restore)


@contextlib.contextmanager
def _bar() -> Iterator[object]:
    """Progress on a terminal, nothing in a log."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:<10}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as shown:
        tasks: dict[str, object] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = shown.add_task(what)
            shown.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]  # an id of its own

        yield progress


def backup(
    target: Annotated[str, typer.Argument(metavar="FILE|DIR|verify", help="Where to; or `verify` and a FILE.")],
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="With `verify`: the backup.")] = None,
    data: Data = DEFAULT_DATA,
    key: Key = None,
    keep: Annotated[int, typer.Option(min=0, help="Of a folder: how many are kept; 0 is all.")] = 0,
    verify: Annotated[bool, typer.Option("--verify/--no-verify", help="Read it back when written.")] = True,
    as_json: Json = False,
    with_key: Annotated[bool, typer.Option("--with-key", help="With the key of the secrets; needs --key.")] = False,
) -> None:
    """Back up a running Isthmus into one file; everything goes on. `backup verify FILE` checks one."""
    from isthmus.app import backup as made
    from isthmus.app.archive import read_secret

    secret = read_secret(key) if key else None
    with _bar() as progress:
        if target == "verify":
            if file is None:
                raise ConfigError("verify: name the backup to check")
            found = made.verify_backup(file, secret, progress)  # type: ignore[arg-type]  # the closure above
            answer = {k: found[k] for k in ("made", "version", "records", "bytes")} | {"members": len(found["members"])}
            said = f"{file}: whole: {len(found['members'])} members, made {found['made']} by Isthmus {found['version']}"
        else:
            if file is not None:
                raise ConfigError(f"file: only `backup verify FILE` takes a second name, was {str(file)!r}")
            where = Path(target).resolve()
            if target.endswith("/"):
                where.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.nice(10)  # the living system goes first
            one = made.make_backup(
                DataDir(data.resolve()), where, secret, keep=keep, verify=verify, with_key=with_key, progress=progress,  # type: ignore[arg-type]  # as above
            )  # fmt: skip
            answer = {
                "file": str(one.file), "bytes": one.bytes, "took_s": round(one.took_s, 2), "encrypted": one.encrypted,
                "verified": one.verified, "rows": one.rows, "frames": one.frames,
            }  # fmt: skip
            said = f"{one.file}: {one.bytes / 1e6:.1f} MB, {one.rows} samples, in {one.took_s:.1f} s" + (
                ", read back and whole" if one.verified else ""
            )
            if not with_key and Secrets.of(data).names():
                said += (
                    f"\nsecrets in it stay sealed: keep {KEY_NAME} elsewhere too, or back up with --with-key and --key"
                )
    print(json.dumps(answer) if as_json else said)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")],
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Where to; must not exist, or be empty.")],
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Make a data directory from a backup: all of it, or nothing."""
    from isthmus.app.archive import read_secret
    from isthmus.app.restore import restore_backup

    secret = read_secret(key) if key else None
    with _bar() as progress:
        one = restore_backup(file, DataDir(data.resolve()), secret, progress)  # type: ignore[arg-type]  # the closure above
    answer = {"made": one.made, "rows": one.rows, "frames": one.frames, "took_s": round(one.took_s, 2)}
    said = (
        f"{data}: as it was at {one.made}: {one.rows} samples, {one.frames} frames still to be taken, in {one.took_s:.1f} s\n"
        f"next: isthmus up --data {data}"
    )
    if Secrets.of(data).names() and not (data / KEY_NAME).exists():
        said += (
            f"\nits secrets are sealed by a key it does not hold: put {KEY_NAME} into {data} first, or set them anew"
        )
    print(json.dumps(answer) if as_json else said)
