"""What the sender wrote without what it answers: folded for reading, and a sender's own words never hidden."""

# ruff: noqa: RUF001 - real words of many languages
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.email.quotes import fold, is_reply

OWN = "Thank you, but the bin is still full.\n\nHester, 12 Larkrise Close"

HEADER_BLOCK = (
    "________________________________\nFrom: Tansy Quillfeather <cllr@fernmoor.example>\nSent: 07 April 2026 08:10\n"
    "To: Hester\nSubject: RE: Brown bin\n\nI have asked the depot."
)
WELSH_HEADER_BLOCK = (
    "________________________________\nOddi wrth: Tansy Quillfeather\nAnfonwyd: 07 Ebrill 2026 08:10\nAt: Hester\n"
    "Pwnc: Bin brown\n\nRwyf wedi gofyn."
)
OLDER_HEADER_BLOCK = (
    "-----Original Message-----\nFrom: Tansy Quillfeather\nSent: 07 April 2026 08:10\nTo: Hester\nSubject: Bin\n\n"
    "I have asked the depot."
)
QUOTED = [
    # Gmail and Apple Mail, one line or broken over several.
    "On Tue, 7 Apr 2026 at 08:10, Tansy Quillfeather <c@fernmoor.example> wrote:\n\n> I have asked.\n>\n> T.",
    "On Tue, 7 Apr 2026 at 08:10, Tansy Quillfeather <\ncllr@fernmoor.example> wrote:\n> I have asked the depot.",
    "On 7 Apr 2026, at 08:10, Tansy Quillfeather wrote:\n\nI have asked the depot.\n\nTansy",
    # Without an attribution.
    "> I have asked the depot.\n> Tansy",
    # Welsh.
    "Ar Maw, 7 Ebr 2026 am 08:10 ysgrifennodd Tansy Quillfeather <c@fernmoor.example>:\n> Rwyf wedi gofyn.",
    WELSH_HEADER_BLOCK,
    # Outlook.
    OLDER_HEADER_BLOCK,
    HEADER_BLOCK,
    "*From:* Tansy Quillfeather\n*Date:* Tuesday, 7 April 2026 at 08:10\n*To:* Hester\n*Subject:* Bin\n\nI have asked.",
]
# As Gmail, Outlook and Thunderbird write them in the languages of residents, beside English and Welsh.
IN_OTHER_LANGUAGES = {
    "German": [
        "Am 07.04.2026 um 08:10 schrieb Tansy Quillfeather <cllr@fernmoor.example>:\n> Ich habe gefragt.",
        "Am Di., 7. Apr. 2026 um 08:10 Uhr schrieb Tansy <c@fernmoor.example>:\n\n> Ich habe gefragt.",
        "Von: Tansy\nGesendet: Dienstag, 7. April 2026 08:10\nAn: Hester\nBetreff: Tonne\n\nIch habe gefragt.",
    ],
    "French": [
        "Le 7 avr. 2026 à 08:10, Tansy Quillfeather <cllr@fernmoor.example> a écrit :\n> J'ai demandé.",
        "De : Tansy\nEnvoyé : mardi 7 avril 2026 08:10\nÀ : Hester\nObjet : Poubelle\n\nJ'ai demandé.",
    ],
    "Spanish": [
        "El mar, 7 abr 2026 a las 8:10, Tansy (<c@fernmoor.example>) escribió:\n> He preguntado.",
        "De: Tansy\nEnviado el: martes, 7 de abril de 2026 8:10\nPara: Hester\nAsunto: Cubo\n\nHe preguntado.",
    ],
    "Italian": [
        "Il giorno mar 7 apr 2026 alle ore 08:10 Tansy <c@fernmoor.example> ha scritto:\n> Ho chiesto.",
        "Da: Tansy\nInviato: martedì 7 aprile 2026 08:10\nA: Hester\nOggetto: Bidone\n\nHo chiesto.",
    ],
    "Polish": [
        "W dniu 07.04.2026 o 08:10, Tansy Quillfeather <cllr@fernmoor.example> napisał(a):\n> Zapytałam.",
        "wt., 7 kwi 2026 o 08:10 Tansy <c@fernmoor.example> napisał(a):\n\n> Zapytałam.",
        "Od: Tansy\nWysłano: wtorek, 7 kwietnia 2026 08:10\nDo: Hester\nTemat: Kosz\n\nZapytałam.",
    ],
    "Portuguese": [
        "Em ter., 7 de abr. de 2026 às 08:10, Tansy <c@fernmoor.example> escreveu:\n> Perguntei.",
        "A terça, 7/04/2026, 08:10, Tansy <c@fernmoor.example> escreveu:\n> Perguntei.",
        "De: Tansy\nEnviado: 7 de abril de 2026 08:10\nPara: Hester\nAssunto: Caixote\n\nPerguntei.",
    ],
    "Romanian": [
        "În mar., 7 apr. 2026 la 08:10, Tansy <c@fernmoor.example> a scris:\n> Am întrebat.",
        "De la: Tansy\nTrimis: marți, 7 aprilie 2026 08:10\nCătre: Hester\nSubiect: Pubelă\n\nAm întrebat.",
    ],
    "Arabic": [
        "في الثلاثاء، 7 أبريل 2026 في 8:10 ص تمت كتابة ما يلي بواسطة \u202aTansy\u202c <\u202ac@f.uk\u202c>:\n> سألت.",
        "من: Tansy\nتم الإرسال: الثلاثاء، ٧ أبريل ٢٠٢٦ 08:10\nإلى: Hester\nالموضوع: الحاوية\n\nلقد سألت.",
    ],
    "Urdu": [
        "منگل، 7 اپریل، 2026 کو 8:10 AM پر Tansy <c@fernmoor.example> نے لکھا:\n> میں نے پوچھا ہے۔",
        "منجانب: Tansy\nبھیجا گیا: 7 اپریل 2026 08:10\nبنام: Hester\nموضوع: ڈبہ\n\nمیں نے پوچھا ہے۔",
    ],
}
LINES = ["> a", "b", "", "On 1 Jan 2026 at 10:00, x <a@b.c> wrote:", "From: x", "Sent: y", "To: z"]
FROM_A_DEVICE = [
    "Sent from my iPhone",
    "Anfonwyd o fy iPhone",
    "Get Outlook for iOS<https://aka.ms/o0ukef>",
    "Von meinem iPhone gesendet",
    "Envoyé de mon iPhone",
    "Enviado desde mi iPhone",
    "Inviato da iPhone",
    "Wysłane z iPhone'a",
    "Enviado do meu iPhone",
    "Trimis de pe iPhone-ul meu",
    "أُرسلت من الـ iPhone",
]


@pytest.mark.parametrize("quoted", QUOTED)
def test_what_is_quoted_is_folded_away(quoted: str) -> None:
    assert fold(f"{OWN}\n\n{quoted}\n", reply=True) == OWN


@pytest.mark.parametrize(
    "quoted",
    [
        pytest.param(text, id=f"{language} {number}")
        for language, texts in IN_OTHER_LANGUAGES.items()
        for number, text in enumerate(texts, start=1)
    ],
)
def test_what_is_quoted_is_folded_away_in_the_languages_of_residents(quoted: str) -> None:
    assert fold(f"{OWN}\n\n{quoted}\n", reply=True) == OWN


@pytest.mark.parametrize("words", FROM_A_DEVICE)
def test_what_a_device_adds_is_folded_away(words: str) -> None:
    assert fold(f"{OWN}\n\n{words}\n", reply=False) == OWN


@pytest.mark.parametrize("signature", ["-- \nHester Brindlecombe\n12 Larkrise Close", "--\nHester"])
def test_a_signature_stays_for_the_address_in_it(signature: str) -> None:
    assert fold(f"{OWN}\n{signature}\n\nSent from my iPad\n", reply=True) == f"{OWN}\n{signature}"
    assert fold(f"{OWN}\n{signature}\n\n{HEADER_BLOCK}", reply=True) == f"{OWN}\n{signature}"


@pytest.mark.parametrize(
    "text",
    [
        "On 3 May the council wrote:\nYour bin will be emptied.\nIt was not.",
        "On 3 May at 10:30 the council wrote to me:\nYour bin will be emptied.\nIt was not.",
        "From: my kitchen window I can see it.\nTo: the point.",
        "Five things:\n-- the bin\nand the rest is longer than a signature\n" + "line\n" * 20 + "end",
        "A resident wrote:\nplease help\nand so I write to you.",
        "Von: hier bis dort\nist es weit.",
        "Dear Tansy,\n\nYour officer said -- and I quote -- nothing.",
        "Date: 3 May\nPlace: the weir\n\nThat is when it happened.",
    ],
)
def test_ones_own_words_stay(text: str) -> None:
    assert fold(text, reply=True) == text


def test_words_below_and_between_marked_quotations_stay() -> None:
    attribution = "On Tue, 7 Apr 2026 at 08:10, Tansy <c@f.example> wrote:"
    text = f"{attribution}\n> Which street?\n\nLarkrise Close.\n\n> Since when?\n\nMonday."
    assert fold(text, reply=True) == "Larkrise Close.\n\n\nMonday."


@pytest.mark.parametrize(
    "announced",
    [
        "Please see my answers below in red.",
        "Gweler fy sylwadau isod.",
        "Meine Antworten stehen unten.",
        "Mes réponses ci-dessous.",
        "Mis respuestas más abajo.",
        "Le mie risposte in rosso.",
        "Moje odpowiedzi poniżej.",
        "As minhas respostas abaixo.",
        "Răspunsurile mele mai jos.",
        "ردودي أدناه.",
    ],
)
def test_answers_inside_an_unmarked_quotation_keep_it(announced: str) -> None:
    text = f"{announced}\n\n{HEADER_BLOCK}\nLarkrise Close."
    assert fold(text, reply=True) == text


def test_a_mail_that_is_nothing_but_quotation_stays_whole() -> None:
    assert fold("> The bin was missed.\n> Again.", reply=True) == "> The bin was missed.\n> Again."
    assert fold("", reply=True) == ""


def test_a_forwarded_mail_is_what_the_sender_wants_read() -> None:
    forwarded = "---------- Forwarded message ---------\nFrom: Waste <w@f.example>\nDate: Tue\nSubject: Bins"
    text = f"FYI\n\n{forwarded}\n\n> We missed it."
    assert fold(text, reply=True) == text
    assert not is_reply("Fwd: Brown bin", answers=True)


@pytest.mark.parametrize(
    "line",
    [
        "Begin forwarded message:",
        "Neges a anfonwyd ymlaen",
        "-------- Weitergeleitete Nachricht --------",
        "-------- Message transféré --------",
        "---------- Mensaje reenviado ---------",
        "Inizio messaggio inoltrato:",
        "-------- Przekazana wiadomość --------",
        "---------- Mensagem encaminhada ---------",
        "-------- Mesaj redirecționat --------",
        "---------- رسالة معاد توجيهها ---------",
    ],
)
def test_a_forwarded_mail_is_known_in_the_languages_of_residents(line: str) -> None:
    text = f"FYI\n\n{line}\nFrom: Waste <w@f.example>\n\n> We missed it."
    assert fold(text, reply=True) == text


def test_an_unmarked_quotation_is_only_looked_for_in_a_reply() -> None:
    text = f"{OWN}\n\n{HEADER_BLOCK}"
    assert fold(text, reply=False) == text
    assert is_reply("RE: Brown bin", answers=False)
    assert is_reply("Ateb: Bin brown", answers=False)
    assert is_reply("Brown bin", answers=True)
    assert not is_reply("Brown bin", answers=False)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=300), st.booleans())
def test_folding_never_fails_and_never_empties(text: str, reply: bool) -> None:  # noqa: FBT001
    assert bool(fold(text, reply=reply)) == bool(text.strip())


@given(st.lists(st.sampled_from(LINES), max_size=12))
def test_lines_that_stay_are_lines_of_the_mail_in_their_order(lines: list[str]) -> None:
    left = iter(lines)
    assert all(line in left for line in fold("\n".join(lines), reply=True).split("\n") if line)
