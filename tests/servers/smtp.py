"""Exim, as an ordinary user would run it: takes mail from whoever signs in with the password "secret", keeps all of it.

What it does with a recipient goes by the name before the @:

=============  ===========================================================
``unknown``    550 at RCPT: there is nobody of that name
``busy``       451 at RCPT: try again later
``spam``       550 after the mail: refused
``later``      451 after the mail: try again later
``slow``       accepted, two seconds after the mail
anything else  accepted; into the Dovecot mailbox of that address where there is one
=============  ===========================================================

Who signs in with a token (XOAUTH2) is let in where Dovecot's issuer says that it is theirs.

As sender, ``forbidden`` is refused at MAIL FROM. A user ``unavailable…`` meets a server that cannot check passwords.
"""

from __future__ import annotations

import email
import email.utils
import time
from types import TracebackType
from typing import Self

from tests.servers import account, debian
from tests.servers.certificates import Authority, Certificate
from tests.servers.dovecot import PASSWORD, Dovecot

SIZE_MOST = 10_000_000
_OWN_USER = b"Debian-exim\0"


class Smtp:
    """A running server until the ``with`` block ends. With a ``dovecot`` both share mailboxes and the certificate."""

    host = "127.0.0.1"

    def __init__(self, dovecot: Dovecot | None = None, *, tls: bool = True, certificate: str = "good") -> None:
        self.folder = account.folder()
        self.authority = Authority(self.folder) if dovecot is None else dovecot.authority
        self.ca_file = self.authority.file
        self.starttls_port, self.tls_port = account.free_port(), account.free_port()
        self._made: Certificate = getattr(self.authority, certificate)()
        self._issuer = 1 if dovecot is None else dovecot.issuer.plain_port
        self._boxes = self.folder / "boxes" if dovecot is None else dovecot.mail
        self._all = self.folder / "all"
        self._tls = tls

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            account.remove(self.folder)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        account.stop(self._process, patience=0.5)  # Exim waits five seconds for lines that are still open
        account.remove(self.folder)

    def _start(self) -> None:
        binary, environment = debian.program("exim4", "exim4-daemon-light")
        for path in (self._boxes, self._all):
            if not path.exists():
                path.mkdir()
                account.give(path)
        settings = self.folder / "exim.conf"
        settings.write_text(
            _SETTINGS.format(
                folder=self.folder,
                user=account.user().pw_name,
                group=account.group(),
                boxes=self._boxes,
                certificate=self._made.certificate,
                key=self._made.key,
                starttls=self.starttls_port,
                tls=self.tls_port,
                advertise="*" if self._tls else "",
                password=PASSWORD,
                issuer=self._issuer,
                most=SIZE_MOST,
            )
        )
        account.give(settings)
        # Copied where the account can run it: the virtual environment may lie in a home that is closed to others.
        # Debian's Exim looks for its own user at every start, which is not there where it is not installed; a number is
        # not looked up.
        number = str(account.user().pw_uid).encode()
        own = self.folder / "exim"
        own.write_bytes(binary.read_bytes().replace(_OWN_USER, number.ljust(len(_OWN_USER), b"\0")))
        own.chmod(0o755)
        libraries = self.folder / "lib"
        libraries.mkdir()
        for path in binary.parent.rglob("lib*.so*"):
            (libraries / path.name).write_bytes(path.read_bytes())
        environment["LD_LIBRARY_PATH"] = str(libraries)
        self._process = account.start([own, "-C", settings, "-bdf", "-q1m"], cwd=self.folder, env=environment)
        account.wait_for(self.starttls_port, self._process, self.folder / "output")

    # What a test asks it.

    def inbox(self, address: str, *, wait: float = 0.0, least: int = 1) -> list[bytes]:
        """Every mail that came for an address, oldest first; waits up to ``wait`` seconds for ``least`` of them."""
        deadline = time.monotonic() + wait
        while True:
            found = [mail for mail in self.everything() if address.lower() in _recipients(mail)]
            if len(found) >= least or time.monotonic() >= deadline:
                return found
            time.sleep(0.02)

    def everything(self) -> list[bytes]:
        """Every mail that was accepted, oldest first, with ``Envelope-To`` in front."""
        paths = sorted((self._all / "new").glob("*"), key=lambda path: (path.stat().st_mtime_ns, path.name))
        return [path.read_bytes() for path in paths]

    def log(self) -> str:
        """What the server wrote down."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*log")))


def _recipients(mail: bytes) -> set[str]:
    header = email.message_from_bytes(mail).get_all("Envelope-To", [])
    return {address.lower() for _, address in email.utils.getaddresses(header)}


# A path that holds what a client said is refused as tainted (Exim 4.94 and later); what a lookup in a folder gives back
# is not. Every mail is filed once for the test, and once more where its recipient has a mailbox.
_SETTINGS = """
exim_user = {user}
exim_group = {group}
never_users =
primary_hostname = mx.fernmoor.example
exim_path = {folder}/exim
keep_environment = LD_LIBRARY_PATH
spool_directory = {folder}/spool
log_file_path = {folder}/%slog
pid_file_path = {folder}/pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {starttls} : {tls}
tls_on_connect_ports = {tls}
tls_certificate = {certificate}
tls_privatekey = {key}
tls_advertise_hosts = {advertise}
message_size_limit = {most}
deliver_drop_privilege = true
rfc1413_query_timeout = 0s
host_lookup =
smtp_accept_max = 200
smtp_accept_max_per_connection = 10000
smtp_enforce_sync = false
queue_run_max = 1
received_header_text = Received: from test by $primary_hostname; $tod_full
domainlist local = *
acl_smtp_mail = acl_mail
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_data

begin acl

acl_mail:
  deny    condition = ${{if match_local_part{{$sender_address_local_part}}{{forbidden}}}}
          message = 5.7.1 Sender address rejected: not owned by user
  accept

acl_rcpt:
  deny    !authenticated = *
          message = 5.7.1 Relay not permitted
  deny    local_parts = unknown
          message = 5.1.1 There is nobody of that name here
  defer   local_parts = busy
          message = 4.7.1 Try again later
  warn    set acl_m_to = $acl_m_to $local_part
  accept

acl_data:
  deny    condition = ${{if match{{$acl_m_to}}{{\\N\\bspam\\b\\N}}}}
          message = 5.7.1 This looks like spam
  defer   condition = ${{if match{{$acl_m_to}}{{\\N\\blater\\b\\N}}}}
          message = 4.7.1 Try again later
  warn    condition = ${{if match{{$acl_m_to}}{{\\N\\bslow\\b\\N}}}}
          delay = 2s
  accept

begin routers

gone:
  driver = redirect
  local_parts = gone
  allow_fail
  data = :fail: 5.1.1 There is nobody of that name here any more

keep:
  driver = accept
  transport = keep
  unseen

mailbox:
  driver = accept
  address_data = ${{lookup{{$local_part@$domain}}dsearch,filter=dir{{{boxes}}}{{$value}}fail}}
  transport = mailbox

rest:
  driver = redirect
  data = :blackhole:

begin transports

keep:
  driver = appendfile
  directory = {folder}/all
  maildir_format
  envelope_to_add
  return_path_add
  create_directory

mailbox:
  driver = appendfile
  directory = {boxes}/$address_data
  maildir_format
  envelope_to_add
  return_path_add
  delivery_date_add
  create_directory

begin retry
* * F,1h,1m

begin authenticators

plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if match{{$auth2}}{{^unavailable}} \
                         {{${{readfile{{/not/there}}}}}} \
                         {{${{if eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
  server_advertise_condition = ${{if def:tls_in_cipher}}

xoauth2:
  driver = plaintext
  public_name = XOAUTH2
  server_prompts = :
  server_condition = ${{if match{{$auth1}}{{\\N^user=([^\\x01]*)\\x01auth=Bearer ([^\\x01]*)\\x01\\x01$\\N}} \\
                         {{${{readsocket{{inet:127.0.0.1:{issuer}}} \\
                                        {{GET /verdict?user=$1&token=$2 HTTP/1.0\\r\\n\\r\\n}}{{5s}}}}}} \\
                         {{no}}}}
  server_set_id = ${{if match{{$auth1}}{{\\N^user=([^\\x01]*)\\N}}{{$1}}}}
  server_advertise_condition = ${{if def:tls_in_cipher}}
"""
