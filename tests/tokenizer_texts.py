"""More than 10,000 strings on which a tokenizer must agree with its oracle."""

import itertools
import random
import unicodedata

from utils.packages import play

GERMAN = (
    "Die Bürgerin möchte größere Äpfel übermorgen im Straßencafé. Donaudampfschiff-"
    "fahrtsgesellschaft! »Schöne Grüße«, sagte er – um 17:30 Uhr. ẞ ß ÖÄÜ"
)
FRENCH = (
    "L'été dernier, j'ai mangé une crème brûlée à Orléans ; c'était « très bon » ! "
    "Où est l'œuf ? Noël, ça va, naïve, aujourd'hui n'est-ce pas…"
)
CHINESE = (
    "今天天气很好，我们去公园散步吧。他说：“你好吗？” 一二三四五，共100元。"
    "中文English混排。㐀𠀀豈丽 한국어 ひらがなカタカナ"
)
ARABIC = (
    "ذهبت إلى السوق صباحًا واشتريت ٣ تفاحات و١٢ برتقالة. مَا اسْمُكَ؟ لا‌بأس "
    "العربيّة كتاب، قلم؛ שלום עולם हिन्दी में पढ़ना ไทยภาษา Ελληνικά ΣΊΣΥΦΟΣ Русский ёж"
)
JOIN, SKIN, HEART = "\u200d", "\U0001f3fd", "\u2764\ufe0f"
EMOJI = [
    "👍", "👍" + SKIN, JOIN.join("👩👩👧👦"), "🏳\ufe0f" + JOIN + "🌈", "🇩🇪🇫🇷", HEART,
    "1\ufe0f\u20e3", "👩" + SKIN + JOIN + "🚀", "☕", "🫠", "e\u0301", "é", "ǆ", "ﬁ",
]  # fmt: skip
CODE = """def f(x, *args):\n\tif x >= 10 and not args:\n        return {"k": 2.5e-3}
    # don't  we'll I'VE she'd 's 't\n    return x**2 + 0xFF  \n\n\n
for (int i=0;i<n;++i) a[i]&=~b; // ok\r\n
<html><a href="http://x.y/z?q=1&r=%20">it's</a></html> \\n \\u00e9 $x_{i}^2$
[CLS] [MASK] <|im_start|>user
"""
EDGES = [
    "", " ", "  ", "   ", "\t", "\n", "\r\n", " \n ", "a", "aa", "aaa", "aaaa", "aaaaa",
    "\u00a0", "\u3000x", "\u2028", "\u200b", "\ufeff", "\u00ad", "\x00", "\x1c\x1d x",
    "\x7f", "\ufffd", "a\x00b", "x\x85y", "'", "''s", "'S", "'re'", " 's", "don't",
    "0", "007", "1234567890", "3.14159", " 1", "  1", "\n\n1", "1,000,000", "²³½Ⅳ٣",
    "<|im_start|>", "<|im_end", "<|im_start|><|im_end|>", "<|endoftext|> x", "[UNK]",
    "[SEP] a", "[PAD]", " [MASK]", "<repo_name><reponame>", "x" * 99, "x" * 100,
    "x" * 101, "no" * 500, " " * 1000, "\n" * 999 + "x", "1" * 1000, "ab" * 3000,
]  # fmt: skip


def pieces(text: str, rng: random.Random, n: int) -> list[str]:
    """Random parts of a text, of 1 to 200 characters."""
    starts = (rng.randrange(len(text)) for _ in range(n))
    return [text[start : start + rng.randint(1, 200)] for start in starts]


def strings() -> list[str]:
    """The same strings each time."""
    rng = random.Random(0)
    found = list(EDGES)
    for name in ("hamlet", "henry_v", "macbeth", "as_you_like_it"):
        found += pieces(play(name), rng, 900)
    for text in (GERMAN, FRENCH, CHINESE, ARABIC, CODE):
        found += [text] + pieces(text, rng, 500)
    found += ["".join(pair) for pair in itertools.product(EMOJI, repeat=2)]
    found += [f"{a} {b}" for a, b in itertools.product(EMOJI, repeat=2)]
    found += [chr(c) + "a" for c in range(256)] + [f" {chr(c)}1" for c in range(256)]
    found += [" " * n + word for n in range(40) for word in ("x", "7", "-", "\n", "é")]
    found += [str(rng.randrange(10 ** rng.randint(1, 30))) for _ in range(500)]
    mixed = [*(GERMAN + FRENCH + CHINESE + ARABIC + CODE), *EMOJI]
    mixed += [" ", "\n", "'", "1"] * 40 + [chr(c) for c in range(32)]
    found += ["".join(rng.choices(mixed, k=rng.randint(1, 60))) for _ in range(2000)]
    known = [
        chr(c)
        for c in range(0x20000)
        if unicodedata.category(chr(c)) not in ("Cn", "Cs")
    ]
    found += ["".join(rng.choices(known, k=rng.randint(1, 12))) for _ in range(1500)]
    return found


def each_character() -> list[str]:
    """Every character up to plane 3, and a sample of the empty planes above."""
    codes = [range(0xD800), range(0xE000, 0x34000), range(0x34000, 0x110000, 97)]
    return [chr(c) for c in itertools.chain(*codes)]
