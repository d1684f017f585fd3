"""Results of experiments that take longer than a chapter may.

Each was written by `python -m tools experiment NAME`, which runs it again.
"""

import json
from importlib.resources import files


def load_record(name: str) -> dict:
    """Read the recorded results of an experiment.

    Args:
        name: such as "attention"; `python -m tools experiment --help` lists all.

    Returns:
        The command, seeds, settings and seconds, and the results under "runs".

    Raises:
        ValueError: if there is no such record.
    """
    folder = files("utils") / "records"
    path = folder / f"{name}.json"
    if not path.is_file():
        have = sorted(f.name.removesuffix(".json") for f in folder.iterdir())
        raise ValueError(
            f"name should be one of {', '.join(have)}, got {name!r}: "
            f"`python -m tools experiment {name}` may write it"
        )
    return json.loads(path.read_text(encoding="utf-8"))
