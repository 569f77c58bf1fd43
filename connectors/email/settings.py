"""What a mailbox asks for, and what the answers come to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from connectors import Client, Field, FieldKind, Manifest, Misconfigured
from connectors._oauth import GOOGLE, MICROSOFT, Bearer

TLS: Final = "tls"
STARTTLS: Final = "starttls"
SERVER_FILES: Final = "server"
WE_FILE: Final = "postbag"
PASSWORD: Final = "password"  # noqa: S105 - a way of signing in
OTHER: Final = "oauth"
BY_PAGE: Final = (MICROSOFT, GOOGLE, OTHER)

_ENCRYPTION: Final = (
    (TLS, "Encrypted from the start (TLS)"),
    (STARTTLS, "Encrypted after greeting (STARTTLS)"),
)
_PORTS: Final = {("imap", TLS): 993, ("imap", STARTTLS): 143, ("smtp", TLS): 465, ("smtp", STARTTLS): 587}
_LARGEST_PORT: Final = 65535
_LARGEST_MAIL: Final = 20_000_000  # bytes: what most servers take that do not say

# Providers whose servers are not called imap.<domain> and smtp.<domain>: IMAP host, SMTP host, SMTP encryption,
# and whether the server files what it sends by itself (a copy of ours would then stand there twice).
_PROVIDERS: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "gmail.com": ("imap.gmail.com", "smtp.gmail.com", TLS, SERVER_FILES),
    "googlemail.com": ("imap.gmail.com", "smtp.gmail.com", TLS, SERVER_FILES),
    "outlook.com": ("outlook.office365.com", "smtp-mail.outlook.com", STARTTLS, SERVER_FILES),
    "hotmail.com": ("outlook.office365.com", "smtp-mail.outlook.com", STARTTLS, SERVER_FILES),
    "hotmail.co.uk": ("outlook.office365.com", "smtp-mail.outlook.com", STARTTLS, SERVER_FILES),
    "live.co.uk": ("outlook.office365.com", "smtp-mail.outlook.com", STARTTLS, SERVER_FILES),
    "icloud.com": ("imap.mail.me.com", "smtp.mail.me.com", STARTTLS, WE_FILE),
    "me.com": ("imap.mail.me.com", "smtp.mail.me.com", STARTTLS, WE_FILE),
    "yahoo.com": ("imap.mail.yahoo.com", "smtp.mail.yahoo.com", TLS, SERVER_FILES),
    "yahoo.co.uk": ("imap.mail.yahoo.com", "smtp.mail.yahoo.com", TLS, SERVER_FILES),
    "btinternet.com": ("mail.btinternet.com", "mail.btinternet.com", TLS, WE_FILE),
    "sky.com": ("imap.tools.sky.com", "smtp.tools.sky.com", TLS, WE_FILE),
    "fastmail.com": ("imap.fastmail.com", "smtp.fastmail.com", TLS, WE_FILE),
}

# Whoever signs in at their page has a mailbox there, whatever the domain of the address.
_AT_HOME: Final[Mapping[str, tuple[str, str, str, str]]] = {
    MICROSOFT: ("outlook.office365.com", "smtp.office365.com", STARTTLS, SERVER_FILES),
    GOOGLE: ("imap.gmail.com", "smtp.gmail.com", TLS, SERVER_FILES),
}

# Conservative on purpose: what fits here needs no quoting in any header or SMTP command.
ADDRESS: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@(?=.{1,253}\Z)[^\W_]([\w-]*[^\W_])?(\.[^\W_]([\w-]*[^\W_])?)*"
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

MANIFEST: Final = Manifest(
    slug="email",
    name="Email",
    icon="mail",
    has_subject=True,
    largest=_LARGEST_MAIL,
    writes_first=True,
    kind_field="sign_in",
    fields=(
        Field(
            key="sign_in",
            label="How you sign in",
            kind=FieldKind.CHOICE,
            required=False,
            default=PASSWORD,
            choices=(
                (PASSWORD, "A mailbox with a password"),
                (MICROSOFT, "Microsoft 365 or Outlook"),
                (GOOGLE, "Google: Workspace or Gmail"),
                (OTHER, "Another provider's sign-in page (OAuth)"),
            ),
        ),
        Field(key="address", label="Email address", kind=FieldKind.EMAIL, help="The address that residents write to."),
        Field(
            key="name",
            label="Name shown to residents",
            required=False,
            help="For example: Cllr Tansy Quillfeather.",
        ),
        Field(
            key="password",
            label="Password",
            kind=FieldKind.SECRET,
            help="Many providers want an app password here, made on their own security page.",
            kinds=(PASSWORD,),
        ),
        Field(
            key="user",
            label="User name",
            required=False,
            help="Leave empty when it is the address, as it mostly is.",
        ),
        Field(
            key="folders",
            label="Folders to read",
            kind=FieldKind.LIST,
            required=False,
            help="One a line. Left empty: the inbox and the junk folder.",
        ),
        Field(
            key="imap_host",
            label="Incoming server (IMAP)",
            required=False,
            help="Left empty: what the provider of the address uses, else imap. and the domain.",
            advanced=True,
        ),
        Field(
            key="imap_security",
            label="Incoming encryption",
            kind=FieldKind.CHOICE,
            required=False,
            default=TLS,
            choices=_ENCRYPTION,
            advanced=True,
        ),
        Field(
            key="imap_port",
            label="Incoming port",
            kind=FieldKind.NUMBER,
            required=False,
            help="Left empty: 993 for TLS, 143 for STARTTLS.",
            advanced=True,
        ),
        Field(
            key="smtp_host",
            label="Outgoing server (SMTP)",
            required=False,
            help="Left empty: what the provider of the address uses, else smtp. and the domain.",
            advanced=True,
        ),
        Field(
            key="smtp_security",
            label="Outgoing encryption",
            kind=FieldKind.CHOICE,
            required=False,
            choices=_ENCRYPTION,
            help="Left empty: what the provider uses, else STARTTLS.",
            advanced=True,
        ),
        Field(
            key="smtp_port",
            label="Outgoing port",
            kind=FieldKind.NUMBER,
            required=False,
            help="Left empty: 465 for TLS, 587 for STARTTLS.",
            advanced=True,
        ),
        Field(
            key="smtp_user",
            label="Outgoing user name",
            required=False,
            help="Left empty: the same as for reading.",
            advanced=True,
            kinds=(PASSWORD,),
        ),
        Field(
            key="smtp_password",
            label="Outgoing password",
            kind=FieldKind.SECRET,
            required=False,
            help="Left empty: the same as for reading.",
            advanced=True,
            kinds=(PASSWORD,),
        ),
        Field(
            key="client_id",
            label="Client id",
            required=False,
            help="Left empty: the one under which this Postbag is registered with the sign-in service.",
            advanced=True,
            kinds=BY_PAGE,
        ),
        Field(
            key="client_secret",
            label="Client secret",
            kind=FieldKind.SECRET,
            required=False,
            help="Only together with a client id of your own, where the service wants a secret.",
            advanced=True,
            kinds=BY_PAGE,
        ),
        Field(
            key="tenant",
            label="Organisation at Microsoft (tenant)",
            required=False,
            help="Its domain or id. Left empty: what this Postbag is set to, mostly any.",
            advanced=True,
            kinds=(MICROSOFT,),
        ),
        Field(
            key="sent_folder",
            label="Folder for sent mail",
            required=False,
            help="Left empty: the one that the server names for it.",
            advanced=True,
        ),
        Field(
            key="sent_copies",
            label="Who files a copy of what is sent",
            kind=FieldKind.CHOICE,
            required=False,
            choices=((WE_FILE, "Postbag does"), (SERVER_FILES, "The server does (Gmail, Microsoft 365)")),
            help="Left empty: what the provider is known to do, else Postbag does.",
            advanced=True,
        ),
    ),
    needs=(
        "With Microsoft 365 or Google: you sign in on their own page, and Postbag never sees your password.",
        "Else: the address and its password, or an app password where the provider wants one.",
        "A provider that lets other programs read mail (IMAP) and send it (SMTP).",
    ),
    sees=(
        "Every mail in the folders that you choose, from the day that you choose.",
        "Answers that you give in another mail program, from your Sent folder; of other sent mail nothing is kept.",
        "Nothing in the mailbox is changed: mails are not marked as read, moved or deleted.",
        "Replies go out through your own mail server and lie in your Sent folder.",
    ),
    cannot_see=(
        "Mail that is deleted or moved elsewhere before Postbag has looked.",
        "Mail in folders that are not listed, and mail that the provider turns away before it reaches a folder.",
    ),
    cost="Nothing beyond the mailbox itself.",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """One mail server and who we are there. ``protocol`` is also the prefix of its fields.

    Signed in with a token of ``bearer`` where there is one, else with the password.
    """

    protocol: str
    host: str
    port: int
    security: str
    user: str
    password: str = field(repr=False)
    bearer: Bearer | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """An account's options, checked and completed. ``folders`` empty: inbox and junk.

    ``sign_in`` is PASSWORD or the name of a sign-in service; ``client`` is what the account itself says of the latter.
    """

    address: str
    name: str
    sign_in: str
    client: Client
    imap: Server
    smtp: Server
    folders: tuple[str, ...]
    sent_folder: str
    server_files_copies: bool

    @classmethod
    def parse(cls, options: Mapping[str, str]) -> Self:
        """What ``options`` come to; raises Misconfigured with the field that cannot be right."""
        given = {key: value if key.endswith("password") else value.strip() for key, value in options.items()}
        sign_in, address = MANIFEST.kind(given), given.get("address", "")
        if not ADDRESS.fullmatch(address):
            raise Misconfigured("This is not an e-mail address.", "address")
        if sign_in == PASSWORD and not given.get("password"):
            raise Misconfigured("The password is missing.", "password")
        for key in ("name", "user", "smtp_user", "sent_folder", "client_id"):
            if _CONTROL.search(given.get(key, "")):
                raise Misconfigured("This holds a character that cannot be used here.", key)
        imap_host, smtp_host, smtp_security, copies = _AT_HOME.get(sign_in) or _guess(address)
        user, password = given.get("user") or address, given.get("password", "")
        login = (user, password)
        imap = _server("imap", given, imap_host, TLS, login)
        login = (given.get("smtp_user") or user, given.get("smtp_password") or password)
        smtp = _server("smtp", given, smtp_host, smtp_security, login)
        folders = dict.fromkeys(_folder(line.strip()) for line in given.get("folders", "").splitlines() if line.strip())
        return cls(
            address=address,
            name=given.get("name", ""),
            sign_in=sign_in,
            client=Client(
                id=given.get("client_id", ""), secret=given.get("client_secret", ""), tenant=given.get("tenant", "")
            ),
            imap=imap,
            smtp=smtp,
            folders=tuple(folders),
            sent_folder=given.get("sent_folder", ""),
            server_files_copies=(given.get("sent_copies") or copies) == SERVER_FILES,
        )


def _folder(name: str) -> str:
    """A folder's name as we keep it: INBOX is the one name whose case does not matter (RFC 3501 section 5.1)."""
    return "INBOX" if name.upper() == "INBOX" else name


def _guess(address: str) -> tuple[str, str, str, str]:
    """IMAP host, SMTP host, SMTP encryption and who files copies, from the address alone."""
    domain = address.rpartition("@")[2].lower()
    return _PROVIDERS.get(domain, (f"imap.{domain}", f"smtp.{domain}", STARTTLS, WE_FILE))


def _server(protocol: str, given: Mapping[str, str], host: str, security: str, login: tuple[str, str]) -> Server:
    """One server's part of the options; raises Misconfigured."""
    security = given.get(f"{protocol}_security") or security
    if (protocol, security) not in _PORTS:
        raise Misconfigured("The encryption is either TLS or STARTTLS.", f"{protocol}_security")
    port = given.get(f"{protocol}_port") or str(_PORTS[protocol, security])
    if not (
        len(port) <= len(str(_LARGEST_PORT)) and port.isascii() and port.isdecimal() and 0 < int(port) <= _LARGEST_PORT
    ):
        raise Misconfigured("A port is a number from 1 to 65535.", f"{protocol}_port")
    host = given.get(f"{protocol}_host") or host
    if not re.fullmatch(r"[\w.:-]{1,253}", host):
        raise Misconfigured("This is not the name of a server.", f"{protocol}_host")
    user, password = login
    return Server(protocol=protocol, host=host, port=int(port), security=security, user=user, password=password)
