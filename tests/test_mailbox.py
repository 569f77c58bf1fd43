"""The generated mailbox is what it says it is."""

from __future__ import annotations

from collections import Counter

from tests.mailbox import INBOX, JUNK, generate


def test_the_same_seed_makes_the_same_mailbox_and_another_seed_another() -> None:
    assert generate(200, seed=1) == generate(200, seed=1)
    assert generate(200, seed=1) != generate(200, seed=2)


def test_it_has_everything_that_a_real_one_has() -> None:
    deliveries, truth = generate(2_000, seed=1)
    assert (len(deliveries), len(truth.mails), truth.doubles) == (2_000, 1_960, 40)
    assert len({mail.charset for mail in truth.mails}) == 8
    assert {delivery.folder for delivery in deliveries} == {INBOX, JUNK}
    assert sum(not mail.message_id for mail in truth.mails) > 20
    assert max(len(mails) for mails in truth.threads.values()) >= 4
    assert len(truth.files) > 500
    used = Counter(mail.message_id for mail in truth.mails if mail.message_id)
    assert [message_id for message_id, times in used.items() if times > 1] == ["<contact-form@village.example>"]


def test_a_thread_is_between_one_resident_and_the_office() -> None:
    _, truth = generate(2_000, seed=1)
    assert all(len({mail.sender for mail in mails}) == 1 for mails in truth.threads.values())


def test_the_average_size_is_about_what_was_asked_for() -> None:
    deliveries, _ = generate(1_000, seed=1, size=37_000)
    assert 30_000 < sum(len(delivery.content) for delivery in deliveries) / 1_000 < 45_000
