"""``python -m app …``: the commands that scripts and support staff rely on.

Names and output are stable. The exit status is 0 only when all went well; what went wrong is one sentence on standard
error. What lists something takes ``--json``.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, cast
from zoneinfo import ZoneInfo

import click
from pydantic import ValidationError
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.orm import Session

from app import jobs
from app.clock import now
from app.db import is_migrated
from app.deployment import Deployment, accept_keys, deploy, make_ready
from app.errors import Conflict, Invalid, Missing, Problem
from app.logs import keep_log
from app.settings import Settings
from connectors import ConnectorError

if TYPE_CHECKING:
    from app.backup.envelope import Key
    from app.channels.models import Account

_LONDON = ZoneInfo("Europe/London")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


def main() -> None:
    """Run a command; turn what a person can act on into one sentence."""
    try:
        commands(prog_name="python -m app", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except Invalid as problem:
        _fail(f"{problem.field}: {problem}" if problem.field else str(problem))
    except (Problem, ConnectorError) as problem:
        _fail(str(problem))
    except ValidationError as error:
        first = error.errors()[0]
        why = first["msg"].removeprefix("Value error, ")
        _fail(f"The setting POSTBAG_{str(first['loc'][0]).upper()} will not do: {why}")
    except OperationalError as error:
        _fail(f"The database cannot be used: {error.orig}")
    except ArgumentError:  # its own message repeats the address, password and all
        _fail("The setting POSTBAG_DATABASE_URL will not do: write postgresql://user@host/name.")
    except BrokenPipeError:  # whoever read along has heard enough: export | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error))


def _fail(sentence: str) -> NoReturn:
    click.echo(" ".join(sentence.split()), err=True)  # one line, however many a database server needs
    sys.exit(1)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Postbag: one inbox for a councillor's office. Settings come from POSTBAG_… (see docs/operate.md)."""


def _open(*, migrated: bool = True) -> Deployment:
    """What the settings name, with its tables made ready, for the length of the command.

    Raises Problem where they are not ready and are not to be made so.
    """
    settings = Settings()
    keep_log(settings, least=logging.ERROR)  # a command prints what it found, and its trouble as a sentence
    deployment = deploy(settings)
    click.get_current_context().call_on_close(deployment.close)
    if migrated:
        make_ready(deployment)
    elif not is_migrated(deployment.database):
        raise Problem("The database's tables are not those of this version: python -m app migrate makes them.")
    return deployment


# ── Running it ────────────────────────────────────────────────────────────────────────────────────────────────────


@commands.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on.")
def serve(host: str | None, port: int | None) -> None:
    """Run the office: pages and background work in one process."""
    from app.serving import serve as serve_office

    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    serve_office(Settings(**given))  # type: ignore[arg-type]


@commands.command()
def work() -> None:
    """Do background work only: for further machines beside one PostgreSQL."""
    from app.serving import work as work_only

    work_only(Settings())


@commands.command()
@click.option("--port", type=int, default=8010, show_default=True, help="Port to listen on.")
def demo(port: int) -> None:
    """Run the demonstration: the borough of Fernmoor, in a folder of its own that is gone afterwards."""
    from app.demonstration.showing import fernmoor
    from app.serving import serve as serve_office

    click.echo("Founding the borough of Fernmoor …")
    with fernmoor(port) as deployment:
        serve_office(deployment.settings, deployment)


@commands.command()
def migrate() -> None:
    """Make the database's tables what this version needs."""
    _open()


# ── Offices and people ────────────────────────────────────────────────────────────────────────────────────────────


@commands.group()
def office() -> None:
    """Councillors' offices."""


@office.command("add")
@click.argument("name")
@click.option("--place", default="", help="Ward and council.")
@click.option("--prefix", required=True, help="Two to four capital letters for references: MA in MA-26-0147.")
@click.option(
    "--nation",
    type=click.Choice(["england_and_wales", "scotland", "northern_ireland"]),
    default="england_and_wales",
    show_default=True,
    help="Whose bank holidays count.",
)
def office_add(name: str, place: str, prefix: str, nation: str) -> None:
    """Add an office and print its number."""
    from app.deadlines.holidays import Nation
    from app.office.actions import create_office, finish_set_up

    with _open().database.transaction() as session:
        made = create_office(session, name=name, place=place, prefix=prefix, nation=Nation(nation), by=None, at=now())
        finish_set_up(session, made, by=None, at=now())
        click.echo(made.id)


@office.command("list")
@_JSON
def office_list(*, as_json: bool) -> None:
    """List the offices."""
    from app.office.queries import offices

    with _open().database.reading() as session:
        facts = ("id", "name", "place", "prefix", "nation")
        _list([{fact: getattr(one, fact) for fact in facts} for one in offices(session)], as_json=as_json)


@commands.group()
def user() -> None:
    """People who sign in."""


@user.command("add")
@click.argument("email")
@click.option("--name", required=True, help="As colleagues see it.")
@click.option("--administrator", is_flag=True, help="May set up offices, people and accounts; sees no casework.")
@click.option("--office", "office_id", type=int, help="Number of the office they belong to.")
@click.option(
    "--role",
    type=click.Choice(["councillor", "caseworker", "viewer"]),
    default="caseworker",
    show_default=True,
    help="What they are there.",
)
@click.option("--password-stdin", is_flag=True, help="Read their password from standard input (one line).")
def user_add(
    email: str, name: str, role: str, *, administrator: bool, office_id: int | None, password_stdin: bool
) -> None:
    """Add somebody; without a password, print the link by which they choose one."""
    from app.staff import joining

    password = sys.stdin.readline().rstrip("\n") if password_stdin else None
    deployment = _open()
    with deployment.database.transaction() as session:
        number_or_link = joining.add(
            session,
            deployment,
            email=email,
            name=name,
            password=password,
            is_administrator=administrator,
            office_id=office_id,
            role=role,
            at=now(),
        )
    click.echo(number_or_link)


@user.command("list")
@_JSON
def user_list(*, as_json: bool) -> None:
    """List who signs in, and where they belong."""
    from app.staff.queries import everybody

    with _open().database.reading() as session:
        _list([asdict(known) for known in everybody(session)], as_json=as_json)


# ── Accounts ──────────────────────────────────────────────────────────────────────────────────────────────────────


@commands.group()
def account() -> None:
    """Connected accounts."""


@account.command("add")
@click.argument("channel")
@click.option("--office", "office_id", type=int, required=True, help="Number of the office.")
@click.option("--since", default="14d", show_default=True, help="How far back to fetch: 14d, a date, or all.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="A setting of the channel.")
@click.option(
    "--secret", "secrets", multiple=True, metavar="KEY=-", help="A secret, read from standard input, a line each."
)
@click.option(
    "--capacity",
    type=click.Choice(["council", "councillor", "party", "private"]),
    default="councillor",
    show_default=True,
    help="In which role this account speaks.",
)
def account_add(
    *, channel: str, office_id: int, since: str, options: Sequence[str], secrets: Sequence[str], capacity: str
) -> None:
    """Try an account and connect it; print its number."""
    from app.channels import actions
    from app.channels.connecting import connector as find_connector
    from app.channels.models import Account, Capacity
    from app.channels.trying import try_account
    from app.office.queries import office as office_of

    deployment = _open()
    manifest = find_connector(deployment, channel).manifest
    given = {**_pairs(options), **{key: _secret(key, value) for key, value in _pairs(secrets).items()}}
    unknown = given.keys() - {field.key for field in manifest.fields}
    if unknown:
        raise Invalid("%(channel)s has no setting %(key)s.", channel=manifest.name, key=min(unknown))
    with deployment.database.transaction() as session:
        made = actions.add_account(
            session,
            deployment.sealer,
            manifest,
            office_id=office_of(session, office_id).id,
            options=given,
            since=_since(since),
            capacity=Capacity(capacity),
            by=None,
            at=now(),
        ).id
    try_account(deployment, made)
    refused = _signed_in(deployment, made)
    with deployment.database.transaction() as session:
        tried = session.get_one(Account, made)
        refused = refused or str(tried.check_result.get("error", ""))
        if refused:
            actions.remove(session, tried, by=None)
        else:
            actions.activate(session, tried, by=None, at=now())
    if refused:
        raise Problem(refused.replace("%", "%%"))
    click.echo(made)


def _signed_in(deployment: Deployment, account_id: int) -> str:
    """Let a person sign in at the platform's page where that is what it takes, and try the account; what went wrong."""
    from app.channels.models import Step
    from app.channels.signing_in import access_of, begin_code, sign_in
    from app.channels.trying import try_account

    with deployment.database.transaction() as session:
        if access_of(session, account_id) is None:
            return ""
        try:
            begin_code(session, deployment, account_id)
        except Conflict as problem:
            return str(problem)
    again_at = sign_in(deployment, account_id)
    with deployment.database.reading() as session:
        asked = access_of(session, account_id)
    if asked is not None and asked.code:
        click.echo(f"Open {asked.url} and type {asked.code} there.", err=True)
    while again_at is not None:
        sleep(max(0.0, (again_at - now()).total_seconds()))
        again_at = sign_in(deployment, account_id)
    with deployment.database.reading() as session:
        done = access_of(session, account_id)
    if done is None or done.step is not Step.GIVEN:
        return done.trouble if done else ""
    try_account(deployment, account_id)
    return ""


@account.command("list")
@click.option("--office", "office_id", type=int, help="Only of this office.")
@_JSON
def account_list(office_id: int | None, *, as_json: bool) -> None:
    """List the streams of every account, with their health."""
    from app.channels.queries import streams
    from app.office.queries import office as office_of
    from app.office.queries import offices

    with _open().database.reading() as session:
        wanted = [one.id for one in offices(session)] if office_id is None else [office_of(session, office_id).id]
        _list([asdict(one) for one in streams(session, wanted, now())], as_json=as_json)


@account.command("check")
@click.argument("account_id", type=int)
def account_check(account_id: int) -> None:
    """Try an account now; exit 1 with what is wrong."""
    from app.channels.connecting import line

    deployment = _open()
    with deployment.database.reading() as session:
        its_line = line(session, deployment, _connected(session, account_id).id)
    with its_line.use(deployment) as connection:
        checked = connection.check()
    for sentence in (*checked.missing, *checked.warnings):
        click.echo(sentence, err=True)
    click.echo(f"{checked.identity.handle}: {', '.join(stream.name for stream in checked.streams)}. {checked.newest}")
    if checked.missing:
        sys.exit(1)


@account.command("remove")
@click.argument("account_id", type=int)
def account_remove(account_id: int) -> None:
    """Stop fetching and sending with an account, and forget its password. What it brought stays."""
    from app.channels import actions

    with _open().database.transaction() as session:
        actions.remove(session, _connected(session, account_id), by=None)


def _connected(session: Session, account_id: int) -> Account:
    """The account; raises Missing for one that was removed."""
    from app.channels.models import Account, State

    found = session.get(Account, account_id)
    if found is None or found.state is State.REMOVED:
        raise Missing("There is no account %(account)s.", account=account_id)
    return found


@commands.command()
@click.option("--account", "account_id", type=int, help="Only this account.")
def poll(account_id: int | None) -> None:
    """Fetch all that is there now and take it in, in the foreground; print the counts."""
    from app.intake.fetching import fetch_now

    done = fetch_now(_open(), account_id, show=_progress() if sys.stderr.isatty() else None)
    fates = ", ".join(f"{count} {fate.value}" for fate, count in sorted(done.fates.items()))
    click.echo(f"{done.new} fetched" + (f": {fates}" if fates else ""))
    for sentence in done.troubles:
        click.echo(sentence, err=True)
    if done.troubles:
        sys.exit(1)


# ── Messages ──────────────────────────────────────────────────────────────────────────────────────────────────────


@commands.group()
def message() -> None:
    """What was said."""


@message.command("parse")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def message_parse(files: Sequence[Path]) -> None:
    """Read mail files as the office would; one JSON object a line. Exit 1 when one could not be read."""
    from app.messages.parsing import facts

    failed = False
    for path in files:
        try:
            click.echo(_line(facts(path)))
        except ConnectorError as error:
            failed = True
            click.echo(f"{path}: {error}", err=True)
    if failed:
        sys.exit(1)


@message.command("raw")
@click.argument("message_id", type=int)
def message_raw(message_id: int) -> None:
    """Print a message as the platform showed it, byte for byte."""
    from app.messages.queries import original

    deployment = _open()
    with deployment.database.reading() as session:
        office_id, sha256 = original(session, message_id)
    sys.stdout.buffer.write(deployment.store.read(office_id, sha256))


@commands.group()
def quarantine() -> None:
    """What could not be read."""


@quarantine.command("list")
@_JSON
def quarantine_list(*, as_json: bool) -> None:
    """List what waits there."""
    from app.intake.quarantine import quarantined
    from app.office.queries import offices

    with _open().database.reading() as session:
        everywhere = [one.id for one in offices(session)]
        _list([asdict(one) for one in quarantined(session, everywhere)], as_json=as_json)


@quarantine.command("retry")
@click.argument("sighting_ids", nargs=-1, type=int)
def quarantine_retry(sighting_ids: Sequence[int]) -> None:
    """Read them again now (all of them, or those named); exit 1 while any stays."""
    from app.intake.fetching import retry_now

    left = retry_now(_open(), list(sighting_ids) or None)
    click.echo(f"{left} left in quarantine")
    if left:
        sys.exit(1)


# ── Looking after it ──────────────────────────────────────────────────────────────────────────────────────────────


@commands.command()
@click.option("--office", "office_id", type=int, required=True, help="Number of the office.")
@click.option(
    "--files",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write original messages and attachments there too.",
)
def export(office_id: int, folder: Path | None) -> None:
    """Everything held for an office, as JSON lines on standard output."""
    from app.reports import export as exporting

    deployment = _open()
    with deployment.database.reading() as session:
        for row in exporting.rows(session, office_id):
            click.echo(_line(row))
    if folder is None:
        return
    written = exporting.files(deployment.database, deployment.store, office_id, folder)
    click.echo(f"{written.count} files are in {folder}", err=True)
    if written.lost:
        raise Problem("The store has lost the contents of %(lost)s.", lost=", ".join(written.lost))


class _Backup(click.Group):
    """``backup FILE`` makes one; what else can be done with one has a word of its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put in the word that nobody has to say."""
        own = {*self.commands, "-h", "--help"}
        return super().parse_args(ctx, args if args and args[0] in own else ["make", *args])


_FILE = click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
_PASSPHRASE = click.option(
    "--passphrase-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The passphrase is its first line; else it is asked for.",
)
_IDENTITY = click.option(
    "--identity",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of the secret key whose public key was the recipient.",
)


@commands.group(cls=_Backup)
def backup() -> None:
    """Back up everything into one encrypted file, while the office works: backup FILE.

    What can be said beside FILE: backup make --help.
    """


@backup.command("make", hidden=True)
@_FILE
@_PASSPHRASE
@click.option("--recipient", "recipients", multiple=True, metavar="age1…", help="Whose key opens it; may be repeated.")
def backup_make(file: Path, passphrase_file: Path | None, recipients: Sequence[str]) -> None:
    """Back up database, messages, attachments and keys into FILE ("-": standard output), encrypted with age."""
    from app.backup import making
    from app.backup.envelope import Lock

    deployment = _open(migrated=False)
    lock = Lock(
        passphrase="" if recipients else _passphrase(passphrase_file, is_new=True), recipients=tuple(recipients)
    )
    show = _bar(making.total(deployment), " rows and files") if sys.stderr.isatty() else None
    if str(file) == "-":
        made = making.make(deployment, sys.stdout.buffer, lock, show)
        sys.stdout.buffer.flush()
    else:
        made = making.make_file(deployment, file, lock, show)
    click.echo(f"{sum(made.rows.values())} rows and {made.objects} files are in {file}", err=True)
    if made.lost:
        raise Problem(
            "The backup is whole, but the store had lost these contents before: %(lost)s.", lost=", ".join(made.lost)
        )


@backup.command("verify")
@_FILE
@_PASSPHRASE
@_IDENTITY
def backup_verify(file: Path, passphrase_file: Path | None, identity: Path | None) -> None:
    """Read a backup to its end and compare every hash; exit 1 with the place where it is damaged."""
    from app.backup.restoring import verify

    key = _key(passphrase_file, identity)
    with click.open_file(str(file), "rb") as source:
        found = verify(cast("BinaryIO", source), key, _file_bar(file))
    click.echo(f"{file} is whole: {sum(found.rows.values())} rows and {found.objects} files.")


@commands.command()
@_FILE
@_PASSPHRASE
@_IDENTITY
def restore(file: Path, passphrase_file: Path | None, identity: Path | None) -> None:
    """Fill an empty data folder, or an empty PostgreSQL database, from a backup of either."""
    from app.backup.restoring import restore as restore_from

    settings = Settings()
    keep_log(settings, least=logging.ERROR)
    key = _key(passphrase_file, identity)
    with click.open_file(str(file), "rb") as source:
        done = restore_from(settings, cast("BinaryIO", source), key, _file_bar(file))
    click.echo(f"{sum(done.contents.rows.values())} rows and {done.contents.objects} files are restored.")
    if done.erased:
        click.echo(f"{done.erased} people who were erased since were erased again.")


def _key(passphrase_file: Path | None, identity: Path | None) -> Key:
    """What opens a backup."""
    from app.backup.envelope import Key

    if identity is None:
        return Key(passphrase=_passphrase(passphrase_file, is_new=False))
    lines = (line.strip() for line in identity.read_text().splitlines())
    return Key(identities=tuple(line for line in lines if line and not line.startswith("#")))


def _passphrase(file: Path | None, *, is_new: bool) -> str:
    """From the file, or from whoever sits there; a new one is typed twice."""
    if file is not None:
        given = file.read_text().partition("\n")[0].strip()
        if not given:
            raise Invalid("There is no passphrase in %(path)s.", path=file)
        return given
    if not sys.stdin.isatty():
        raise Invalid("Nobody is here to ask for the passphrase: give --passphrase-file, or a key.")
    return str(click.prompt("Passphrase", hide_input=True, confirmation_prompt=is_new, err=True))


@commands.command()
@click.option("--office", "office_id", type=int, required=True, help="Number of the office.")
@click.option("--person", "person_id", type=int, required=True, help="Number of the person.")
@click.option("--yes", is_flag=True, help="Do it; without it, only say what would go.")
def erase(office_id: int, person_id: int, *, yes: bool) -> None:
    """Erase somebody: what they said, what was said to them and noted about them. Counts and dates stay."""
    from app.retention import actions

    deployment = _open()
    if yes:
        found = actions.erase(deployment, office_id, person_id, by=None)
    else:
        with deployment.database.reading() as session:
            found = actions.extent(session, office_id, person_id)
    for what, count in asdict(found).items():
        click.echo(f"{what}\t{count}")
    if not yes:
        click.echo("Nothing was erased yet: say --yes. Messages of others on the same cases stay.", err=True)


@commands.command()
@click.option("--accept-new", is_flag=True, help="Go on with other keys: what the former ones sealed is lost.")
def keys(*, accept_new: bool) -> None:
    """Say whether the keys are those that the database was used with; exit 1 when they are not."""
    if accept_new:
        accept_keys(Settings())
    _open()
    click.echo("The keys are those of the database.")


@commands.command()
@_JSON
def health(*, as_json: bool) -> None:
    """Say whether everything runs; exit 1 when something is late, failing, parked or not running."""
    with _open(migrated=False).database.reading() as session:
        found = [
            *_fetching_troubles(session),
            *(f"Parked: {one.kind} {one.key}: {one.trouble}" for one in jobs.parked(session)),
        ]
    if as_json:
        click.echo(json.dumps({"healthy": not found, "troubles": found}))
    else:
        for sentence in found or ["All is well."]:
            click.echo(sentence, err=bool(found))
    if found:
        sys.exit(1)


def _fetching_troubles(session: Session) -> Iterator[str]:
    """What is wrong with the worker and the streams, a sentence each."""
    from app.channels.queries import alarm
    from app.office.queries import offices

    heard = alarm(session, [one.id for one in offices(session)], now())
    if heard.is_worker_gone:
        since = heard.worker_seen_at
        yield (
            f"Nothing is being fetched or sent: no worker has run since {since:%a %d %b, %H:%M} UTC."
            if since
            else ("Nothing is being fetched or sent: no worker has run yet.")
        )
    for one in heard.streams:
        yield f"{one.account}, {one.stream}: {one.health.value} since {one.since}. {one.trouble}".strip()


# ── Reading what was typed ────────────────────────────────────────────────────────────────────────────────────────


def _pairs(given: Iterable[str]) -> dict[str, str]:
    """``KEY=VALUE`` as a mapping."""
    pairs: dict[str, str] = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not equals or not key:
            raise Invalid("Write %(given)s as KEY=VALUE.", given=one)
        pairs[key] = value
    return pairs


def _secret(key: str, value: str) -> str:
    """A secret, from standard input: on the command line everybody on the machine could read it."""
    if value != "-":
        raise Invalid("Give secrets on standard input: --secret %(key)s=-", key=key)
    if sys.stdin.isatty():
        return str(click.prompt(key, hide_input=True, err=True))
    return sys.stdin.readline().rstrip("\n")


def _since(given: str) -> datetime | None:
    """``14d``, a date, or ``all`` (``None``)."""
    if given == "all":
        return None
    try:
        if given.endswith("d") and given[:-1].isdecimal():
            return now() - timedelta(days=int(given[:-1]))
        return datetime.combine(date.fromisoformat(given), time.min, _LONDON).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Invalid("Write --since as a number of days (14d), a date (2026-03-24), or all.") from error


def _line(value: object) -> bytes:
    """``value`` as a line of JSON in UTF-8; half a character has no bytes there, and stands as its escape."""
    return json.dumps(value, ensure_ascii=False, default=datetime.isoformat).encode(errors="backslashreplace")


def _list(rows: Iterable[Mapping[str, Any]], *, as_json: bool) -> None:
    for row in rows:
        if as_json:
            click.echo(_line(dict(row)))
        else:
            click.echo("\t".join("" if value is None else str(value) for value in row.values()))


def _file_bar(file: Path) -> Callable[[int], None] | None:
    """A bar over the bytes of a file, where somebody looks."""
    if not sys.stderr.isatty():
        return None
    return _bar(file.stat().st_size if str(file) != "-" else None, "B")


def _bar(total: int | None, unit: str) -> Callable[[int], None]:
    """A bar on standard error, told how much is done."""
    from tqdm import tqdm

    bar = tqdm(total=total, unit=unit, unit_scale=True, file=sys.stderr, leave=False)

    def show(done: int) -> None:
        bar.update(done - bar.n)

    return show


def _progress() -> Any:
    """A progress bar on standard error, fed with how much is fetched and how much is left."""
    from tqdm import tqdm

    bar = tqdm(unit=" messages", file=sys.stderr, leave=False)

    def show(done: int, left: int | None) -> None:
        bar.total = done + left if left is not None else None
        bar.n = done
        bar.refresh()

    return show
