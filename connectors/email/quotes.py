"""What the sender wrote, without what it answers: quoted replies folded away for reading.

Nothing is deleted: the whole text is kept beside it. In doubt a line stays, since a resident's own words must never be
hidden, and where nothing would be left everything stays. A signature stays: the address in it is often the proof that
somebody lives in the ward.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# "On Tue, 7 Apr 2026 at 08:10, Ann <ann@example.org> wrote:" in the languages of the people who write: English, Welsh,
# then the ones most spoken in Britain beside them (census 2021: Polish, Romanian, Urdu, Portuguese, Spanish, Arabic,
# French, Italian, German and more) as far as mail programs write them.
_WROTE: Final = (
    r"wrote|writes|ysgrifennodd|ysgrifenodd|napisał(?:\(a\)|a)?|pisze|a scris|escreveu|escribió|ha scritto"
    r"|a écrit|schrieb|schreef|пише|написав|пишет|написал|írta|rašė|написа|yazdı|skrev"  # noqa: RUF001 - real words
    r"|تمت كتابة ما يلي بواسطة|كتبت?|نے لکھا"
)
_MARKS: Final = r"\s\u200e\u200f\u202a-\u202e\u2066-\u2069"  # spaces, and the marks that turn the line's direction
_ATTRIBUTION: Final = re.compile(
    rf"(?:{_WROTE})(?:[{_MARKS}][^:]{{0,80}}<[^<>\s]+@[^<>\s]+>|)[{_MARKS}]*:[{_MARKS}]*$", re.IGNORECASE
)
_WEEKDAYS: Final = (
    r"mon|tue|wed|thu|fri|sat|sun|llun|maw|mer|iau|gwe|sad|sul|pon|wt|śr|czw|pt|sob|ndz|niedz"
    r"|пн|вт|ср|чт|пт|сб|нд|вс|پیر|منگل|بدھ|جمعرات|جمعہ|ہفتہ|اتوار"  # noqa: RUF001 - real words
)
_BEGINS: Final = re.compile(
    r"^\W{0,3}(?:on|ar|dnia|w dniu|pe|în|em|a|el|il|le|am|op|den|dne|на|في|بتاريخ|بروز"
    rf"|\d{{1,4}}[./-]\d{{1,2}}[./-]\d{{1,4}}|(?:{_WEEKDAYS})\w*[,.،]{{0,2}}\s)\b",
    re.IGNORECASE,
)
# A sentence of one's own may say "on 3 May the council wrote:"; a mail program names an address, or year and time.
_MACHINE_MADE: Final = re.compile(r"\b20\d\d\b.*\d[:.]\d\d|\d[:.]\d\d.*\b20\d\d\b|<[^<>\s]+@[^<>\s]+>|\[mailto:")
_LINES_OF_ATTRIBUTION: Final = 4

_ORIGINAL: Final = re.compile(
    r"^\W{2,}\s*(?:original message|neges wreiddiol|y neges wreiddiol|wiadomość oryginalna|oryginalna wiadomość"
    r"|mesaj original|mesajul original|mensagem original|mensaje original|messaggio originale"
    r"|message d.origine|message original|ursprüngliche nachricht|originalnachricht"
    r"|الرسالة الأصلية|اصل پیغام)\s*\W{2,}$",
    re.IGNORECASE,
)
_FORWARDED: Final = re.compile(
    r"^\W{0,20}\s*(?:begin forwarded message|forwarded message|forwarded by|neges a anfonwyd ymlaen"
    r"|dechrau'r neges a anfonwyd ymlaen|weitergeleitete nachricht|anfang der weitergeleiteten nachricht"
    r"|message transféré|début du message transféré|début du message réexpédié|mensaje reenviado"
    r"|inicio del mensaje reenviado|messaggio inoltrato|inizio messaggio inoltrato|mensagem encaminhada"
    r"|mensagem reencaminhada|przekazana wiadomość|wiadomość przekazana|mesaj redirecționat|mesaj redirecţionat"
    r"|رسالة معاد توجيهها|فارورڈ کردہ پیغام)(?:\W|$)",
    re.IGNORECASE,
)
# The header block that Outlook puts above what it quotes; the words are labels of its languages.
_FROM: Final = frozenset({"from", "oddi wrth", "gan", "von", "de", "de la", "od", "da", "من", "منجانب"})
_WHEN: Final = frozenset({
    *("sent", "date", "anfonwyd", "dyddiad", "gesendet", "datum", "envoyé", "wysłano", "data", "inviato"),
    *("enviado", "enviado el", "enviada em", "fecha", "trimis", "تم الإرسال", "أُرسلت", "التاريخ"),
    *("بھیجا گیا", "تاریخ"),
})  # fmt: skip
_OTHER_LABELS: Final = frozenset({
    *("to", "cc", "subject", "importance", "at", "copi", "pwnc", "testun", "pwysigrwydd"),
    *("an", "betreff", "à", "objet"),
    *("do", "dw", "temat", "a", "oggetto", "para", "asunto", "assunto", "către", "subiect", "kopie", "wichtigkeit"),
    *("إلى", "نسخة", "الموضوع", "بنام", "موضوع"),
})  # fmt: skip
_ANY_LABEL: Final = "|".join(sorted(map(re.escape, _FROM | _WHEN | _OTHER_LABELS), key=len, reverse=True))
_LABEL: Final = re.compile(rf"^[{_MARKS}]*[*_]{{0,2}}(?P<label>{_ANY_LABEL})\s*[*_]{{0,2}}\s*:", re.IGNORECASE)
_LABELS_LEAST: Final = 3
_RULE: Final = re.compile(r"^\s*[_\-=]{8,}\s*$")

# What a device or a program adds below the last line.
_SENT_FROM: Final = re.compile(
    r"^\W{0,3}(?:sent from (?:my|outlook|yahoo|mail|samsung|proton|aol|the)|get outlook for|sent via|sent with"
    r"|anfonwyd o(?:'m| fy)|von meinem \w+ gesendet|gesendet mit|envoyé (?:de|depuis) mon|enviado desde (?:mi|outlook)"
    r"|inviato da(?:l mio)? (?:iphone|ipad|outlook|yahoo)|wysłane? z (?:iphone|ipad|telefonu|mojego|outlook)"
    r"|enviado do (?:meu|outlook)|trimis de pe|أُ?رسلت? من .{0,12}(?:iphone|ipad|جهاز|outlook))(?:\W|$).{0,80}$",
    re.IGNORECASE,
)
# "My answers are below": then what looks like a quotation holds the sender's own words.
_ANSWERS_INSIDE: Final = re.compile(
    r"\b(?:see|answers?|answered|comments?|repl(?:y|ies|ied)|respon\w+|in ?line)\b.{0,30}"
    r"\b(?:below|beneath|inline|in ?line|in (?:red|blue|bold|green|purple|capitals))\b"
    r"|\b(?:atebion|sylwadau|gweler)\b.{0,30}\bisod\b|\bisod\b.{0,20}\bcoch\b"
    r"|\b(?:antworten|kommentare|siehe)\b.{0,30}\bunten\b|\b(?:réponses?|commentaires?|voir)\b.{0,30}\bci-dessous\b"
    r"|\b(?:respuestas?|comentarios?)\b.{0,30}\b(?:abajo|más abajo|en rojo)\b"
    r"|\brispost[ae]\b.{0,30}\b(?:sotto|in rosso)\b"
    r"|\bodpowied\w+\b.{0,30}\b(?:poniżej|na czerwono)\b|\brespostas?\b.{0,30}\b(?:abaixo|a vermelho|em vermelho)\b"
    r"|\brăspuns\w*\b.{0,30}\b(?:mai jos|cu roșu)\b|(?:ردودي|إجاباتي|الرد).{0,30}(?:أدناه|باللون)|جوابات?.{0,30}نیچے",
    re.IGNORECASE,
)
_REPLY: Final = re.compile(
    r"^\s*(?:re|aw|sv|antw|odp|ynt|rv|ref|rif|r|ateb|atb|yn|răsp|رد|جواب)\s*(?:\[\d+\])?\s*:", re.IGNORECASE
)
_FORWARD: Final = re.compile(r"^\s*(?:fwd?|wg|tr|rv|enc|reenv|pd|i|ymlaen|redir|إعادة توجيه|توجيه)\s*:", re.IGNORECASE)


def is_reply(subject: str, *, answers: bool) -> bool:
    """Whether a mail says that it answers another: by its headers (``answers``) or its subject, and is no forward."""
    return not _FORWARD.match(subject) and (answers or bool(_REPLY.match(subject)))


def fold(text: str, *, reply: bool) -> str:
    """``text`` without what it quotes; ``text`` itself where nothing else would be left.

    A forwarded mail is what the sender wants read, so that nothing of it is taken away. Unmarked quotations are only
    looked for where the mail is a ``reply``.
    """
    lines = text.split("\n")
    if any(_FORWARDED.match(line) for line in lines):
        return text.strip()
    cut = _Cut(lines)
    if reply:
        end = cut.unmarked_quotation()
        if end is not None and not _ANSWERS_INSIDE.search("\n".join(lines[:end])):
            del lines[end:]
    kept = "\n".join(_Cut(lines).without_marked_quotations()).strip()
    return _without_devices_words(kept) or text.strip()


@dataclass(frozen=True, slots=True)
class _Cut:
    """The lines of a text and where quotations in them begin."""

    lines: list[str]

    def unmarked_quotation(self) -> int | None:
        """The line where a quotation without ``>`` begins that runs to the end, ``None`` where there is none."""
        for at, line in enumerate(self.lines):
            if _ORIGINAL.match(line) or self._is_header_block(at):
                return self._before_rule(at)
            if self._attribution(at) and not self._marked_after(self._attribution(at)):
                return at
        return None

    def without_marked_quotations(self) -> list[str]:
        """The lines that do not begin with ``>``, nor announce some that do."""
        kept: list[str] = []
        at = 0
        while at < len(self.lines):
            end = self._attribution(at)
            if end and self._marked_after(end):
                at = end
            elif self.lines[at].lstrip().startswith(">"):
                at += 1
            else:
                kept.append(self.lines[at])
                at += 1
        return kept

    def _attribution(self, at: int) -> int:
        """The line after an "On … wrote:" of one to four lines that begins at ``at``; 0 where none begins."""
        if not _BEGINS.match(self.lines[at]):
            return 0
        for end in range(at + 1, min(at + _LINES_OF_ATTRIBUTION, len(self.lines)) + 1):
            last = self.lines[end - 1]
            if not last.strip():
                return 0
            if _ATTRIBUTION.search(last[-200:]):
                whole = " ".join(self.lines[at:end])
                return end if _MACHINE_MADE.search(whole[:1000]) or self._marked_after(end) else 0
        return 0

    def _marked_after(self, at: int) -> bool:
        """Whether the next line with anything on it begins with ``>``."""
        following = next((line for line in self.lines[at : at + 4] if line.strip()), "")
        return following.lstrip().startswith(">")

    def _is_header_block(self, at: int) -> bool:
        """Whether "From: … Sent: … Subject: …" begins here."""
        begin = _LABEL.match(self.lines[at])
        if not begin or begin["label"].lower() not in _FROM:
            return False
        labels = {match["label"].lower() for line in self.lines[at : at + 8] if (match := _LABEL.match(line))}
        return len(labels) >= _LABELS_LEAST and bool(labels & _WHEN)

    def _before_rule(self, at: int) -> int:
        """``at``, or the line that is drawn just above it."""
        above = at - 1
        while above > 0 and not self.lines[above].strip():
            above -= 1
        return above if above >= 0 and _RULE.match(self.lines[above]) else at


def _without_devices_words(text: str) -> str:
    """``text`` without "Sent from my …" at its end."""
    lines = text.split("\n")
    while lines and (not lines[-1].strip() or _SENT_FROM.match(lines[-1])):
        lines.pop()
    return "\n".join(lines).strip()
