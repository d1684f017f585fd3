"""WordPiece: the ids of `transformers` for BERT-uncased, and BERT's own rules."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizer_texts import ARABIC, CHINESE, FRENCH, GERMAN, each_character, strings
from transformers import BertTokenizer

from utils.packages import minilm_file, play
from utils.wordpiece import WordPiece, basic_tokens

TINY = WordPiece(["[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "##a", "a", "."])


@pytest.fixture(scope="module")
def bert():
    return WordPiece.from_file(minilm_file("vocab.txt"))


@pytest.fixture(scope="module")
def oracle():
    return BertTokenizer(str(minilm_file("vocab.txt")))


def test_same_ids_as_transformers(bert, oracle):
    texts = [*strings(), play("hamlet"), "a" * 100_000, "中" * 30_000, "é " * 9000]
    assert len(texts) >= 10_000
    expected = oracle(texts, add_special_tokens=False)["input_ids"]
    for text, ids in zip(texts, expected, strict=True):
        assert bert.encode(text) == ids, repr(text)[:200]
    assert bert.encode("Hi!", wrap=True) == oracle.encode("Hi!")


def test_same_for_every_character(oracle):
    """Characters aside that this Python does not know yet."""
    rules, differ = oracle.backend_tokenizer, []
    for char in each_character():
        text = f"a{char}b {char} É{char}"
        clean = rules.normalizer.normalize_str(text)
        expected = [word for word, _ in rules.pre_tokenizer.pre_tokenize_str(clean)]
        if basic_tokens(text) != expected:
            differ.append(char)
    known = [c for c in differ if unicodedata.category(c) != "Cn"]
    # One vowel sign of Unicode 13 has parts, which the oracle does not take apart.
    assert known in ([], ["\U00011938"]), [f"{ord(c):x}" for c in known]
    assert len(differ) < 200


def test_same_text_as_transformers(bert, oracle):
    for text in (GERMAN, FRENCH, CHINESE, ARABIC, play("macbeth"), "[MASK] is. [SEP]"):
        ids = bert.encode(text)
        assert bert.decode(ids) == oracle.decode(ids)


def test_fast_enough(bert):
    text = play("hamlet")
    start = time.perf_counter()
    bert.encode(text)
    assert time.perf_counter() - start < 3  # 0.2 here


def by_definition(word: str, pieces: set[str]) -> list[str]:
    """Longest match first, by trying every length from the whole word down."""
    out = []
    while word:
        prefix = "##" if out else ""
        fits = [n for n in range(len(word), 0, -1) if prefix + word[:n] in pieces]
        if not fits:
            return ["[UNK]"]
        out.append(prefix + word[: fits[0]])
        word = word[fits[0] :]
    return out


@given(
    st.sets(st.from_regex(r"(##)?[abc]{1,3}", fullmatch=True)),
    st.text("abc", min_size=1),
)
def test_greedy_longest_match(pieces, word):
    ours = WordPiece(["[UNK]", *sorted(pieces)])
    assert ours.tokenize(word) == by_definition(word, pieces)


def test_greedy_does_not_go_back():
    # "abc" could be ab + ##c, but the longest beginning is taken: abc? no, "ab".
    pieces = WordPiece(["[UNK]", "a", "ab", "##bc", "##c"])
    assert pieces.tokenize("abc") == ["ab", "##c"]
    # a + ##bc would fit; "ab" was taken, and nothing fits the rest.
    assert WordPiece(["[UNK]", "a", "ab", "##bc"]).tokenize("abc") == ["[UNK]"]


def test_bert_s_basic_rules():
    assert basic_tokens("Crème BRÛLÉE") == ["creme", "brulee"]
    assert basic_tokens("a\x00b\x07c\u200dd\ufffd") == ["abcd"]
    assert basic_tokens("中文ab") == ["中", "文", "ab"]
    assert basic_tokens("don't—stop...") == ["don", "'", "t", "—", "stop", *"..."]
    assert basic_tokens("$5+1<x^2") == ["$", "5", "+", "1", "<", "x", "^", "2"]
    assert basic_tokens("a\tb\r\nc\u3000d\u2028e\xa0f") == list("abcdef")
    assert basic_tokens("ΣΊΣΥΦΟΣ") == ["σισυφοσ"]
    assert basic_tokens(" \n\x01") == []


def test_special_tokens(bert):
    assert bert.encode("[MASK]") == [103]
    assert bert.encode("[mask]") == bert.encode("[MASK]", use_specials=False)
    assert len(bert.encode("[MASK]", use_specials=False)) == 3
    assert TINY.encode("un[SEP]a", wrap=True) == [1, 3, 2, 7, 2]


def test_long_words(bert):
    assert bert.tokenize("a" * 101) == ["[UNK]"]
    assert "[UNK]" not in bert.tokenize("a" * 100)


def test_decode():
    assert TINY.decode(TINY.encode("unaffable a.")) == "unaffable a."
    assert TINY.decode([]) == ""


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: WordPiece(["a"]), "UNK. should be among"),
        (lambda: WordPiece(["[UNK]", "a", "a"]), "once"),
        (lambda: WordPiece(["[UNK]", ""]), "non-empty"),
        (lambda: WordPiece(["[UNK]", 3]), "non-empty"),
        (lambda: WordPiece(["[UNK]"]).encode("a", wrap=True), "wrap needs"),
        (lambda: TINY.encode(b"a"), "string, got bytes"),
        (lambda: TINY.encode("\ud800"), "valid Unicode"),
        (lambda: TINY.decode([9]), "from 0 to 8, got 9"),
        (lambda: TINY.decode([-1]), "got -1"),
        (lambda: TINY.decode([1.5]), "whole numbers"),
    ],
)
def test_messages(action, message):
    with pytest.raises(ValueError, match=message):
        action()
