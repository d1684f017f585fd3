"""Byte-level BPE: the ids of `transformers`, every text back, damage noticed."""

import json
import random
import time
import tracemalloc

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizer_texts import ARABIC, CHINESE, CODE, GERMAN, strings
from tokenizers import Tokenizer, pre_tokenizers
from transformers import AutoTokenizer

from utils.bpe import ByteBPE
from utils.gguf import GGUF
from utils.packages import play, smollm2_file

PLAY = play("hamlet")
SMALL = ByteBPE.train(PLAY[:30_000], 400, specials=["<|end|>", "<|", "<pad>"])


@pytest.fixture(scope="module")
def metadata():
    return GGUF(smollm2_file()).metadata


@pytest.fixture(scope="module")
def smollm2(metadata):
    return ByteBPE.from_gguf(metadata)


@pytest.fixture(scope="module")
def oracle():
    path = smollm2_file()
    return AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)


# --- the same ids as others ----------------------------------------------------------


def test_smollm2_has_the_ids_of_transformers(smollm2, oracle):
    texts = strings()
    assert len(texts) >= 10_000
    expected = oracle(texts, add_special_tokens=False)["input_ids"]
    for text, ids in zip(texts, expected, strict=True):
        assert smollm2.encode(text) == ids, repr(text)
    whole = [PLAY, *(text * 20 for text in (GERMAN, CHINESE, ARABIC, CODE))]
    expected = oracle(whole, add_special_tokens=False)["input_ids"]
    assert [smollm2.encode(text) for text in whole] == expected


def test_smollm2_with_single_digits_as_it_was_trained(metadata, oracle):
    ours = ByteBPE.from_gguf(metadata, split_digits=True)
    rust = Tokenizer.from_str(oracle.backend_tokenizer.to_str())
    rust.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    differ = 0
    for text in strings():
        ids = rust.encode(text, add_special_tokens=False).ids
        assert ours.encode(text) == ids, repr(text)
        differ += ids != oracle.encode(text, add_special_tokens=False)
    assert differ > 10, "spaces before a digit are cut in another way"


@pytest.mark.parametrize("letter", ["a", " ", "\n", "7", "é", "中", "👍"])
def test_100_kb_of_one_letter_is_fast(smollm2, oracle, letter):
    text = letter * (100_000 // len(letter.encode()))
    start = time.perf_counter()
    ids = smollm2.encode(text)
    assert time.perf_counter() - start < 5  # 0.3 here; quadratic time takes minutes
    assert ids == oracle.encode(text, add_special_tokens=False)
    assert smollm2.decode(ids) == text


def test_smollm2_lacks_bytes_and_leaves_them_out(smollm2, oracle):
    # 13 of the 21 occur in no UTF-8 at all; the others do.
    assert len(smollm2.missing_bytes) == 21
    assert {4, 6, 0x13, 0x14, 0x16, 0x1D} <= set(smollm2.missing_bytes)
    assert smollm2.encode("a\x04b") == smollm2.encode("a") + smollm2.encode("b")
    for text in strings():
        back = smollm2.decode_bytes(smollm2.encode(text))
        kept = (b for b in text.encode() if b not in smollm2.missing_bytes)
        assert back == bytes(kept)


# --- there and back ------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(TEXTS, st.booleans())
def test_decode_gives_every_text_back(text, use_specials):
    assert SMALL.decode(SMALL.encode(text, use_specials)) == text


@given(
    st.lists(st.sampled_from(["<|", "<|end|>", "<pad>", "end|>", "<", " a", "\x00"]))
)
def test_decode_gives_special_looking_text_back(parts):
    text = "".join(parts)
    for use_specials in (True, False):
        ids = SMALL.encode(text, use_specials)
        assert SMALL.decode(ids) == text
        assert use_specials or max(ids, default=0) < 397


@given(st.text("abc '", max_size=200), st.integers(256, 300))
def test_a_text_trained_on_comes_back(text, vocab_size):
    bpe = ByteBPE.train(text, vocab_size)
    assert bpe.decode(bpe.encode(text)) == text
    assert len(set(bpe.tokens)) == len(bpe) <= vocab_size


def test_decode_gives_all_strings_back():
    for text in strings():
        assert SMALL.decode(SMALL.encode(text)) == text


def test_any_bytes_decode_to_some_text():
    assert SMALL.decode([0xC3]) == "\ufffd"
    assert SMALL.decode([0xC3, 0xA9]) == "é"
    assert SMALL.decode_bytes(range(256)) == bytes(range(256))


def test_the_longest_special_token_wins():
    end, start, pad = (SMALL.specials[s] for s in ("<|end|>", "<|", "<pad>"))
    assert SMALL.encode("<|end|><|<pad>") == [end, start, pad]
    assert SMALL.encode("<|end|")[0] == start
    assert [end, start, pad] == [397, 398, 399]
    other = ByteBPE.train("x", 258, specials=["ab", "b<|long|>"])
    # The one that begins first wins, though the other is longer.
    assert other.decode(other.encode("ab<|long|>")[:1]) == "ab"


# --- training ------------------------------------------------------------------------


def test_training_on_parts_is_training_on_the_whole():
    specials = ["<|end|>", "Ham"]
    text = "<|end|>".join([PLAY[:40_000], GERMAN, CODE, CHINESE, ARABIC])
    whole = ByteBPE.train(text, 600, specials)
    rng = random.Random(0)
    for size in (1, 7, 1000):
        parts, start = [], 0
        while start < len(text):
            end = start + rng.randint(1, 2 * size)
            parts.append(text[start:end])
            start = end
        assert ByteBPE.train(iter(parts), 600, specials).merges == whole.merges
    lines = text.splitlines(keepends=True)
    assert ByteBPE.train(lines, 600, specials).merges == whole.merges


def test_training_from_a_file_reads_pieces(tmp_path, monkeypatch):
    path = tmp_path / "text.txt"
    text = PLAY + "\r\n" + CHINESE * 50
    path.write_bytes(text.encode())
    monkeypatch.setattr("utils.bpe.CHUNK", 1000)
    assert ByteBPE.train_file(path, 500).merges == ByteBPE.train(text, 500).merges
    path.write_bytes(b"a\xff")
    with pytest.raises(ValueError, match="utf-8"):
        ByteBPE.train_file(path, 300)


def test_a_file_needs_memory_for_its_words_only(tmp_path, monkeypatch):
    monkeypatch.setattr("utils.bpe.CHUNK", 1 << 16)
    peaks = []
    for n in (4, 24):  # 0.7 MB and 4.2 MB
        (tmp_path / "text.txt").write_text(PLAY * n, "utf-8")
        tracemalloc.start()
        ByteBPE.train_file(tmp_path / "text.txt", 260)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] < 16e6


def test_no_merge_across_or_inside_special_tokens():
    bpe = ByteBPE.train("abENDabENDab", 300, specials=["END"])
    assert bpe.tokens[256:] == [b"ab", b"END"]
    as_text = ByteBPE.train("abENDabENDab", 300)
    assert b"ENDab" in as_text.tokens


def test_a_small_text_gives_a_small_vocabulary():
    assert len(ByteBPE.train("", 1000)) == 256
    assert len(ByteBPE.train("aaa", 1000)) == 258
    assert ByteBPE.train("aaa", 1000).encode("aaa") == [257]
    assert ByteBPE.train("aaa", 257).encode("aaaaa") == [256, 256, 97]


# --- files ---------------------------------------------------------------------------


def test_saved_and_loaded(tmp_path, smollm2):
    for bpe in (SMALL, smollm2, ByteBPE.train("12", 300, split_digits=True)):
        bpe.save(tmp_path / "bpe.json")
        again = ByteBPE.load(tmp_path / "bpe.json")
        assert vars(again) | {"_cache": {}} == vars(bpe) | {"_cache": {}}
    assert isinstance(json.loads((tmp_path / "bpe.json").read_text("utf-8")), dict)


def test_any_damage_is_noticed(tmp_path):
    path = tmp_path / "bpe.json"
    bpe = ByteBPE.train("low lower lowest", 262, specials=["<end>"])
    bpe.save(path)
    whole = path.read_bytes()
    rng = random.Random(0)
    damaged = [whole[:n] for n in range(0, len(whole), 37)]
    for at in rng.sample(range(len(whole)), 300):
        damaged.append(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    damaged += [b"[]", b"null", b"3", b"{}", b"\xff\xfe", b'{"format": 1}']
    for raw in damaged:
        path.write_bytes(raw)
        with pytest.raises(ValueError, match="save it again"):
            ByteBPE.load(path)


# --- messages ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: SMALL.decode([400]), "from 0 to 399, got 400"),
        (lambda: SMALL.decode([-1]), "got -1"),
        (lambda: SMALL.decode([1.0]), "whole numbers, got 1.0"),
        (lambda: SMALL.decode(["a"]), "whole numbers, got 'a'"),
        (lambda: SMALL.encode(b"a"), "should be a string, got bytes"),
        (lambda: SMALL.encode(["a"]), "should be a string, got list"),
        (lambda: SMALL.encode("\ud800"), "valid Unicode"),
        (lambda: ByteBPE.train("a", 255), "at least 256 bytes and 0 special"),
        (lambda: ByteBPE.train("a", 256, specials=["x"]), "and 1 special"),
        (lambda: ByteBPE.train("a", 300, specials=["x", "x"]), "each once"),
        (lambda: ByteBPE.train("a", 300, specials=[""]), "should be words"),
        (lambda: ByteBPE.train([b"a"], 300), "each part should be a string"),
        (lambda: ByteBPE.from_gguf({}), 'should be "gpt2", is None'),
        (lambda: ByteBPE([b"a", b"a"], []), "b'a' comes twice"),
        (lambda: ByteBPE([b"a", b"b"], [(0, 1)]), "got b'ab'"),
        (lambda: ByteBPE([b"a", b"aa"], [(0, 0), (0, 0)]), "once; got b'aa'"),
        (lambda: ByteBPE([b"a"], [(0, 7)]), "join two tokens"),
        (lambda: ByteBPE([b"a"], [], {"b": 0}), "at its id"),
        (lambda: ByteBPE([b"a"], [], {"a": 3}), "at its id"),
    ],
)
def test_messages(action, message):
    with pytest.raises(ValueError, match=message):
        action()


def test_ids_may_be_a_tensor():
    assert SMALL.decode(torch.tensor(SMALL.encode("to be"))) == "to be"


def test_what_is_no_text_no_list_and_no_count_is_named():
    with pytest.raises(ValueError, match="vocab_size should be a whole number"):
        ByteBPE.train("a b", "300")
    with pytest.raises(ValueError, match="specials should be a list of words"):
        ByteBPE.train("a b", 300, specials="<end>")
    with pytest.raises(ValueError, match="texts should be strings, got None"):
        ByteBPE.train(None, 300)
    with pytest.raises(ValueError, match="ids should be a list of whole numbers"):
        ByteBPE.train("a b", 300).decode(None)
