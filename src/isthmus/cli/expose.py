"""`isthmus expose` and `isthmus certificate`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography import x509

from isthmus.app import expose as steps
from isthmus.app import own_certificate
from isthmus.app.ca import Authority, Pair, fingerprint, names_of, wanted_names
from isthmus.app.datadir import DataDir
from isthmus.app.settings import is_host, load_settings
from isthmus.cli.options import DEFAULT_DATA, Data, Json, Port
from isthmus.values.clock import SystemClock
from isthmus.values.errors import ConfigError
from isthmus.values.hosts import is_loopback

certificate = typer.Typer(no_args_is_help=True, help="What screens, API, MQTT and bus show: show, renew, csr, import.")

Names = Annotated[list[str] | None, typer.Option("--name", metavar="HOST", help="A name or address; may be repeated.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(expose)
    app.add_typer(certificate, name="certificate")


def _place(data: Path) -> tuple[DataDir, Authority]:
    place = DataDir(data.resolve())
    place.prepare()
    return place, Authority(place.tls, SystemClock())


def expose(
    name: Names = None,
    address: Annotated[str, typer.Option(metavar="IP", help="Listen there only; unset: on every address.")] = "",
    port: Port = None,
    mqtt: Annotated[int, typer.Option(min=0, max=65535, metavar="PORT", help="Let devices speak MQTT here.")] = 0,
    edges: Annotated[int, typer.Option(min=0, max=65535, metavar="PORT", help="Let edges on other machines in.")] = 0,
    back: Annotated[bool, typer.Option("--undo", help="Back to what was before.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: Data = DEFAULT_DATA,
) -> None:
    """Let others on the network reach this machine, by TLS: certificate, names and settings in one step. Asks first."""
    place, authority = _place(data)
    if back:
        print(f"as before: {', '.join(steps.undo(place))}; start Isthmus anew")
        return
    wish = steps.Wish(tuple(name or ()), address, port or 0, mqtt, edges)
    made = steps.plan(place, wish, SystemClock())
    print("This would be reachable from other machines:")
    for one in made.reachable:
        print(f"  {one}")
    print(f"by a certificate for {', '.join(made.names)}")
    for key, before, after in made.changes:
        print(f"  {key} = {json.dumps(after)}" + ("" if before is None else f"   was {json.dumps(before)}"))
    if made.warning:
        print(f"  ! {made.warning}")
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError("nothing was changed; run it again with --yes if this is what you want")
        if not typer.confirm("Do it?"):
            raise ConfigError("nothing was changed")
    steps.carry_out(place, made, SystemClock())
    print(f"\nStart Isthmus anew: isthmus up --data {data}")
    if not is_loopback(made.settings.web.host):
        host = made.names[0]
        url = f"https://{f'[{host}]' if ':' in host else host}:{made.settings.web.port}"
        print(f"Address      {url}")
        print(f"Tablets      open {url}/trust once, and trust the certificate with the fingerprint")
        print(f"             {fingerprint(authority.root())}")
    if made.settings.bus.listen:
        print("Edges        isthmus edge invite NAME here, isthmus edge join TOKEN there")
    print(f"Back         isthmus expose --undo --data {data}")


def _about(what: str, one: x509.Certificate) -> dict[str, Any]:
    return {
        "what": what,
        "subject": one.subject.rfc4514_string(),
        "names": names_of(one),
        "until": one.not_valid_after_utc.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "sha256": fingerprint(one),
    }


@certificate.command("show")
def show(data: Data = DEFAULT_DATA, as_json: Json = False) -> None:
    """Print the authority's fingerprint, and what listeners show until when."""
    place, authority = _place(data)
    found = [_about("authority", authority.root())]
    found.append(_about("listeners", authority.server(wanted_names(load_settings(place.settings))).leaf))
    if authority.own_file.exists():
        found.append(_about("imported, shown by screens, API and MQTT", Pair.load(authority.own_file).leaf))
    if as_json:
        print(json.dumps(found))
        return
    for one in found:
        print(f"{one['what']}: {one['subject']}, until {one['until']}")
        if one["names"]:
            print(f"  for {', '.join(one['names'])}")
        print(f"  SHA-256 {one['sha256']}")


@certificate.command("renew")
def renew(data: Data = DEFAULT_DATA) -> None:
    """Make the certificates of the listeners anew now; a running Isthmus shows them within a minute, links go on."""
    place, authority = _place(data)
    authority.renew()
    authority.client()
    leaf = authority.server(wanted_names(load_settings(place.settings))).leaf
    print(f"until {leaf.not_valid_after_utc:%Y-%m-%d}, SHA-256 {fingerprint(leaf)}")


@certificate.command("csr")
def csr(
    name: Names = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where to; unset: standard output.")] = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Make a key, which stays here, and a request for a certificate that your own authority signs."""
    place, authority = _place(data)
    for one in name or ():
        if not is_host(one):
            raise ConfigError(f"name: must be a DNS name or an address, was {one!r}")
    text = own_certificate.request(authority, name or list(load_settings(place.settings).web.hosts)).decode()
    if output is None:
        print(text, end="")
    else:
        output.write_text(text)
        print(f"wrote {output}; bring the answer back by `isthmus certificate import`")


@certificate.command("import")
def import_certificate(
    file: Annotated[Path | None, typer.Argument(help="The certificate and what leads to its root, in PEM.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its key; unset: that of `isthmus certificate csr`.")] = None,
    root: Annotated[
        Path | None, typer.Option(help="A root that is neither in the file nor known to this system.")
    ] = None,
    back: Annotated[bool, typer.Option("--undo", help="Show the certificate of this installation again.")] = False,
    data: Data = DEFAULT_DATA,
) -> None:
    """Show a certificate of your own on screens, API and MQTT; a running Isthmus follows within a minute."""
    place, authority = _place(data)
    if back:
        authority.own_file.unlink(missing_ok=True)
        print("the certificate of this installation is shown again")
        return
    if file is None:
        raise ConfigError("file: name the certificate to import")
    read = own_certificate.read
    wanted = load_settings(place.settings).web.hosts
    pair = own_certificate.take(authority, read(file), read(key) if key else None, read(root), wanted)
    leaf = pair.leaf
    print(
        f"shown from now on: {leaf.subject.rfc4514_string()}, until {leaf.not_valid_after_utc:%Y-%m-%d}; renew it in time"
    )
