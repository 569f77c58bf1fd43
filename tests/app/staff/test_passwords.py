"""Which passwords will do, and how they are kept."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Invalid
from app.staff.passwords import Passwords, must_do

OWN = ("Bram Oxlip", "bram.oxlip@fernmoor.example")


@pytest.mark.parametrize(
    "password",
    [
        "kettle-lantern-weir",
        "brecwast cynnar iawn",
        "fjord waltz 71 lamp",
        "xK9vQ2mTn7Lw",
        "            twelve blanks first",
        "Bram’s bicycle is green",
    ],
)
def test_a_password_that_is_hard_to_guess_will_do_whatever_is_in_it(password: str) -> None:
    must_do(password, OWN)


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "elevenchars",
        "Password2026!!",
        "P@ssw0rdP@ssw0rd",
        "aaaaaaaaaaaaaaaa",
        "abababababab",
        "qwertyuiop123",
        "123456789012",
        "letmein letmein",
        "bramoxlip2026",
        "Oxlip-Bram-Oxlip",
        "fernmoorfernmoor",
        "correct horse battery staple",
        "Liverpool2025!",
    ],
)
def test_a_password_that_is_easily_guessed_is_refused(password: str) -> None:
    with pytest.raises(Invalid) as refused:
        must_do(password, OWN)
    assert refused.value.field == "password"


def test_a_password_is_kept_as_argon2id_and_known_again() -> None:
    passwords = Passwords("pepper")
    kept = passwords.hash("kettle-lantern-weir")
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords.verify("kettle-lantern-weir", kept)
    assert not passwords.verify("kettle-lantern-weiR", kept)


def test_without_the_pepper_the_database_alone_is_of_no_use() -> None:
    kept = Passwords("pepper").hash("kettle-lantern-weir")
    assert not Passwords("another").verify("kettle-lantern-weir", kept)


def test_nobody_has_a_password_that_fits() -> None:
    assert not Passwords("pepper").verify("nobody's", None)


def test_one_written_with_combining_marks_is_the_same() -> None:
    passwords = Passwords("pepper")
    assert passwords.verify("caffe\u0302 lantern weir", passwords.hash("caff\u00ea lantern weir"))


@given(st.text(min_size=1, max_size=40))
def test_no_text_makes_the_check_fail_otherwise_than_by_a_sentence(password: str) -> None:
    with contextlib.suppress(Invalid):
        must_do(password, OWN)
