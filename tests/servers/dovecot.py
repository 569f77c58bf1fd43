"""Dovecot, as an ordinary user would run it: any user name, the password "secret", Maildir folders.

Who signs in with a token (XOAUTH2, OAUTHBEARER) is let in where ``issuer`` says that it is theirs.

A user name that begins with ``unavailable`` finds a server that cannot check passwords just now, when the password is
not "secret".
"""

from __future__ import annotations

import contextlib
import shutil
import ssl
import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from imapclient import IMAPClient

from tests.servers import account
from tests.servers.certificates import Authority, Certificate
from tests.servers.issuer import Issuer

PASSWORD = "secret"
_AT_ONCE = 100  # mails in one APPEND (RFC 3502): six times as fast as one by one
_SEARCHED = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"


class Dovecot:
    """A server that runs until the ``with`` block ends; ``ca_file`` vouches for its certificate."""

    host = "127.0.0.1"

    def __init__(self, *, tls: bool = True, certificate: str = "good") -> None:
        self.folder = account.folder()
        self.authority = Authority(self.folder)
        self.ca_file = self.authority.file
        self.issuer = Issuer(self.authority)
        self.mail = self.folder / "mail"
        self.imap_port, self.imaps_port = account.free_port(), account.free_port()
        self._made: Certificate = getattr(self.authority, certificate)()
        self._tls = tls

    def __enter__(self) -> Self:
        try:
            self.issuer.start()
            self._start()
        except BaseException:
            self.issuer.stop()
            account.remove(self.folder)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        account.stop(self._process)
        self.issuer.stop()
        account.remove(self.folder)

    def _start(self) -> None:
        program = shutil.which("dovecot", path=_SEARCHED)
        if program is None:
            raise RuntimeError("The tests need Dovecot: apt-get install dovecot-imapd")
        self.mail.mkdir()
        account.give(self.mail)
        (self.folder / "check").write_text(_CHECK)
        (self.folder / "check").chmod(0o755)
        (self.folder / "oauth2.conf").write_text(_OAUTH2.format(port=self.issuer.plain_port))
        settings = self.folder / "dovecot.conf"
        settings.write_text(self._settings())
        self._process = account.start([program, "-F", "-c", settings], cwd=self.folder)
        account.wait_for(self.imap_port, self._process, self.folder / "output")

    def _settings(self) -> str:
        who = account.user()
        return _SETTINGS.format(
            folder=self.folder,
            user=who.pw_name,
            group=account.group(),
            uid=who.pw_uid,
            gid=who.pw_gid,
            ssl="yes" if self._tls else "no",
            certificate=self._made.certificate,
            key=self._made.key,
            imap=self.imap_port,
            imaps=self.imaps_port if self._tls else 0,
        )

    @property
    def certificate(self) -> Certificate:
        """What it shows to whoever calls, for a server between it and them."""
        return self._made

    # What a test does with it.

    @contextlib.contextmanager
    def client(self, user: str) -> Iterator[Any]:
        """A signed-in IMAP client for a user: the eyes of the user's own mail program."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        with IMAPClient(self.host, self.imaps_port, ssl_context=context, timeout=30) as client:
            client._imap.debug = 0
            client.normalise_times = False
            client.login(user, PASSWORD)
            yield client

    def deliver(self, user: str, content: bytes, folder: str = "INBOX", at: datetime | None = None) -> None:
        """Put one mail into a folder, arrived at ``at``."""
        self.deliver_all(user, [(content, folder, at)])

    def deliver_all(self, user: str, mails: Iterable[tuple[bytes, str, datetime | None]]) -> None:
        """Put many mails into folders over one line; each folder has them in their order."""
        by_folder: dict[str, list[dict[str, object]]] = {}
        for content, folder, at in mails:
            by_folder.setdefault(folder, []).append({"msg": content} if at is None else {"msg": content, "date": at})
        with self.client(user) as client:
            for folder, waiting in by_folder.items():
                if not client.folder_exists(folder):
                    client.create_folder(folder)
                for first in range(0, len(waiting), _AT_ONCE):
                    client.multiappend(folder, waiting[first : first + _AT_ONCE])

    def deliver_nothing(self, user: str) -> None:
        """Leave a mail of no bytes in the inbox, as a full disk does."""
        path = self.mail / user / "new" / f"{uuid.uuid4().hex}.mx"
        path.touch()
        account.give(path)

    def withhold(self, user: str, subject: str, folder: str = "INBOX") -> None:
        """Leave the mail of that subject in its folder and let nobody read it, as a damaged disk does."""
        self._file_of(user, subject, folder).chmod(0)

    def hand_out(self, user: str, folder: str = "INBOX") -> None:
        """Let every mail of a folder be read again."""
        for path in self._mails(user, folder):
            path.chmod(0o600)

    def _file_of(self, user: str, subject: str, folder: str) -> Path:
        line = f"Subject: {subject}".encode()
        [found] = [path for path in self._mails(user, folder) if line in path.read_bytes().splitlines()]
        return found

    def _mails(self, user: str, folder: str) -> list[Path]:
        where = self.mail / user / ("" if folder == "INBOX" else f".{folder}")
        return [path for part in ("cur", "new") for path in (where / part).iterdir()]

    def messages(self, user: str, folder: str = "INBOX") -> list[bytes]:
        """Every mail of a folder, oldest first."""
        with self.client(user) as client:
            client.select_folder(folder, readonly=True)
            found = client.fetch(client.search("ALL"), ["BODY.PEEK[]"])
            return [found[uid][b"BODY[]"] for uid in sorted(found)]

    def flags(self, user: str, folder: str = "INBOX") -> list[tuple[bytes, ...]]:
        """The flags of every mail of a folder, oldest first, but for the one that says it is recent."""
        with self.client(user) as client:
            client.select_folder(folder, readonly=True)
            found = client.get_flags(client.search("ALL"))
            return [tuple(flag for flag in found[uid] if flag != b"\\Recent") for uid in sorted(found)]

    def expunge(self, user: str, subject: str, folder: str = "INBOX") -> None:
        """Remove every mail of that subject for good."""
        with self.client(user) as client:
            client.select_folder(folder)
            client.delete_messages(client.search(["SUBJECT", subject]))
            client.expunge()

    def renumber(self, user: str, folder: str = "INBOX") -> None:
        """Give a folder another UIDVALIDITY and its mails other UIDs, as after a restored backup."""
        where = self.mail / user / ("" if folder == "INBOX" else f".{folder}")
        for path in where.glob("dovecot[.-]uidlist"):
            path.unlink()
        for path in where.glob("dovecot.index*"):
            path.unlink()

    @contextlib.contextmanager
    def listening(self, user: str) -> Iterator[list[str]]:
        """The commands that a user's mail programs give in this block, complete when it has ended."""
        folder = self.folder / "spoken" / user
        folder.mkdir(parents=True)
        account.give(folder)
        said: list[str] = []
        yield said
        for path in sorted(folder.glob("*.in"), key=lambda path: path.stat().st_mtime_ns):
            lines = path.read_text(errors="replace").splitlines()
            said += [line.split(" ", 2)[-1] for line in lines]
        account.remove(folder)

    def log(self) -> str:
        """What the server wrote down."""
        path = Path(self.folder / "log")
        return path.read_text(errors="replace") if path.exists() else ""


# checkpassword(8): three strings ending in NUL on descriptor 3; 111 says "temporary problem", 1 "no".
_CHECK = """#!/bin/sh
name=$(head -c 512 <&3 | tr '\\0' '\\n' | head -n 1)
case "$name" in unavailable*) exit 111;; *) exit 1;; esac
"""

# The token goes to the issuer as a Bearer header; an ended one has to come back with an address, or it is "trouble".
_OAUTH2 = """
introspection_mode = auth
introspection_url = http://127.0.0.1:{port}/introspect
username_attribute = email
active_attribute = active
active_value = true
"""

_SETTINGS = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
ssl = {ssl}
ssl_cert = <{certificate}
ssl_key = <{key}
mail_location = maildir:{folder}/mail/%u
mail_fsync = never
rawlog_dir = {folder}/spoken/%u
auth_mechanisms = plain login xoauth2 oauthbearer
auth_failure_delay = 0
login_trusted_networks =
mail_max_userip_connections = 100
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/oauth2.conf
}}
passdb {{
  driver = static
  mechanisms = plain login
  args = password=secret
}}
passdb {{
  driver = checkpassword
  mechanisms = plain login
  args = {folder}/check
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Sent {{
    auto = create
    special_use = \\Sent
  }}
  mailbox Junk {{
    auto = create
    special_use = \\Junk
  }}
  mailbox Archive {{
    auto = create
    special_use = \\Archive
  }}
}}
service anvil {{
  chroot =
  # No waiting after a wrong password: every test comes from the same address.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  service_count = 0
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
"""
