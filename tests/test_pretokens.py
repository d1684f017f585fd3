"""Pre-tokens: GPT-2's rule, for every character, and however the text is cut."""

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_texts import each_character, strings
from tokenizers import pre_tokenizers

from utils.pretokens import pre_tokens, stream, utf8

BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False)
DIGITS = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), BYTES])


def oracle(text: str, split_digits: bool = False) -> list[str]:
    rule = DIGITS if split_digits else BYTES
    return [text[a:b] for _, (a, b) in rule.pre_tokenize_str(text)]


@pytest.mark.parametrize("split_digits", [False, True])
def test_same_as_the_oracle(split_digits):
    texts = strings()
    assert len(texts) >= 10_000
    for text in texts:
        assert pre_tokens(text, split_digits) == oracle(text, split_digits), repr(text)


def test_same_for_every_character():
    """Also for those newer than this Python: Unicode 16, as the oracle's.

    Sixteen characters share a string, each among a letter, a number, a sign and
    spaces, so that 1.1 million characters take seconds.
    """
    characters = each_character()
    for start in range(0, len(characters), 16):
        some = characters[start : start + 16]
        text = "\n".join(f"a{c}b 1{c}2 !{c}? {c}{c}  {c}'s {c}" for c in some)
        if pre_tokens(text) == oracle(text):
            continue
        for char in some:
            text = f"a{char}b 1{char}2 !{char}? {char}{char}  {char}'s {char}"
            if pre_tokens(text) != oracle(text):
                # A Python with a newer Unicode than the oracle may know more.
                assert unicodedata.category(char) != "Cn", f"{ord(char):x}"
                assert unicodedata.unidata_version >= "17", f"{ord(char):x}"


SIGNS = "abé 's\n\t1٣²!?中👍\x00\u3000<|re>vl"


@given(
    st.text(SIGNS),
    st.lists(st.integers(0, 30)),
    st.booleans(),
    st.sampled_from([[], ["a"], ["<|", "<|re>", "a<"]]),
)
@settings(max_examples=400)
def test_how_a_text_is_cut_makes_no_difference(text, cuts, split_digits, specials):
    whole = [t for some in stream([text], specials, split_digits) for t in some]
    parts, rest = [], text
    for n in cuts:
        parts, rest = [*parts, rest[:n]], rest[n:]
    parts.append(rest)
    cut = [t for some in stream(parts, specials, split_digits) for t in some]
    assert cut == whole
    single = [t for some in stream(text, specials, split_digits) for t in some]
    assert single == whole
    if not any(special in text for special in specials):
        assert whole == pre_tokens(text, split_digits)
    assert "".join(pre_tokens(text, split_digits)) == text


def test_a_long_pretoken_does_not_take_quadratic_time():
    parts = ["x" * 100] * 20_000  # 2 MB without a place to cut
    start = time.perf_counter()
    (word,) = (t for some in stream(parts) for t in some)
    assert time.perf_counter() - start < 5  # 0.2 here; 28 if looked at each time
    assert word == "x" * 2_000_000


def test_only_what_may_still_change_is_kept():
    seen = 0
    for n, words in enumerate(stream(" ".join(["word"] * 50) for _ in range(100))):
        seen += sum(map(len, words))
        assert (n + 1) * 249 - seen < 12 or n == 100
    assert seen == 100 * 249


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: list(stream([b"a"])), "each part should be a string"),
        (lambda: utf8("a\ud83d"), "holds half of one"),
    ],
)
def test_messages(action, message):
    with pytest.raises(ValueError, match=message):
        action()
