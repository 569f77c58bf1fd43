"""What is wrapped in something else: Outlook's winmail.dat and opaque signatures, put in the place of their wrapper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from connectors.email import sealed, tnef
from connectors.email.structure import Buffer, Headers, Part, parts

_WINMAIL: Final = frozenset({"application/ms-tnef", "application/vnd.ms-tnef"})
_TEXT: Final = frozenset({"text/plain", "text/html"})
_WRAPPED_MOST: Final = 3  # signatures around signatures


def unpacked(leaves: list[Part], content: Buffer) -> list[Part]:
    """The leaves of a mail with those that are wrapped in their places."""
    if not any(_is_wrapper(leaf) for leaf in leaves):
        return leaves
    says_something = any(leaf.media_type in _TEXT and leaf.body(content).strip() for leaf in leaves)
    found: list[Part] = []
    for leaf in leaves:
        if leaf.media_type in sealed.SMIME:
            found += _from_signature(leaf, content)
        elif _is_winmail(leaf):
            found += _from_winmail(leaf, content, with_words=not says_something)
        else:
            found.append(leaf)
    return found


def _is_wrapper(leaf: Part) -> bool:
    return leaf.media_type in sealed.SMIME or _is_winmail(leaf)


def _is_winmail(leaf: Part) -> bool:
    return leaf.media_type in _WINMAIL or leaf.parameters.get("name", "").lower() == "winmail.dat"


def _from_signature(leaf: Part, content: Buffer) -> list[Part]:
    """The parts of the mail inside; the leaf itself where it is encrypted, or no signature at all."""
    inner = leaf.body(content)
    for _ in range(_WRAPPED_MOST):
        found = sealed.signed_content(inner)
        if not found:
            return [leaf]
        _, inside = parts(found)
        if len(inside) != 1 or inside[0].media_type not in sealed.SMIME:
            # Of a group of its own: the alternatives in there have nothing to do with those out here.
            return [replace(one, data=one.body(found), alternatives=-one.alternatives) for one in inside]
        leaf = replace(inside[0], data=inside[0].body(found))
        inner = leaf.body(found)
    return [leaf]


def _from_winmail(leaf: Part, content: Buffer, *, with_words: bool) -> Iterator[Part]:
    found = tnef.unpack(leaf.body(content))
    if not (found.text or found.html or found.files):
        yield leaf
        return
    if with_words and found.html:
        yield _made("text/html", {}, {"charset": "utf-8"}, found.html.encode())
    elif with_words and found.text:
        yield _made("text/plain", {}, {"charset": "utf-8"}, found.text.encode())
    for file in found.files:
        headers = {"content-disposition": ["attachment"], "content-id": [f"<{file.content_id}>"]}
        media_type = file.media_type.lower() if "/" in file.media_type else "application/octet-stream"
        yield _made(media_type, headers, {"name": file.name}, file.content)


def _made(media_type: str, headers: Headers, parameters: dict[str, str], data: bytes) -> Part:
    return Part(headers, media_type, parameters, 0, 0, data=data)
