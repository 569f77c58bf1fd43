"""Every failure of a mailbox and its line (reliability.md section 2), with a real server behind a line that meddles.

Mail lies there, more comes, and somebody else reads and files it meanwhile; two polls go wrong in the same way, then
the line is mended. What has to hold is always the same: the office has every mail once, nothing stands in quarantine,
and the folder is caught up again by itself, at the times that the program itself has named.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from app.channels.models import Account, State, Stream
from app.deployment import Deployment
from app.intake.again import fetch_again
from app.intake.listening import Listening
from app.intake.poll import poll_account
from app.intake.take import take
from app.messages.models import Message, Reading, Sighting
from tests import make
from tests.app.program import until
from tests.conftest import MORNING, Clock
from tests.connectors.email.box import mail
from tests.servers.dovecot import PASSWORD, Dovecot
from tests.servers.faulty import Fault, Line
from tests.servers.meddling import (
    CUT,
    GREETING,
    STALL,
    Asked,
    ImapMeddler,
    PassOn,
    Piece,
    Trick,
    at,
    change,
    cut,
    cut_in_answer,
    lose,
    rewrite,
    say,
    slowly,
    stall,
    stall_in_answer,
)

MAILS = 8
POLLS = 2  # that go wrong
HEALED_WITHIN = timedelta(hours=2)
SILENCE = 0.4  # seconds after which a server counts as silent here, instead of 45

SIZES, BODIES = "RFC822.SIZE", "BODY.PEEK[]"
SIGNING_IN = (GREETING, "CAPABILITY", "AUTHENTICATE")
STEPS = (*SIGNING_IN, "STATUS", "EXAMINE", "SEARCH", SIZES, BODIES, "CLOSE")


@dataclass
class Box:
    """An office whose one account is a mailbox behind a line that can be cut and meddled with."""

    deployment: Deployment
    clock: Clock
    server: Dovecot
    meddler: ImapMeddler
    line: Line
    address: str
    account_id: int
    subjects: list[str] = field(default_factory=list)  # of every mail that was ever put there

    def put(self, *subjects: str, **headers: str) -> None:
        mails = [mail(subject, f"About {subject}.\n", Message_ID=f"<{subject}@a>", **headers) for subject in subjects]
        self.server.deliver_all(self.address, [(one, "INBOX", None) for one in mails])
        self.subjects += subjects

    def fetch(self) -> datetime | None:
        """Poll what is due, as the program's own jobs would; when to come again."""
        again_at = poll_account(self.deployment, self.account_id)
        take(self.deployment, self.account_id)
        return again_at

    def fetch_now(self) -> None:
        """The same for all folders whatever their time, a minute later."""
        self.clock.advance(minutes=1)
        poll_account(self.deployment, self.account_id, everything=True)
        take(self.deployment, self.account_id)

    def go_on(self, until: Callable[[], bool]) -> None:
        """Let time pass and poll when the program says so, until something holds."""
        late = self.clock.at + HEALED_WITHIN
        while not until() and self.clock.at < late:
            again_at = self.fetch()
            self.clock.at = max(again_at or late, self.clock.at + timedelta(seconds=1))

    def is_whole(self) -> bool:
        """Whether every mail is in and nothing is wrong."""
        return len(self.messages()) >= len(self.subjects) and not self.trouble()

    def messages(self) -> list[str]:
        with self.deployment.database.reading() as session:
            return list(session.scalars(sa.select(Message.subject).order_by(Message.subject)))

    def states(self) -> Counter[Reading]:
        with self.deployment.database.reading() as session:
            return Counter(session.scalars(sa.select(Sighting.state)))

    def trouble(self) -> str:
        with self.deployment.database.reading() as session:
            return session.scalars(sa.select(Stream.trouble).where(Stream.trouble != "")).first() or ""

    def look(self, work: Callable[[object], None]) -> None:
        """Somebody's own mail program."""
        with self.server.client(self.address) as client:
            client.select_folder("INBOX")
            work(client)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.email.line.READ_SECONDS", SILENCE)


@pytest.fixture
def box(deployment: Deployment, dovecot: Dovecot, address: str, clock: Clock) -> Iterator[Box]:
    allowed = replace(deployment, host=replace(deployment.host, allowed_hosts=frozenset({"127.0.0.1"})))
    with ImapMeddler(dovecot, dovecot.imaps_port) as meddler, Line(meddler.port) as line:
        with allowed.database.transaction() as session:
            account = make.account(
                session,
                options={"address": address, "imap_host": line.host, "imap_port": str(line.port)},
                sealed=allowed.sealer.seal({"password": PASSWORD}),
                own_ids=[address],
            )
            make.stream(session, account=account)
            make.stream(session, account=account, key="Junk", name="Junk", is_junk=True)
            made = Box(allowed, clock, dovecot, meddler, line, address, account.id)
        yield made
        line.cut()
        allowed.lines.close()


def go_wrong(box: Box, trick: Trick, *, dialled_anew: bool = False) -> list[str]:
    """Polls that meet the trick, while mail comes and somebody else sees to it; what was said meanwhile."""
    box.put(*(f"Mail {number}" for number in range(2)))
    box.fetch_now()  # a kept line, and something that was read before
    box.put(*(f"Mail {number}" for number in range(2, MAILS)))
    box.meddler.meddle(trick)
    if dialled_anew:
        box.line.cut()
    said = []
    for number in range(POLLS):
        box.fetch_now()
        said.append(box.trouble())
        box.put(f"Meanwhile {number}")
        box.look(_see_to_it)
    box.meddler.mend()
    return said


def _see_to_it(client: object) -> None:
    """Read the newest mail, and move one that the office has into the junk folder, which it reads as well."""
    newest = max(client.search("ALL"))  # type: ignore[attr-defined]
    client.add_flags([newest], ["\\Seen"])  # type: ignore[attr-defined]
    if moved := client.search(["SUBJECT", "Mail 1"]):  # type: ignore[attr-defined]
        client.move(moved, "Junk")  # type: ignore[attr-defined]


def assert_whole(box: Box) -> None:
    """Every mail once, nothing set aside, and both folders caught up again by themselves."""
    box.go_on(box.is_whole)
    assert box.messages() == sorted(box.subjects)
    assert set(box.states()) == {Reading.TAKEN}
    with box.deployment.database.reading() as session:
        streams = session.scalars(sa.select(Stream)).all()
        account = session.get_one(Account, box.account_id)
    assert [(one.trouble, one.failing_since, one.waiting) for one in streams] == [("", None, 0)] * 2
    assert all(one.caught_up_at is not None and one.caught_up_at > box.clock.at - HEALED_WITHIN for one in streams)
    assert (account.state, account.refusals, account.lease_by) == (State.ACTIVE, 0, "")


# ── The line ────────────────────────────────────────────────────────────────────────────────────────────────

BREAKS: dict[str, Trick] = {
    "cut": cut,
    "answer lost": lose,
    "cut in the answer": cut_in_answer,
    "silent": stall,
    "silent in the answer": stall_in_answer,
    "NO": say(b"TAG NO Something is wrong"),
    "NO with a code": say(b"TAG NO [UNAVAILABLE] Try again later"),
    "NO for a fault of the server": say(b"TAG NO [SERVERBUG] Internal error occurred"),
    "BAD": say(b"TAG BAD Error in IMAP command"),
    "BYE": say(b"* BYE Server shutting down", then=CUT),
    "BYE with a code": say(b"* BYE [UNAVAILABLE] Too busy", then=CUT),
    "rubbish": say(b"\x00\xff\x80 <html>502 Bad Gateway</html>", then=CUT),
    "rubbish in form": say(b"* 3 FETCH (UID \r\n* SEARCH x\r\n* STATUS (\r\nTAG OK done"),
    "another's answer": say(b"Z99 OK done", then=CUT),
}
# The short run has each step cut, and at the fetching of mails what comes from the line alone; the long run has the
# rest, in which most mails are asked for one by one.
QUICK_AT_BODIES = ("cut", "answer lost", "silent", "silent in the answer", "NO", "NO with a code", "BYE with a code")
EVERYWHERE = [(step, what) for step in STEPS for what in BREAKS]
QUICK = [
    (step, what)
    for step, what in EVERYWHERE
    if what == "cut in the answer" or (step == BODIES and what in QUICK_AT_BODIES)
]


@pytest.mark.parametrize(("step", "what"), QUICK)
def test_whatever_breaks_every_mail_comes_once_and_it_is_said(box: Box, step: str, what: str) -> None:
    said = go_wrong(box, at(step, BREAKS[what]), dialled_anew=step in SIGNING_IN)
    assert any(said)
    assert_whole(box)


@pytest.mark.slow
@pytest.mark.db
@pytest.mark.parametrize(("step", "what"), EVERYWHERE)
def test_whatever_breaks_anywhere_every_mail_comes_once_and_it_is_said(box: Box, step: str, what: str) -> None:
    said = go_wrong(box, at(step, BREAKS[what]), dialled_anew=step in SIGNING_IN)
    assert any(said)
    assert_whole(box)


# ── What the server says ────────────────────────────────────────────────────────────────────────────────────

_LITERAL = rb"BODY\[\] \{(\d+)\}\r\n"


def _lie(by: int) -> Trick:
    """The length announced for each mail is not its length."""
    return at(BODIES, rewrite(_LITERAL, lambda found: b"BODY[] {%d}\r\n" % max(0, int(found[1]) + by)))


def _without_content(instead: bytes) -> Trick:
    def emptied(responses: list[bytes]) -> Sequence[bytes]:
        return [re.sub(_LITERAL + rb".*\)\r\n$", instead + b")\r\n", one, flags=re.DOTALL) for one in responses]

    return at(BODIES, change(emptied))


def _sized(size: bytes) -> Trick:
    return at(SIZES, rewrite(rb"RFC822\.SIZE \d+", b"RFC822.SIZE " + size))


def _numbered(by: Callable[[int], int]) -> Trick:
    """Another UIDVALIDITY than the folder has."""
    return rewrite(rb"UIDVALIDITY (\d+)", lambda found: b"UIDVALIDITY %d" % by(int(found[1])))


def _twice_and_backwards(found: re.Match[bytes]) -> bytes:
    uids = found[1].split()
    return b"SEARCH " + b" ".join([*uids[::-1], *uids]) + b"\r"


def _now_up_now_down() -> Trick:
    asked = iter(range(1_000))
    shift = {"STATUS": 0}

    def trick(given: Asked, pass_on: PassOn) -> Sequence[Piece]:
        if given.has("STATUS") and given.has("INBOX"):
            shift["STATUS"] = 7 if next(asked) % 2 else -7
        return _numbered(lambda number: number + shift["STATUS"])(given, pass_on)

    return trick


def _with(*more: bytes) -> Trick:
    """What the server may say at any time, before and after each of its answers."""
    return at("UID FETCH", change(lambda responses: [*more, *responses, *more]))


BEFORE_TIME = b"* 1 FETCH (FLAGS (\\Seen))\r\n"
WITH_UID = b"* 2 FETCH (UID 2 FLAGS (\\Seen \\Flagged) MODSEQ (77))\r\n"
NOT_ASKED_FOR = b"* 99 FETCH (UID 4711 RFC822.SIZE 5 BODY[] {5}\r\nHello)\r\n"

# Those that a careful reader never notices …
HARMLESS: dict[str, Trick] = {
    "slow": at(BODIES, slowly(60_000)),
    "items twice": at("UID FETCH", change(lambda found: [*found, *found])),
    "items backwards": at("UID FETCH", change(lambda found: found[::-1])),
    "search twice and backwards": at("SEARCH", rewrite(rb"SEARCH (.*)\r", _twice_and_backwards)),
    "mail comes in between": _with(b"* 99 EXISTS\r\n", b"* 1 RECENT\r\n"),
    "marks change in between": _with(BEFORE_TIME, WITH_UID),
    "what was not asked for": _with(NOT_ASKED_FOR, b"* OK [ALERT] The disk is almost full\r\n"),
    "a size far too small": _sized(b"1"),
    "no size at all": _sized(b"0"),
    "a size far too large": _sized(b"5000000"),
    "a size that makes it a large mail": _sized(b"90000000"),
    "numbered anew, upwards": _numbered(lambda number: number + 7),
    "numbered anew, downwards": _numbered(lambda number: number - 7),
    "numbered anew again and again": _now_up_now_down(),
    "no UIDNEXT": rewrite(rb" ?UIDNEXT \d+", b""),
}
# … and those that it cannot live with, but gets over.
HARMFUL: dict[str, Trick] = {
    "an empty mail for each": _without_content(b"BODY[] {0}\r\n"),
    "nothing for each": _without_content(b"BODY[] NIL"),
    "an empty string for each": _without_content(b'BODY[] ""'),
    "longer than announced": _lie(-40),
    "much longer than announced": _lie(-150),
    "a little shorter than announced": _lie(20),
    "shorter than announced": _lie(100_000),
    "a number that is none": at(BODIES, rewrite(rb"UID \d+", b"UID x")),
    "an arrival at no time": at(SIZES, rewrite(rb'INTERNALDATE "[^"]*"', b'INTERNALDATE "99-Foo-20 25:61"')),
    "brackets that never close": at(BODIES, rewrite(rb"\* (\d+) FETCH \(", rb"* \1 FETCH ((((((")),
    "STATUS that says nothing": at("STATUS", change(lambda _: [])),
    "a search that is none": at("SEARCH", rewrite(rb"SEARCH", b"SEARCH one two")),
    "a folder without a number": at("EXAMINE", rewrite(rb"\* OK \[UIDVALIDITY[^\r]*\r\n", b"")),
    "silence for ever": at(BODIES, lambda _, pass_on: [pass_on()[0][:40], STALL]),
}


@pytest.mark.parametrize("trick", HARMLESS.values(), ids=HARMLESS)
def test_what_a_server_may_say_or_says_wrongly_makes_no_difference(box: Box, trick: Trick) -> None:
    said = go_wrong(box, trick)
    assert (said, len(box.messages())) == ([""] * POLLS, len(box.subjects) - 1)  # the last one comes after the polls
    assert_whole(box)


QUICKLY_OVER = ("nothing for each", "shorter than announced", "a number that is none", "STATUS that says nothing")


@pytest.mark.parametrize(
    "trick",
    [
        pytest.param(trick, id=what, marks=() if what in QUICKLY_OVER else pytest.mark.slow)
        for what, trick in HARMFUL.items()
    ],
)
def test_an_answer_that_makes_no_sense_is_said_and_got_over(box: Box, trick: Trick) -> None:
    said = go_wrong(box, trick)
    assert any(said)
    assert_whole(box)


# ── The mailbox ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [0, 1, 900, 2_000, 3_000, 4_000, 5_500])
def test_a_line_cut_after_any_number_of_bytes_loses_and_doubles_nothing(box: Box, size: int) -> None:
    box.line.fail(Fault(refuse=True) if size == 0 else Fault(cut_after=size))
    box.put(*(f"Mail {number}" for number in range(MAILS)))
    for _ in range(POLLS):
        box.fetch_now()
    assert box.trouble()
    box.line.mend()
    assert_whole(box)


def test_mail_that_is_expunged_while_it_is_fetched_takes_no_other_with_it(box: Box) -> None:
    box.put(*(f"Mail {number}" for number in range(MAILS)))

    def expunge_first(asked: Asked, pass_on: PassOn) -> Sequence[Piece]:
        if asked.has(BODIES) and "Mail 3" in box.subjects:
            box.server.expunge(box.address, "Mail 3")
            box.subjects.remove("Mail 3")
        return pass_on()

    box.meddler.meddle(expunge_first)
    box.fetch_now()
    assert_whole(box)


def test_one_mail_that_is_listed_and_never_handed_out_is_set_aside_and_comes_when_it_is_asked_for(box: Box) -> None:
    box.put(*(f"Mail {number}" for number in range(MAILS)))
    without = change(lambda found: [one for one in found if b"Subject: Mail 3\r\n" not in one])
    box.meddler.meddle(at(BODIES, without))
    box.go_on(lambda: Reading.QUARANTINED in box.states())
    assert (len(box.messages()), box.states()[Reading.QUARANTINED], box.trouble()) == (MAILS - 1, 1, "")

    box.meddler.mend()
    with box.deployment.database.reading() as session:
        [withheld] = session.scalars(sa.select(Sighting.id).where(Sighting.state == Reading.QUARANTINED))
    fetch_again(box.deployment, withheld)
    assert_whole(box)


def test_numbers_that_jump_far_ahead_leave_nothing_out(box: Box) -> None:
    box.put("Mail 0")
    box.fetch_now()
    box.line.cut()
    [uids] = (box.server.mail / box.address).glob("dovecot-uidlist")
    uids.write_bytes(re.sub(rb" N\d+", b" N3000000000", uids.read_bytes(), count=1))
    for index in (box.server.mail / box.address).glob("dovecot.index*"):
        index.unlink()
    box.put("Mail 1", "Mail 2")
    assert_whole(box)
    with box.deployment.database.reading() as session:
        newest = session.scalars(sa.select(Sighting.external_id).order_by(Sighting.id.desc())).first()
    assert newest is not None
    assert int(newest.partition(":")[2]) >= 3_000_000_000


def test_a_clock_that_jumps_an_hour_ahead_and_back_costs_minutes_and_no_mail(box: Box) -> None:
    box.put("Mail 0")
    box.fetch()
    box.clock.advance(hours=1)
    box.put("Mail 1")
    box.fetch()
    box.clock.advance(hours=-1)
    box.put("Mail 2")
    box.go_on(lambda: len(box.messages()) == len(box.subjects))
    assert_whole(box)


DATES = ("Thu, 01 Jan 1970 00:00:00 +0000", "Fri, 31 Dec 9999 23:59:59 -1200", "yesterday", "Tue, 99 Foo 2026", "")


def test_dates_that_are_none_and_ids_that_are_used_again_cost_no_mail(box: Box) -> None:
    mails = []
    for number, date in enumerate(DATES):
        box.subjects += [f"Dated {number}", f"Undated {number}", f"Without an id {number}"]
        given = mail(f"Dated {number}", Message_ID="<one-for-all@a>")
        mails.append(re.sub(rb"\nDate: [^\n]*", f"\nDate: {date}".encode(), given))
        mails.append(re.sub(rb"\nDate: [^\n]*", b"", mail(f"Undated {number}", Message_ID="<one-for-all@a>")))
        mails.append(mail(f"Without an id {number}"))
    box.server.deliver_all(box.address, [(one, "INBOX", None) for one in mails])
    box.fetch_now()
    box.clock.advance(days=365)
    box.put("A year later")
    box.server.deliver(box.address, mail("Anew", "Something else.\n", Message_ID="<one-for-all@a>"))
    box.subjects.append("Anew")
    assert_whole(box)


def test_what_an_older_version_could_not_read_or_had_not_read_yet_is_read_after_the_upgrade(box: Box) -> None:
    box.put(*(f"Mail {number}" for number in range(MAILS)))
    box.clock.advance(minutes=1)
    poll_account(box.deployment, box.account_id, everything=True)
    with box.deployment.database.transaction() as session:
        half = sa.update(Sighting).where(Sighting.id % 2 == 0)
        session.execute(half.values(state=Reading.QUARANTINED, trouble="It is too odd.", reader=0))
    take(box.deployment, box.account_id)
    assert_whole(box)


def test_a_server_that_says_nothing_while_it_is_listened_to_is_asked_every_five_minutes(box: Box) -> None:
    def deaf(asked: Asked, pass_on: PassOn) -> Sequence[Piece]:
        return [b"+ idling\r\n"] if asked.name == "IDLE" else pass_on()

    box.meddler.meddle(deaf)
    listening = Listening(box.deployment)
    listening.follow()
    assert until(lambda: _is_listened_to(box))
    box.fetch()
    box.put("Mail 0")
    box.go_on(lambda: box.messages() == ["Mail 0"])
    took = box.clock.at - MORNING
    listening.stop()
    assert took < timedelta(minutes=13)  # two turns, and what is added to spread them
    assert_whole(box)


def _is_listened_to(box: Box) -> bool:
    with box.deployment.database.reading() as session:
        return session.scalar(sa.select(sa.func.count()).where(Stream.listened_until.is_not(None))) == 1
