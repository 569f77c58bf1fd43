"""An application with the glue in it and no page yet: what every page relies on is put in here, in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from flask import Flask, request
from flask.json.provider import DefaultJSONProvider
from flask_babel import Babel
from flask_wtf.csrf import CSRFProtect
from jinja2 import StrictUndefined
from werkzeug.middleware.proxy_fix import ProxyFix

from app.deployment import Deployment
from app.errors import Invalid, Problem
from app.web import EXTENSION, assets, drawing, errors, filters, headers, health, session, shell, wording

_ROOT: Final = Path(__file__).resolve().parents[2]
_MOST_BYTES: Final = 32 * 1024 * 1024  # of a request: the attachments of a reply together
_MOST_FIELD: Final = 2 * 1024 * 1024


def flask_app(deployment: Deployment) -> Flask:
    """The bare application over ``deployment``. Its pages and its guard come next."""
    app = Flask("app", root_path=str(_ROOT / "app"), static_folder=None, template_folder=str(_ROOT / "templates"))
    app.config.update(_config(deployment))
    app.json = DefaultJSONProvider(app)
    app.extensions[EXTENSION] = deployment
    _believe_proxies(app, deployment.settings.trusted_proxies)
    _fix_host(app, deployment)
    app.before_request(_limit_words)
    app.before_request(_refuse_nul)
    _templates(app, deployment.settings.data / "compiled")
    Babel(app, locale_selector=shell.language, default_timezone="Europe/London")
    wording.install(app)
    CSRFProtect(app)
    health.install(app)
    session.install(app)
    headers.install(app, is_secure=deployment.settings.is_secure)
    errors.install(app)
    filters.install(app)
    assets.install(app)
    return app


def _config(deployment: Deployment) -> dict[str, Any]:
    public = urlsplit(str(deployment.settings.public_url))
    return {
        "SECRET_KEY": deployment.keys.session,
        "SESSION_COOKIE_NAME": "__Host-postbag" if deployment.settings.is_secure else "postbag",
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_SECURE": deployment.settings.is_secure,
        "MAX_CONTENT_LENGTH": _MOST_BYTES,
        "MAX_FORM_MEMORY_SIZE": _MOST_FIELD,
        "PREFERRED_URL_SCHEME": public.scheme,
        "WTF_CSRF_TIME_LIMIT": None,  # it ends with the session it is tied to
        "WTF_CSRF_SSL_STRICT": True,
        "BABEL_DEFAULT_LOCALE": "en",
    }


def _believe_proxies(app: Flask, count: int) -> None:
    if count:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]


def _fix_host(app: Flask, deployment: Deployment) -> None:
    """Answer under the public address only: no link in a mail or a page ever comes from a header.

    This machine itself may ask by any of its own names: a supervisor does, and whoever tries Postbag at home.
    """
    known = {deployment.settings.public_url.host, "localhost", "127.0.0.1", "[::1]", deployment.settings.host}

    def refuse_strangers() -> None:
        host = urlsplit(f"//{request.host}").netloc.rpartition(":")[0] if ":" in request.host else request.host
        if host not in known and request.host not in known and not request.path.startswith("/health/"):
            said = "This office is at %(url)s. Whoever runs it can set that address with POSTBAG_PUBLIC_URL."
            raise Problem(said, url=str(deployment.settings.public_url))

    app.before_request(refuse_strangers)


def _limit_words() -> None:
    """Only files may be large; Werkzeug 3.1 bounds the fields of a form by itself where files may come with them."""
    if request.mimetype != "multipart/form-data":
        request.max_content_length = _MOST_FIELD


def _refuse_nul() -> None:
    """No keyboard types it and PostgreSQL keeps no text that holds it: refused once, for every page."""
    given = (*request.args.items(multi=True), *request.form.items(multi=True))
    if any("\0" in value for _, value in given):
        raise Invalid("What was sent holds a character that cannot be kept. Type it again, or paste it as plain text.")


def _templates(app: Flask, compiled: Path) -> None:
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.auto_reload = False
    drawing.install(app, compiled)
