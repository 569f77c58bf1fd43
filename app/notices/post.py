"""The line to the mail server of the install (``POSTBAG_MAIL_…``): one mail, one attempt."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from typing import Final

from app.errors import Problem
from app.settings import Settings

_PATIENCE: Final = 20  # seconds for each answer
_PERMANENT: Final = 500


class Undeliverable(Problem):
    """The server will never take this mail, however often it is tried."""


def post(settings: Settings, mail: EmailMessage) -> None:
    """Hand ``mail`` to the server. Raises Undeliverable for a refusal, Problem for what may go better later."""
    try:
        with _line(settings) as line:
            if settings.mail_user:
                line.login(settings.mail_user, settings.mail_password.get_secret_value())
            line.send_message(mail)
    except smtplib.SMTPAuthenticationError as error:
        raise Problem("The mail server does not take the user and password of POSTBAG_MAIL_USER.") from error
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()))
        raise _refused(code, said) from error
    except smtplib.SMTPResponseException as error:
        raise _refused(error.smtp_code, error.smtp_error) from error
    except ssl.SSLError as error:
        raise Problem("The certificate of %(host)s could not be checked.", host=settings.mail_host) from error
    except smtplib.SMTPNotSupportedError as error:
        raise Problem(
            "%(host)s does not offer what POSTBAG_MAIL_SECURITY asks for.", host=settings.mail_host
        ) from error
    except (smtplib.SMTPException, OSError) as error:
        raise Problem(
            "%(host)s does not answer on port %(port)s.", host=settings.mail_host, port=settings.mail_port
        ) from error


def _line(settings: Settings) -> smtplib.SMTP:
    """A line as safe as the settings say; never a plainer one instead."""
    trusted = ssl.create_default_context()
    host, port = settings.mail_host, settings.mail_port
    if settings.mail_security == "tls":
        return smtplib.SMTP_SSL(host, port, timeout=_PATIENCE, context=trusted)
    line = smtplib.SMTP(host, port, timeout=_PATIENCE)
    if settings.mail_security == "starttls":
        try:
            line.starttls(context=trusted)
        except BaseException:
            line.close()
            raise
    return line


def _refused(code: int, said: bytes | str) -> Problem:
    words = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    kind = Undeliverable if code >= _PERMANENT else Problem
    return kind("The mail server answered: %(code)s %(words)s", code=code, words=" ".join(words.split())[:300])
