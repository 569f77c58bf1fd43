"""Every command: what it prints, how it ends, and the sentence when it cannot."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.cases import actions
from app.cases.models import Case, Outcome
from app.channels.models import Account, Heartbeat, Stream
from app.clock import now
from app.db import Database
from app.deployment import Deployment
from app.intake.poll import poll_account
from app.jobs.models import Setback
from app.leases import take
from app.messages.models import Message, Sighting
from app.office.models import Office
from app.settings import Settings
from tests import make
from tests.app.program import CommandLine, adding, environment, run
from tests.connectors.email.box import mail
from tests.servers.dovecot import Dovecot
from tests.servers.smtp import Smtp


@pytest.fixture
def postbag(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> CommandLine:
    """The commands, over the test's own install."""
    return CommandLine(settings, monkeypatch, capsysbinary)


@pytest.fixture
def office_id(postbag: CommandLine) -> str:
    return postbag.done("office", "add", "Cllr Tansy Quillfeather", "--prefix", "MA").text.strip()


@dataclass(frozen=True)
class Box:
    """A mailbox of the test servers, and the words with which the command line connects it to the office."""

    dovecot: Dovecot
    address: str
    add: tuple[str, ...]

    def deliver(self, subject: str, at: datetime | None = None) -> None:
        self.dovecot.deliver(self.address, mail(subject), at=at)


@pytest.fixture
def box(office_id: str, address: str, dovecot: Dovecot, smtp: Smtp) -> Box:
    return Box(dovecot, address, adding(office_id, address, dovecot, smtp))


@pytest.fixture
def account_id(postbag: CommandLine, box: Box) -> str:
    """The mailbox, connected by the command."""
    return postbag.done(*box.add, typed="secret\n").text.strip()


# ── Offices and people ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.db
def test_an_office_is_added_and_listed(postbag: CommandLine) -> None:
    words = ("office", "add", "Cllr Ishbel Rannoch", "--place", "Glen Ward", "--prefix", "IR", "--nation", "scotland")
    number = postbag.done(*words).text.strip()
    [listed] = postbag.done("office", "list", "--json").lines
    assert listed == {
        "id": int(number),
        "name": "Cllr Ishbel Rannoch",
        "place": "Glen Ward",
        "prefix": "IR",
        "nation": "scotland",
    }
    assert postbag.done("office", "list").text == f"{number}\tCllr Ishbel Rannoch\tGlen Ward\tIR\tscotland\n"


def test_an_office_without_a_usable_prefix_is_refused_in_one_sentence(postbag: CommandLine, office_id: str) -> None:
    assert office_id
    for prefix in ("m", "MA"):
        ran = postbag("office", "add", "Cllr Ossian Pepperwell", "--prefix", prefix)
        assert (ran.status, ran.output, ran.error.count("\n")) == (1, b"", 1)
    assert len(postbag.done("office", "list", "--json").lines) == 1


@pytest.mark.db
def test_somebody_is_added_with_a_password_from_standard_input_and_listed(postbag: CommandLine, office_id: str) -> None:
    words = ("user", "add", "bram@fernmoor.example", "--name", "Bram Oxlip", "--office", office_id, "--password-stdin")
    number = postbag.done(*words, typed="kettle-lantern-weir\n").text.strip()
    assert number.isdecimal()
    listed = postbag.done("user", "list", "--json")
    assert listed.lines[0]["email"] == "bram@fernmoor.example"
    assert listed.lines[0]["name"] == "Bram Oxlip"
    assert "kettle-lantern-weir" not in listed.text


def test_somebody_without_a_password_gets_a_link_to_choose_one(postbag: CommandLine, office_id: str) -> None:
    words = ("user", "add", "tansy@fernmoor.example", "--name", "Tansy", "--office", office_id, "--role", "councillor")
    assert re.fullmatch(r"http://127\.0\.0\.1:8000/join/\S+\n", postbag.done(*words).text)


def test_a_person_who_cannot_be_added_is_refused_in_one_sentence(postbag: CommandLine, office_id: str) -> None:
    words = ("user", "add", "bram@fernmoor.example", "--name", "Bram Oxlip", "--office")
    weak = postbag(*words, office_id, "--password-stdin", typed="short\n")
    assert (weak.status, weak.error.count("\n")) == (1, 1)
    nowhere = postbag(*words, "77")
    assert (nowhere.status, nowhere.error.count("\n")) == (1, 1)
    assert postbag.done("user", "list", "--json").lines == []
    postbag.done(*words, office_id)
    twice = postbag(*words, office_id)
    assert (twice.status, twice.error.count("\n")) == (1, 1)


# ── Accounts ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.db
def test_a_mailbox_is_tried_connected_listed_checked_and_removed(
    postbag: CommandLine, account_id: str, box: Box, database: Database
) -> None:
    inbox, junk, sent = postbag.done("account", "list", "--json").lines
    assert (inbox["account_id"], inbox["account"], inbox["stream"]) == (int(account_id), box.address, "Inbox")
    assert (inbox["channel"], inbox["health"], inbox["is_junk"]) == ("email", "ok", False)
    assert (junk["stream"], junk["is_junk"]) == ("Junk", True)
    assert (sent["stream"], sent["is_junk"]) == ("Sent", False)
    box.deliver("Brown bin", at=datetime(2026, 4, 2, 15, tzinfo=UTC))
    checked = postbag.done("account", "check", account_id)
    assert checked.text == f"{box.address}: Inbox, Junk, Sent. Brown bin, from Hester Brindlecombe, Thu 2 Apr\n"

    postbag.done("account", "remove", account_id)
    assert postbag.done("account", "list", "--json").lines == []
    with database.reading() as session:
        assert session.get_one(Account, int(account_id)).sealed is None
    gone = postbag("account", "check", account_id)
    assert (gone.status, gone.error) == (1, f"There is no account {account_id}.\n")


def test_the_accounts_of_one_office_can_be_listed(postbag: CommandLine, account_id: str, office_id: str) -> None:
    other = postbag.done("office", "add", "Cllr Ossian Pepperwell", "--prefix", "OP").text.strip()
    listed = postbag.done("account", "list", "--office", office_id, "--json").lines
    assert [one["account_id"] for one in listed] == [int(account_id)] * 3
    assert postbag.done("account", "list", "--office", other, "--json").lines == []
    nowhere = postbag("account", "list", "--office", 77)
    assert (nowhere.status, nowhere.output) == (1, b"")


def test_a_listed_moment_is_written_as_every_program_reads_it(postbag: CommandLine, account_id: str) -> None:
    assert account_id
    postbag.done("poll")
    [inbox, *_] = postbag.done("account", "list", "--json").lines
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00", inbox["caught_up_at"])


def test_a_mailbox_that_does_not_work_is_refused_with_what_is_wrong(postbag: CommandLine, box: Box) -> None:
    def why(password: str, **other: str) -> str:
        """The one sentence of the refusal; the last of two options of one name counts."""
        ran = postbag(*box.add, *(f"--option={key}={value}" for key, value in other.items()), typed=f"{password}\n")
        assert (ran.status, ran.output, ran.error.count("\n")) == (1, b"", 1)
        assert postbag.done("account", "list", "--json").lines == []
        return ran.error.strip()

    assert "does not accept the user name or the password" in why("wrong")
    assert why("secret", imap_host="imap.fernmoor.invalid") == "There is no server called “imap.fernmoor.invalid”."
    assert why("secret", smtp_port="1") == "“127.0.0.1” does not answer on port 1."
    assert "no folder “Casework”" in why("secret", folders="Casework")
    assert why("secret", address="Tansy") == "This is not an e-mail address."
    with Dovecot(certificate="self_signed") as other:
        assert "signed by itself" in why("secret", imap_port=str(other.imaps_port))


def test_what_is_typed_wrongly_is_refused_before_anything_is_dialled(postbag: CommandLine, office_id: str) -> None:
    start = ("account", "add", "email", "--office", office_id)
    mailbox = ("--option", "address=cllr@fernmoor.example", "--secret", "password=-")
    for words, sentence in (
        ((*mailbox, "--option", "imap"), "Write imap as KEY=VALUE."),
        ((*mailbox, "--option", "colour=blue"), "Email has no setting colour."),
        ((*mailbox[:2], "--secret", "password=secret"), "Give secrets on standard input: --secret password=-"),
        (
            (*mailbox, "--since", "lately"),
            "Write --since as a number of days (14d), a date (2026-03-24), or all.",
        ),
        (
            (*mailbox, "--since", "99999999999d"),
            "Write --since as a number of days (14d), a date (2026-03-24), or all.",
        ),
    ):
        ran = postbag(*start, *words, typed="secret\n")
        assert (ran.status, ran.output, ran.error) == (1, b"", f"{sentence}\n")
    unknown = postbag("account", "add", "telex", "--office", office_id)
    assert (unknown.status, unknown.error) == (1, "The channel telex is not installed here.\n")
    nowhere = postbag("account", "add", "email", "--office", 77, *mailbox, typed="secret\n")
    assert (nowhere.status, nowhere.error.count("\n")) == (1, 1)
    missing = postbag(*start, "--option", "address=cllr@fernmoor.example")
    assert (missing.status, missing.error.count("\n"), "assword" in missing.error) == (1, 1, True)


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("14d", ["yesterday"]),
        ("2026-01-01", ["yesterday", "in January"]),
        ("all", ["yesterday", "in January", "years ago"]),
    ],
)
def test_how_far_back_to_fetch_is_said_when_connecting(
    postbag: CommandLine, office_id: str, box: Box, since: str, expected: list[str]
) -> None:
    january = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)
    for subject, at in (
        ("years ago", datetime(2019, 5, 1, tzinfo=UTC)),
        ("in January", january),
        ("yesterday", now() - timedelta(days=1)),
    ):
        box.deliver(subject, at)
    postbag.done(*box.add, "--since", since, typed="secret\n")
    postbag.done("poll")
    held = postbag.done("export", "--office", office_id).lines
    assert {row["subject"] for row in held if row["table"] == "message"} == set(expected)


# ── Fetching ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.db
def test_a_poll_brings_what_is_there_and_a_second_one_changes_nothing(
    postbag: CommandLine, account_id: str, office_id: str, box: Box
) -> None:
    same = mail("Bin", Message_ID="<bin@larkrise.example>")
    box.dovecot.deliver_all(box.address, [(same, "INBOX", None), (mail("Lamp"), "INBOX", None), (same, "Junk", None)])
    assert postbag.done("poll", "--account", account_id).text == "3 fetched: 1 again, 2 message\n"
    before = postbag.done("export", "--office", office_id).lines
    assert postbag.done("poll").text == "0 fetched\n"
    after = postbag.done("export", "--office", office_id).lines
    assert _without_moments_of_polling(after) == _without_moments_of_polling(before)
    assert box.dovecot.flags(box.address) == [(), ()]


def _without_moments_of_polling(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    moments = {"last_good_at", "caught_up_at", "next_at"}
    return [{name: value for name, value in row.items() if name not in moments} for row in rows]


def test_a_poll_of_one_account_leaves_the_others_alone(
    postbag: CommandLine, account_id: str, office_id: str, box: Box, smtp: Smtp
) -> None:
    other = f"second-{box.address}"
    second = postbag.done(*adding(office_id, other, box.dovecot, smtp), typed="secret\n").text.strip()
    box.deliver("Bin")
    box.dovecot.deliver(other, mail("Lamp"))
    assert postbag.done("poll", "--account", second).text == "1 fetched: 1 message\n"
    assert postbag.done("poll", "--account", account_id).text == "1 fetched: 1 message\n"


def test_a_poll_of_nothing_says_why(postbag: CommandLine, account_id: str) -> None:
    assert postbag("poll", "--account", 77).error == "There is no account 77.\n"
    postbag.done("account", "remove", account_id)
    removed = postbag("poll", "--account", account_id)
    assert (removed.status, removed.error) == (1, f"There is no account {account_id}.\n")


def test_a_poll_that_fails_names_the_stream_and_what_is_wrong(
    postbag: CommandLine, office_id: str, address: str, smtp: Smtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Dovecot() as own:
        own.ca_file.write_bytes(own.ca_file.read_bytes() + smtp.ca_file.read_bytes())
        monkeypatch.setenv("SSL_CERT_FILE", str(own.ca_file))
        postbag.done(*adding(office_id, address, own, smtp), typed="secret\n")
    ran = postbag("poll")
    assert (ran.status, ran.text) == (1, "0 fetched\n")
    sentence = f"“127.0.0.1” does not answer on port {own.imaps_port}."
    assert ran.error.splitlines() == [f"{address}, {one}: {sentence}" for one in ("Inbox", "Junk", "Sent")]


def test_a_poll_beside_another_process_says_that_it_did_nothing(
    postbag: CommandLine, account_id: str, box: Box, database: Database
) -> None:
    box.deliver("Bin")
    with database.transaction() as session:
        take(session.get_one(Account, int(account_id)), now())
    ran = postbag("poll")
    assert (ran.status, ran.text) == (1, "0 fetched\n")
    assert ran.error == f"{box.address}: another process is fetching it.\n"


# ── Messages ──────────────────────────────────────────────────────────────────────────────────────────────────────

_FIELDS = [
    "from_addr",
    "from_name",
    "subject",
    "message_id",
    "in_reply_to",
    "date_utc",
    "text",
    "reply_text",
    "html_safe",
    "attachments",
    "is_auto",
    "is_bounce",
    "bounced",
]


def _letter() -> EmailMessage:
    made = EmailMessage()
    made["From"] = "Gwenllian Tybiedig <Gwenllian@Tybiedig.example>"
    made["To"] = "cllr@fernmoor.example"
    made["Subject"] = "Re: Golau stryd ŵ"
    made["Date"] = "Mon, 06 Apr 2026 09:15:00 +0100"
    made["Message-ID"] = "<golau-2@tybiedig.example>"
    made["In-Reply-To"] = "<golau-1@fernmoor.example>"
    made.set_content("Diolch.\n\nOn Fri, 3 Apr 2026 at 10:00, Tansy <cllr@fernmoor.example> wrote:\n> Pa stryd?\n")
    page = '<p onclick="x()">Diolch.</p><script>alert(1)</script><img src="cid:lamp">'
    made.add_alternative(page, subtype="html")
    _, html = made.iter_parts()
    html.add_related(b"a lamp", "image", "png", cid="<lamp>", filename="lamp.png", disposition="inline")
    made.add_attachment(b"a plan", maintype="application", subtype="pdf", filename="llun pothôl.pdf")
    return made


def test_a_mail_file_is_read_as_the_office_would(postbag: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "letter.eml"
    path.write_bytes(_letter().as_bytes())
    [read] = postbag.done("message", "parse", path).lines
    assert list(read) == _FIELDS
    assert (read["from_addr"], read["from_name"]) == ("gwenllian@tybiedig.example", "Gwenllian Tybiedig")
    assert read["subject"] == "Re: Golau stryd ŵ"
    assert (read["message_id"], read["in_reply_to"]) == ("<golau-2@tybiedig.example>", "<golau-1@fernmoor.example>")
    assert read["date_utc"] == "2026-04-06T08:15:00+00:00"
    assert "> Pa stryd?" in read["text"]
    assert read["reply_text"].strip() == "Diolch."
    assert "<p>Diolch.</p>" in read["html_safe"]
    assert not re.search("script|onclick|alert", read["html_safe"])
    assert sorted(read["attachments"], key=lambda one: str(one["name"])) == [
        {"name": "lamp.png", "sha256": hashlib.sha256(b"a lamp").hexdigest(), "inline": True},
        {"name": "llun pothôl.pdf", "sha256": hashlib.sha256(b"a plan").hexdigest(), "inline": False},
    ]
    assert (read["is_auto"], read["is_bounce"], read["bounced"]) == (False, False, [])


def test_automatic_mail_and_delivery_reports_are_told_apart(postbag: CommandLine, tmp_path: Path) -> None:
    away, report = tmp_path / "away.eml", tmp_path / "report.eml"
    away.write_bytes(mail("Out of office", Auto_Submitted="auto-replied"))
    report.write_bytes(_REPORT)
    [first, second] = postbag.done("message", "parse", away, report).lines
    assert (first["is_auto"], first["is_bounce"]) == (True, False)
    assert second["is_bounce"]
    assert second["bounced"] == ["<reply-1@fernmoor.example>"]


_REPORT = b"""From: MAILER-DAEMON@mx.example
To: cllr@fernmoor.example
Subject: Undelivered Mail Returned to Sender
Date: Tue, 07 Apr 2026 08:00:00 +0000
Message-ID: <report@mx.example>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="line"

--line
Content-Type: text/plain

Your mail could not be delivered.
--line
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; hester@larkrise.example
Action: failed
Status: 5.1.1

--line
Content-Type: message/rfc822

From: cllr@fernmoor.example
To: hester@larkrise.example
Subject: Re: Bin
Message-ID: <reply-1@fernmoor.example>

Dear Hester.
--line--
"""


def test_a_mail_without_anything_has_every_field_all_the_same(postbag: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "bare.eml"
    path.write_bytes(b"\xff\x00\n")
    [read] = postbag.done("message", "parse", path).lines
    assert list(read) == _FIELDS
    assert (read["from_addr"], read["message_id"], read["date_utc"], read["attachments"]) == ("", "", None, [])


def test_one_file_that_cannot_be_read_does_not_hide_the_others(postbag: CommandLine, tmp_path: Path) -> None:
    empty, good = tmp_path / "empty.eml", tmp_path / "good.eml"
    empty.write_bytes(b"")
    good.write_bytes(mail("Bin"))
    ran = postbag("message", "parse", empty, good)
    assert [read["subject"] for read in ran.lines] == ["Bin"]
    assert (ran.status, ran.error) == (1, f"{empty}: This mail is empty.\n")
    nothing = postbag("message", "parse", tmp_path / "nothing.eml")
    assert nothing.status == 2
    assert "does not exist" in nothing.error


@pytest.mark.db
def test_a_message_comes_back_byte_for_byte(
    postbag: CommandLine, account_id: str, box: Box, database: Database
) -> None:
    assert account_id
    odd = b"From: Lou <lou@larkrise.example>\r\nSubject: \xff\xfe \xe2\x82\r\n\r\nno charset: \x80\x9f\r\n\r\n. \r\n"
    box.dovecot.deliver(box.address, odd)
    postbag.done("poll")
    with database.reading() as session:
        message_id = session.scalars(sa.select(Message.id)).one()
    assert postbag.done("message", "raw", message_id).output == odd
    missing = postbag("message", "raw", 777)
    assert (missing.status, missing.output) == (1, b"")
    assert missing.error == "There is no message 777 that a platform showed.\n"


# ── Quarantine ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.db
def test_what_cannot_be_read_waits_in_sight_and_can_be_read_again(
    postbag: CommandLine, account_id: str, box: Box
) -> None:
    box.deliver("Bin")
    box.dovecot.deliver_nothing(box.address)
    ran = postbag.done("poll")
    assert ran.text == "2 fetched: 1 message, 1 quarantined\n"
    [waiting] = postbag.done("quarantine", "list", "--json").lines
    assert (waiting["account_id"], waiting["stream"], waiting["size"]) == (int(account_id), "Inbox", 0)
    assert waiting["trouble"] == "This mail is empty."
    again = postbag("quarantine", "retry")
    assert (again.status, again.text) == (1, "1 left in quarantine\n")
    named = postbag("quarantine", "retry", waiting["sighting_id"])
    assert (named.status, named.text) == (1, "1 left in quarantine\n")
    unknown = postbag("quarantine", "retry", 777)
    assert (unknown.status, unknown.error) == (1, "777 does not wait in quarantine.\n")


def test_what_can_be_read_again_leaves_quarantine(
    postbag: CommandLine, account_id: str, box: Box, deployment: Deployment
) -> None:
    box.deliver("Bin")
    sha256 = _fetched_only(deployment, int(account_id))
    content = deployment.store.read(1, sha256)
    deployment.store.delete(1, sha256)  # a disk that lost a file
    assert postbag.done("poll").text == "0 fetched: 1 quarantined\n"
    [waiting] = postbag.done("quarantine", "list", "--json").lines
    assert waiting["sha256"] == sha256
    deployment.store.put(1, content)
    assert postbag.done("quarantine", "retry", waiting["sighting_id"]).text == "0 left in quarantine\n"
    assert postbag.done("quarantine", "list").text == ""


def _fetched_only(deployment: Deployment, account_id: int) -> str:
    reaching = replace(deployment, host=replace(deployment.host, allowed_hosts=frozenset({"127.0.0.1"})))
    poll_account(reaching, account_id, everything=True)
    with deployment.database.reading() as session:
        return session.scalars(sa.select(Sighting.sha256)).one()


# ── Looking after it ──────────────────────────────────────────────────────────────────────────────────────────────


def test_half_a_character_does_not_stop_an_export(postbag: CommandLine, office_id: str, deployment: Deployment) -> None:
    with deployment.database.transaction() as session:
        case = make.case(session, office=session.get_one(Office, int(office_id)))
        thread = make.conversation(session, case=case)
        make.message(session, conversation=thread, recipients={"to": [["half \ud83d ŵ", "ann@x.example"]]})
    written = postbag.done("export", "--office", office_id)
    assert b'"half \\ud83d \xc5\xb5"' in written.output


@pytest.mark.db
def test_everything_held_for_an_office_is_exported_and_no_secret(
    postbag: CommandLine, account_id: str, office_id: str, box: Box, tmp_path: Path
) -> None:
    other = postbag.done("office", "add", "Cllr Ossian Pepperwell", "--prefix", "OP").text.strip()
    words = ("user", "add", "bram@fernmoor.example", "--name", "Bram Oxlip", "--office", office_id, "--password-stdin")
    postbag.done(*words, typed="kettle-lantern-weir\n")
    letter = _letter().as_bytes()
    box.dovecot.deliver(box.address, letter, at=datetime(2026, 4, 6, 8, 16, tzinfo=UTC))
    postbag.done("poll")
    folder = tmp_path / "files"
    ran = postbag("export", "--office", office_id, "--files", folder)
    assert (ran.status, ran.error) == (0, f"3 files are in {folder}\n")

    held: dict[str, list[dict[str, object]]] = {}
    for row in ran.lines:
        held.setdefault(str(row.pop("table")), []).append(row)
    assert [office["name"] for office in held["office"]] == ["Cllr Tansy Quillfeather"]
    assert [person["email"] for person in held["staff"]] == ["bram@fernmoor.example"]
    assert [message["subject"] for message in held["message"]] == ["Re: Golau stryd ŵ"]
    assert held["message"][0]["sent_at"] == "2026-04-06T08:15:00+00:00"
    assert [one["id"] for one in held["account"]] == [int(account_id)]
    assert {"case", "conversation", "person", "identity", "obligation", "sighting", "file", "audit_line"} <= set(held)
    assert {path.read_bytes() for path in folder.iterdir()} == {
        b"a lamp",
        b"a plan",
        box.dovecot.messages(box.address)[0],
    }

    assert "kettle-lantern-weir" not in ran.text
    assert '"secret"' not in ran.text
    for names in ([*row] for rows in held.values() for row in rows):
        assert not {"sealed", "password", "token_hash", "totp_secret", "recovery_codes"} & set(names)
    assert [row["table"] for row in postbag.done("export", "--office", other).lines if row["table"] == "message"] == []
    nowhere = postbag("export", "--office", 77)
    assert (nowhere.status, nowhere.output, nowhere.error) == (1, b"", "There is no office 77.\n")


@pytest.mark.db
def test_health_fails_until_somebody_works_and_nothing_is_parked(postbag: CommandLine, database: Database) -> None:
    never = postbag("health")
    assert (never.status, never.output) == (1, b"")
    assert never.error == "Nothing is being fetched or sent: no worker has run yet.\n"
    with database.transaction() as session:
        session.add(Heartbeat(worker="this one", started_at=now(), seen_at=now()))
    assert postbag.done("health").text == "All is well.\n"
    assert postbag.done("health", "--json").lines == [{"healthy": True, "troubles": []}]
    with database.transaction() as session:
        session.add(
            Setback(
                kind="send_reply", key=7, failures=8, first_at=now(), last_at=now(), parked_at=now(), trouble="No room."
            )
        )
    parked = postbag("health", "--json")
    assert (parked.status, parked.lines) == (1, [{"healthy": False, "troubles": ["Parked: send_reply 7: No room."]}])


@pytest.mark.db
def test_health_names_a_stream_that_is_late(postbag: CommandLine, account_id: str, database: Database) -> None:
    assert account_id
    long_ago = now() - timedelta(hours=2)
    with database.transaction() as session:
        session.add(Heartbeat(worker="this one", started_at=now(), seen_at=now()))
        session.execute(sa.update(Stream).values(added_at=long_ago, last_good_at=long_ago))
    late = postbag("health")
    assert late.status == 1
    assert len(late.error.splitlines()) == 3
    assert f"Inbox: late since {long_ago:%Y-%m-%d %H:%M}" in late.error
    postbag.done("poll")
    assert postbag.done("health").text == "All is well.\n"


def test_a_setting_that_cannot_be_used_is_named(postbag: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PORT", "eighty"), ("MAIL_SECURITY", "ssl3"), ("PUBLIC_URL", "nowhere"), ("WORKERS", "0")):
        monkeypatch.setenv(f"POSTBAG_{name}", value)
        ran = postbag("office", "list")
        assert (ran.status, ran.output, ran.error.count("\n")) == (1, b"", 1)
        assert ran.error.startswith(f"The setting POSTBAG_{name} will not do: ")
        monkeypatch.delenv(f"POSTBAG_{name}")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://postbag:hush@127.0.0.1:1/postbag",
        "postgresql://postbag:hush@/postbag?host=/nowhere",
        "mysql://postbag:hush@127.0.0.1/postbag",
        "postbag:hush",
    ],
)
def test_a_database_that_cannot_be_reached_is_said_in_one_line(
    postbag: CommandLine, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("POSTBAG_DATABASE_URL", url)
    for command in (("office", "list"), ("migrate",), ("health",)):
        ran = postbag(*command)
        assert (ran.status, ran.output, ran.error.count("\n")) == (1, b"", 1)
        assert "hush" not in ran.error


def test_a_data_folder_that_cannot_be_used_is_said_in_one_line(
    postbag: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("POSTBAG_DATA", str(tmp_path / "file" / "data"))
    ran = postbag("office", "list")
    assert (ran.status, ran.error.count("\n")) == (1, 1)
    assert str(tmp_path / "file") in ran.error


@pytest.mark.db
def test_a_database_without_tables_is_no_health_and_migrate_makes_them(
    postbag: CommandLine, settings: Settings, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if settings.database_url is None:
        monkeypatch.setenv("POSTBAG_DATA", str(settings.data / "another"))
    else:
        monkeypatch.setenv("POSTBAG_DATABASE_URL", request.getfixturevalue("postgres").url())
    bare = postbag("health")
    assert (bare.status, bare.error) == (
        1,
        "The database's tables are not those of this version: python -m app migrate makes them.\n",
    )
    postbag.done("migrate")
    postbag.done("migrate")
    assert postbag("health").error == "Nothing is being fetched or sent: no worker has run yet.\n"


def test_an_office_whose_keys_are_gone_says_so_and_comes_back_with_them(
    postbag: CommandLine, account_id: str, settings: Settings
) -> None:
    keys = settings.data / "keys" / "keys.json"
    kept = keys.read_bytes()
    keys.unlink()
    for words in (("poll",), ("account", "check", account_id), ("keys",)):
        ran = postbag(*words)
        assert (ran.status, ran.error.count("\n"), f"there is no {keys}" in ran.error) == (1, 1, True)
    keys.write_bytes(kept)
    postbag.done("poll")
    assert postbag.done("keys").text == "The keys are those of the database.\n"


def test_an_account_sealed_with_keys_that_are_lost_says_so(
    postbag: CommandLine, account_id: str, settings: Settings
) -> None:
    (settings.data / "keys" / "keys.json").unlink()
    postbag.done("keys", "--accept-new")
    checked = postbag("account", "check", account_id)
    assert (checked.status, checked.error.count("\n"), "sealed with another key" in checked.error) == (1, 1, True)


def test_a_broken_key_file_is_named_and_left_alone(postbag: CommandLine, settings: Settings) -> None:
    postbag.done("office", "list")
    keys = settings.data / "keys" / "keys.json"
    for broken in ("{", "{}"):
        keys.write_text(broken)
        ran = postbag("office", "list")
        assert (ran.status, ran.error.count("\n"), str(keys) in ran.error) == (1, 1, True)
        assert keys.read_text() == broken


def test_a_command_that_does_not_exist_is_refused_and_help_is_given(postbag: CommandLine) -> None:
    unknown = postbag("offices")
    assert (unknown.status, unknown.output) == (2, b"")
    assert "No such command" in unknown.error
    for command in ((), ("account", "add"), ("poll",), ("quarantine",)):
        helped = postbag(*command, "--help")
        assert (helped.status, "Usage: python -m app" in helped.text) == (0, True)


def test_a_process_of_its_own_says_the_same(postbag: CommandLine, account_id: str, settings: Settings) -> None:
    """Here every test has imported everything; a process that runs one command has not."""
    given = environment(settings)
    for words in (
        ("office", "list", "--json"),
        ("user", "add", "bram@fernmoor.example", "--name", "Bram"),
        ("user", "list"),
        ("account", "list", "--json"),
        ("account", "check", account_id),
        ("poll",),
        ("quarantine", "list"),
    ):
        ran = run(*words, given=given)
        assert (ran.returncode, ran.stderr) == (0, b""), words
    bad = run("message", "raw", "7", given=given)
    assert (bad.returncode, bad.stdout) == (1, b"")
    assert bad.stderr == b"There is no message 7 that a platform showed.\n"
    assert postbag.done("user", "list", "--json").lines[0]["email"] == "bram@fernmoor.example"


# ── Erasing ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.db
def test_somebody_is_erased_once_it_is_said_twice(
    postbag: CommandLine, office_id: str, box: Box, account_id: str, database: Database
) -> None:
    assert account_id
    box.deliver("Bin")
    postbag.done("poll")
    with database.transaction() as session:
        message = session.scalars(sa.select(Message)).one()
        case = session.get_one(Case, message.case_id)
        actions.close(session, case, outcome=Outcome.RESOLVED, by=make.staff(session).id, at=now())
    preview = postbag("erase", "--office", office_id, "--person", message.person_id)
    assert preview.text == "cases\t1\nmessages\t1\nfiles\t0\nnotes\t0\ndrafts\t0\nreplies\t0\nothers\t0\n"
    assert (preview.status, preview.error) == (
        0,
        "Nothing was erased yet: say --yes. Messages of others on the same cases stay.\n",
    )
    done = postbag.done("erase", "--office", office_id, "--person", message.person_id, "--yes")
    assert done.text == preview.text
    again = postbag("erase", "--office", office_id, "--person", message.person_id, "--yes")
    assert (again.status, again.error) == (1, "This person was erased already.\n")
