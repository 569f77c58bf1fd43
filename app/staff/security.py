"""Flask-Security, as we use it: it checks passwords and codes and leads through signing in; the rest is switched off.

Its views are called by ours (``views.signing_in``, ``views.own_settings``), which say whom each route lets in. A
session is a row of ours (``present``), begun and ended by its signals.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final

from flask import Blueprint, Flask, g, render_template
from flask_login import user_logged_out
from flask_security import (
    PasswordUtil,
    Security,
    Totp,
    UserMixin,
    user_authenticated,
)
from passlib.totp import AppWallet, TotpMatch

from app.clock import now
from app.errors import Invalid
from app.secrets import Keys
from app.staff import passwords, present
from app.staff.forms import ChangeForm, CodeForm, ConfirmForm, RescueForm, SetUpForm, SignInForm, security
from app.staff.user import PHONE, User, Users
from app.web import guard
from app.web.errors import sentence

ISSUER: Final = "Postbag"
CODES: Final = 10
_CLOCK_MAY_BE_WRONG: Final = 30  # seconds of a phone's clock, either way
_NEVER: Final = timedelta(seconds=-1)

# The addresses of our pages by the names that Flask-Security makes them by.
_OUR_PAGES: Final = {
    "login": "/sign-in",
    "two_factor_token_validation": "/sign-in/code",
    "mf_recovery": "/sign-in/code",  # takes recovery codes as well
    "two_factor_rescue": "/help",
}


class Rules(PasswordUtil):
    """Which passwords will do."""

    def normalize(self, password: str) -> str:
        """A password as it is compared."""
        return passwords.normal(password)

    def validate(self, password: str, is_register: bool, **kwargs: Any) -> tuple[list[str] | None, str]:  # noqa: FBT001, ARG002
        """What is wrong with a new password of ``user``, if anything, and the password as it is compared."""
        user: User = kwargs["user"]
        try:
            passwords.must_do(password, (user.staff.name, user.staff.email))
        except Invalid as problem:
            return [sentence(problem)], password
        return None, self.normalize(password)


class Phone(Totp):
    """Codes from a phone (RFC 6238): by our clock, each good once, their secrets sealed by the newest key."""

    def __init__(self, secrets: dict[str, str], issuer: str) -> None:
        super().__init__(secrets, issuer)
        wallet = AppWallet(secrets, default_tag=next(iter(secrets)))
        self._totp = self._totp.using(now=lambda: now().timestamp(), wallet=wallet)

    def verify_totp(self, token: str, totp_secret: str, user: UserMixin, window: int = 0) -> bool:
        """Whether the phone shows ``token`` now; never where the key that sealed its secret is gone."""
        try:
            return super().verify_totp(token, totp_secret, user, window)
        except KeyError:
            return False

    def generate_qrcode(self, username: str, totp: str) -> str:
        """What a phone is pointed at, black on white whatever colours the page has, as the address of a picture."""
        from qrcode import make
        from qrcode.image.svg import SvgPathFillImage

        picture = make(self.get_totp_uri(username, totp), image_factory=SvgPathFillImage)
        return f"data:image/svg+xml;base64,{b64encode(picture.to_string()).decode()}"

    def get_totp_pretty_key(self, totp_secret: str) -> str:
        """The secret in groups of four, for whoever types it."""
        return str(self._totp.from_source(totp_secret).pretty_key(sep=" "))

    def get_last_counter(self, user: User) -> int | None:  # type: ignore[override]
        """The last code that was used."""
        return user.staff.totp_counter

    def set_last_counter(self, user: User, tmatch: TotpMatch) -> None:  # type: ignore[override]
        """This code has been used."""
        user.staff.totp_counter = tmatch.counter


def install(app: Flask, keys: Keys) -> None:
    """Have Flask-Security check who signs in to ``app``; sessions begin and end as it says."""
    app.config.update({f"SECURITY_{name}": value for name, value in _settings(keys).items()})
    app.config["SESSION_PROTECTION"] = None  # Flask-Login's look at the browser's name; the row says whether it holds
    made = Security(
        app,
        Users(),
        register_blueprint=False,
        login_form=SignInForm,
        verify_form=ConfirmForm,
        change_password_form=ChangeForm,
        two_factor_rescue_form=RescueForm,
        two_factor_setup_form=SetUpForm,
        two_factor_verify_code_form=CodeForm,
        password_util_cls=Rules,
        totp_cls=Phone,
        render_template=_page,
    )
    made.want_json(lambda _request: False)
    made.principal.identity_loaders.clear()  # it would look up who this is for every picture; the guard does it
    made.login_manager.user_loader(_whoever_holds)
    made.login_manager.request_loader(lambda _request: None)  # no tokens in headers or addresses
    # Nobody is remembered, and looking whether to would have every picture vary by the cookie.
    app.after_request_funcs[None].remove(made.login_manager._update_remember_cookie)  # noqa: SLF001
    user_authenticated.connect(present.begin, app)
    user_logged_out.connect(present.end, app)
    app.register_blueprint(_names())


def _settings(keys: Keys) -> dict[str, Any]:
    sealed_by = {sha256(key.encode()).hexdigest()[:8]: key for key in keys.seal}
    return {
        "API_ENABLED_METHODS": ["session"],
        "CHANGE_PASSWORD_TEMPLATE": "staff/password.html",
        "CLI_ROLES_NAME": None,
        "CLI_USERS_NAME": None,
        "CSRF_HEADER": None,
        "FLASH_MESSAGES": False,  # our views say what happened
        "FRESHNESS": _NEVER,  # asked for by the guard, of the row
        "LOGIN_USER_TEMPLATE": "staff/sign_in.html",
        "MULTI_FACTOR_RECOVERY_CODES": True,
        "MULTI_FACTOR_RECOVERY_CODES_KEYS": [key.encode() for key in keys.seal],
        "MULTI_FACTOR_RECOVERY_CODES_N": CODES,
        "MULTI_FACTOR_RECOVERY_CODES_TEMPLATE": "staff/codes.html",
        "PASSWORD_HASH": passwords.SCHEME,
        "PASSWORD_HASH_PASSLIB_OPTIONS": passwords.COSTS,
        "PASSWORD_SALT": keys.passwords,
        "PASSWORD_SCHEMES": [passwords.SCHEME],
        "SEND_PASSWORD_CHANGE_EMAIL": False,
        "TOTP_ISSUER": ISSUER,
        "TOTP_SECRETS": sealed_by,
        "TWO_FACTOR": True,
        "TWO_FACTOR_AUTHENTICATOR_VALIDITY": _CLOCK_MAY_BE_WRONG,
        "TWO_FACTOR_ENABLED_METHODS": [PHONE],
        "TWO_FACTOR_ERROR_VIEW": "staff.sign_in",
        "TWO_FACTOR_IMPLEMENTATIONS": {"code": "flask_security.twofactor.CodeTfPlugin"},
        "TWO_FACTOR_POST_SETUP_VIEW": "staff.settings",
        "TWO_FACTOR_RESCUE_EMAIL": False,
        "TWO_FACTOR_SETUP_TEMPLATE": "staff/two_step.html",
        "TWO_FACTOR_VERIFY_CODE_TEMPLATE": "staff/code.html",
        "VERIFY_TEMPLATE": "staff/confirm.html",
    }


def _whoever_holds(_token: str) -> User | None:
    """Whoever is signed in, to Flask-Login: the guard has found the row that the token in the cookie stands for."""
    found = guard.someone()
    if found is None:
        return None
    g.fs_authn_via = "session"
    return User(found.id)


def _page(template: str, **shown: Any) -> str:
    """A page of ours. A code that does not fit the new secret leaves the secret in sight, for another try."""
    form = shown.get("two_factor_verify_code_form")
    if form is not None and form.is_setup:
        drawn = security.totp_factory.fetch_setup_values(form.tf_totp_secret, form.user)
        return render_template("staff/two_step.html", authr_qrcode=drawn["image"], authr_key=drawn["key"], **shown)
    return render_template(template, **shown)


def _names() -> Blueprint:
    """Names for addresses, and no routes: those are in ``views``."""
    names = Blueprint("security", __name__)
    for endpoint, path in _OUR_PAGES.items():
        names.add_url_rule(path, endpoint=endpoint, build_only=True)
    return names
