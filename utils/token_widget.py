"""A field to type in that shows tokens, ids and bytes, without a kernel.

The merges travel with the page; a few lines of JavaScript apply them.
"""

import json
from collections.abc import Callable, Sequence
from html import escape

from utils.widgets import page_block

MARKS = str.maketrans({" ": "␣", "\n": "⏎", "\t": "⇥"})
MAX_CHARS = 2000
MAX_MERGES = 65536 - 256  # the page keeps a pair in one number


class TokenField:
    """Type, and see the tokens of a trained byte-level BPE.

    Args:
        merges: pairs of ids; 0 to 255 are the bytes, 256 + i is merge i.
        encode: text -> ids, used for the first text; the page has its own.
        text: what stands in the field first.

    Raises:
        ValueError: if a merge names what does not exist yet, or the text is too
            long or begins with an empty line, which a page drops.

    >>> TokenField([(97, 98)], lambda text: [256, 99], "abc")
    <TokenField: 257 tokens>
    """

    def __init__(
        self,
        merges: Sequence[tuple[int, int]],
        encode: Callable[[str], Sequence[int]],
        text: str,
    ) -> None:
        self.bytes = [bytes([b]) for b in range(256)]
        if len(merges) > MAX_MERGES:
            raise ValueError(f"merges should be {MAX_MERGES} or fewer: {len(merges)}")
        for left, right in merges:
            if not (0 <= left < len(self.bytes) and 0 <= right < len(self.bytes)):
                raise ValueError(
                    f"merge {len(self.bytes) - 256} should join two earlier tokens, "
                    f"joins {(left, right)}: give the merges of a trained ByteBPE"
                )
            self.bytes.append(self.bytes[left] + self.bytes[right])
        if len(text) > MAX_CHARS or text.startswith("\n") or "\r" in text:
            raise ValueError(
                f"text should have at most {MAX_CHARS} characters and begin with "
                f"one that shows, got {text[:40]!r}"
            )
        self.merges = [[int(left), int(right)] for left, right in merges]
        self.text, self.ids = text, list(encode(text))

    def __repr__(self) -> str:
        return f"<TokenField: {len(self.bytes)} tokens>"

    def _box(self, i: int) -> str:
        """One token: its text, its id, its bytes."""
        token = self.bytes[i]
        try:
            shown = token.decode().translate(MARKS)
        except UnicodeDecodeError:  # a part of a character
            shown = "…"
        return (
            f'<span role="listitem"><b>{escape(shown, quote=False)}</b><i>{i}</i>'
            f"<small>{token.hex(' ').upper()}</small></span>"
        )

    def _repr_html_(self) -> str:
        size = sum(len(self.bytes[i]) for i in self.ids)
        data = json.dumps({"merges": self.merges}, separators=(",", ":"))
        body = (
            f"<label>Type here: the tokens below follow"
            f'<textarea rows="3" maxlength="{MAX_CHARS}" spellcheck="false">'
            f"{escape(self.text, quote=False)}</textarea></label>\n"
            f'<output aria-live="polite">{len(self.ids)} tokens, '
            f"{len(self.text)} characters, {size} bytes</output>\n"
            f'<div class="tokens" role="list" tabindex="0" '
            f'aria-label="tokens: text, id, bytes">'
            f"{''.join(map(self._box, self.ids))}</div>\n"
            f'<script type="application/json">{data}</script>'
        )
        return page_block("type-tokens", body, "tokens.js")

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/html": self._repr_html_(), "text/plain": repr(self)}
