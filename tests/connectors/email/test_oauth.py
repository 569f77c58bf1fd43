"""Signing in at a provider's own page: what a person is asked, what comes of it, and what is said of failures."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from connectors import (
    Asking,
    AuthExpired,
    Authorises,
    ConnectorError,
    Host,
    Misconfigured,
    NotYet,
    PermissionMissing,
    Transient,
    Way,
)
from connectors._oauth import Bearer, Service, service
from connectors.email import connector
from tests.connectors.email.box import NOW, host
from tests.connectors.email.tokens import Kept, lent
from tests.servers.issuer import Issuer

BACK = "http://127.0.0.1:8000/accounts/sign-in/back"


def options(sign_in: str, address: str, **other: str) -> dict[str, str]:
    return {"sign_in": sign_in, "address": address, **other}


def begin(sign_in: str, address: str, lender: Host, way: Way, **other: str) -> Asking:
    return connector.begin(options(sign_in, address, **other), lender, way, back=BACK, state="7-of-nine")


def came_back(place: str) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlsplit(place).query).items()}


def at(moment: datetime, lender: Host) -> Host:
    return replace(lender, now=lambda: moment)


# ── Asking ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_usual_way_is_a_code_at_microsoft_and_the_page_at_google() -> None:
    assert isinstance(connector, Authorises)
    assert connector.ways(options("microsoft", "a@b.example")) == (Way.CODE, Way.PAGE)
    assert connector.ways(options("google", "a@b.example")) == (Way.PAGE,)
    assert connector.ways(options("password", "a@b.example")) == ()
    assert connector.ways({"address": "a@b.example"}) == ()


def test_a_code_that_is_typed_gives_tokens(issuer: Issuer, address: str) -> None:
    asking = begin("microsoft", address, lent(issuer), Way.CODE)
    assert (asking.url, len(asking.code)) == (f"https://127.0.0.1:{issuer.port}/device", 8)
    assert (asking.ends_at - NOW, asking.interval) == (timedelta(minutes=15), timedelta(seconds=1))
    assert asking.secrets["device_code"] not in repr(asking)
    with pytest.raises(NotYet) as waiting:
        connector.finish(options("microsoft", address), lent(issuer), asking, {})
    assert waiting.value.wait == timedelta(seconds=1)
    issuer.type_code(asking.code, address)
    given = connector.finish(options("microsoft", address), lent(issuer), asking, {})
    assert sorted(given) == ["access_token", "ends_at", "refresh_token"]
    assert issuer.is_good(given["access_token"]) == address
    assert given["ends_at"] == "2026-04-07T09:00:00+00:00"


def test_a_service_that_is_asked_too_often_is_asked_five_seconds_later(issuer: Issuer, address: str) -> None:
    asking = begin("microsoft", address, lent(issuer), Way.CODE)
    issuer.ask_for_patience(asking.code)
    with pytest.raises(NotYet) as waiting:
        connector.finish(options("microsoft", address), lent(issuer), asking, {})
    assert waiting.value.wait == timedelta(seconds=6)


def test_a_page_that_comes_back_gives_tokens(issuer: Issuer, address: str) -> None:
    asking = begin("google", address, lent(issuer, scope=""), Way.PAGE)
    asked = came_back(asking.url)
    assert asking.url.startswith(f"https://127.0.0.1:{issuer.port}/authorize?")
    assert (asked["scope"], asked["access_type"], asked["prompt"]) == (
        "https://mail.google.com/",
        "offline",
        "consent",
    )
    assert (asked["state"], asked["redirect_uri"], asked["login_hint"]) == ("7-of-nine", BACK, address)
    assert asking.secrets["verifier"] not in asking.url
    answer = came_back(issuer.agree(asking.url))
    given = connector.finish(options("google", address), lent(issuer), asking, answer)
    assert issuer.is_good(given["access_token"]) == address


def test_microsoft_is_asked_for_reading_sending_and_staying(issuer: Issuer, address: str) -> None:
    asked = came_back(begin("microsoft", address, lent(issuer), Way.PAGE).url)
    assert asked["scope"] == (
        "https://outlook.office.com/IMAP.AccessAsUser.All https://outlook.office.com/SMTP.Send offline_access"
    )


def test_a_code_stolen_on_the_way_back_is_worth_nothing_without_the_verifier(issuer: Issuer, address: str) -> None:
    asking = begin("google", address, lent(issuer), Way.PAGE)
    answer = came_back(issuer.agree(asking.url))
    other = replace(asking, secrets={**asking.secrets, "verifier": "guessed"})
    with pytest.raises(AuthExpired, match="Begin again"):
        connector.finish(options("google", address), lent(issuer), other, answer)


def test_whoever_declines_or_waits_too_long_is_told_that_nothing_changed(issuer: Issuer, address: str) -> None:
    asking = begin("microsoft", address, lent(issuer), Way.CODE)
    issuer.type_code(asking.code, address, declines=True)
    with pytest.raises(AuthExpired, match=r"at Microsoft was declined\. Nothing was changed"):
        connector.finish(options("microsoft", address), lent(issuer), asking, {})
    asking = begin("google", address, lent(issuer), Way.PAGE)
    with pytest.raises(AuthExpired, match="at Google was declined"):
        connector.finish(
            options("google", address), lent(issuer), asking, came_back(issuer.agree(asking.url, declines=True))
        )
    with pytest.raises(AuthExpired, match="in time"):
        connector.finish(options("google", address), at(asking.ends_at, lent(issuer)), asking, {})


def test_a_tenant_and_a_client_of_the_accounts_own_stand_before_the_installations() -> None:
    asking = connector.begin(
        options("microsoft", "cllr@fernmoor.example", client_id="own", tenant="fernmoor.example"),
        host(),
        Way.PAGE,
        back=BACK,
        state="s",
    )
    assert asking.url.startswith(
        "https://login.microsoftonline.com/fernmoor.example/oauth2/v2.0/authorize?client_id=own"
    )


@pytest.mark.parametrize(
    ("other", "field", "words"),
    [
        ({}, "client_id", "does not know this Postbag yet"),
        ({"client_id": "own", "tenant": "../common"}, "tenant", "neither the domain nor the id"),
    ],
)
def test_what_is_not_set_up_is_named_before_anything_is_asked(other: dict[str, str], field: str, words: str) -> None:
    with pytest.raises(Misconfigured, match=words) as wrong:
        begin("microsoft", "cllr@fernmoor.example", host(), Way.CODE, **other)
    assert wrong.value.field == field


@pytest.mark.parametrize(
    ("refusal", "kind", "words"),
    [
        ("wrong tenant", Misconfigured, "no organisation of that name"),
        ("unknown client", Misconfigured, "does not know this client id in this organisation"),
        ("no public client", Misconfigured, "public client flows"),
        ("secret expired", Misconfigured, "has expired"),
        ("unknown client at Google", Misconfigured, r"does not know this client id.*The OAuth client was not found"),
        ("not agreed", PermissionMissing, "administrator does that once"),
        ("conditional access", PermissionMissing, r"Conditional Access\) keep Postbag out \(AADSTS53003\)"),
    ],
)
def test_a_refusal_names_who_has_to_do_what(
    issuer: Issuer, address: str, refusal: str, kind: type[ConnectorError], words: str
) -> None:
    issuer.refuses = refusal
    with pytest.raises(kind, match=words) as refused:
        begin("microsoft", address, lent(issuer), Way.CODE)
    assert "Trace" not in str(refused.value)


def test_a_service_that_is_away_is_nobodys_fault(issuer: Issuer, address: str) -> None:
    issuer.is_down = True
    with pytest.raises(Transient):
        begin("microsoft", address, lent(issuer), Way.CODE)
    gone = lent(issuer, device_url="https://127.0.0.1:1/devicecode")
    with pytest.raises(Transient, match="could not be reached"):
        begin("microsoft", address, gone, Way.CODE)


def test_a_service_inside_the_network_is_asked_only_where_an_administrator_allows_it(
    issuer: Issuer, address: str
) -> None:
    with pytest.raises(Misconfigured, match="private network"):
        begin("microsoft", address, replace(lent(issuer), allowed_hosts=frozenset()), Way.CODE)


def test_nothing_goes_out_without_encryption(issuer: Issuer, address: str) -> None:
    bare = f"http://127.0.0.1:{issuer.plain_port}"
    with pytest.raises(Misconfigured, match="https://"):
        begin("oauth", address, lent(issuer, device_url=f"{bare}/devicecode"), Way.CODE)
    with pytest.raises(Misconfigured, match="https://"):
        begin("oauth", address, lent(issuer, authorize_url=f"{bare}/authorize"), Way.PAGE)
    assert issuer.asked == []


def test_a_certificate_that_nobody_vouches_for_is_refused(
    issuer: Issuer, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(Transient, match="could not be reached"):
        begin("microsoft", address, lent(issuer), Way.CODE)
    assert issuer.asked == []


# ── Being signed in ───────────────────────────────────────────────────────────────────────────────────────────────


def asked_of(lender: Host) -> Service:
    from connectors import Client

    return service("microsoft", lender, Client(id=""), "mail")


def held(issuer: Issuer, who: str, *, minutes: int = 60) -> Kept:
    given = issuer.tokens(who)
    ends_at = (NOW + timedelta(minutes=minutes)).isoformat()
    return Kept({"access_token": given["access_token"], "refresh_token": given["refresh_token"], "ends_at": ends_at})


def test_a_token_is_renewed_before_it_ends_and_the_refresh_token_with_it(issuer: Issuer, address: str) -> None:
    kept = held(issuer, address, minutes=4)
    before = dict(kept.held)
    lender = lent(issuer, kept)
    token = Bearer(asked_of(lender), lender).token()
    assert token == kept.held["access_token"] != before["access_token"]
    assert kept.held["refresh_token"] != before["refresh_token"]
    assert Bearer(asked_of(lender), lender).token() == token
    assert kept.renewals == 1


def test_a_refresh_token_that_is_not_given_anew_stands(issuer: Issuer, address: str) -> None:
    issuer.rotates = False
    kept = held(issuer, address, minutes=0)
    before = kept.held["refresh_token"]
    lender = lent(issuer, kept)
    Bearer(asked_of(lender), lender).token()
    assert kept.held["refresh_token"] == before


def test_a_token_that_is_still_good_is_used_while_the_service_is_away(issuer: Issuer, address: str) -> None:
    issuer.is_down = True
    kept = held(issuer, address, minutes=4)
    lender = lent(issuer, kept)
    assert Bearer(asked_of(lender), lender).token() == kept.held["access_token"]
    with pytest.raises(Transient):
        Bearer(asked_of(at(NOW + timedelta(minutes=4), lender)), at(NOW + timedelta(minutes=4), lender)).token()


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ("withdrawn", "Microsoft no longer lets Postbag into this account (the consent was withdrawn): sign in again."),
        (
            "password changed",
            "Microsoft no longer lets Postbag into this account (the password was changed): sign in again.",
        ),
        ("unused", "Microsoft no longer lets Postbag into this account (it was not used for too long): sign in again."),
        ("revoked at Google", "Microsoft no longer lets Postbag into this account: sign in again."),
    ],
)
def test_consent_that_ended_is_said_with_its_reason(issuer: Issuer, address: str, refusal: str, words: str) -> None:
    kept = held(issuer, address, minutes=0)
    issuer.withdraw(address, refusal)
    lender = lent(issuer, kept)
    with pytest.raises(AuthExpired) as over:
        Bearer(asked_of(lender), lender).token()
    assert str(over.value) == words


def test_a_client_whose_secret_ended_is_the_administrators_and_asks_nobody_to_sign_in(
    issuer: Issuer, address: str
) -> None:
    kept = held(issuer, address, minutes=0)
    issuer.refuses = "secret expired"
    lender = lent(issuer, kept)
    with pytest.raises(PermissionMissing, match="client's secret"):
        Bearer(asked_of(lender), lender).token()


def test_an_account_that_nobody_has_signed_in_says_so(issuer: Issuer) -> None:
    lender = lent(issuer, Kept())
    with pytest.raises(AuthExpired, match="Nobody has signed in at Microsoft"):
        Bearer(asked_of(lender), lender).token()
