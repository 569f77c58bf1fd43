"""A mail to somebody of the office, from its templates: subject, text, and the same as HTML where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound, select_autoescape

from app.web.filters import FUNCTIONS

_FOLDER: Final = Path(__file__).resolve().parents[2] / "templates" / "mail"


def write(name: str, *, sender: str, to: tuple[str, str], at: datetime, values: Mapping[str, Any]) -> EmailMessage:
    """The mail ``templates/mail/<name>``; ``to`` is a name and an address."""
    person, address = to
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = " ".join(_render(f"{name}.subject", values).split())
    mail["From"] = sender
    mail["To"] = Address(" ".join(person.split()), addr_spec=address)
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2].strip("> ") or None)
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence notice answers it
    mail.set_content(_render(f"{name}.text", values))
    html = _render_if_there(f"{name}.html", values)
    if html is not None:
        mail.add_alternative(html, subtype="html")
    return mail


def _render(file: str, values: Mapping[str, Any]) -> str:
    return _environment().get_template(file).render(values).strip() + "\n"


def _render_if_there(file: str, values: Mapping[str, Any]) -> str | None:
    try:
        return _render(file, values)
    except TemplateNotFound:
        return None


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.install_null_translations(newstyle=True)  # type: ignore[attr-defined]  # added by the extension
    made.filters.update({function.__name__: function for function in FUNCTIONS})
    return made
