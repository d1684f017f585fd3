"""Local copies of the browser libraries that stored outputs ask a CDN for.

bertviz writes the addresses of require.js, d3 and jQuery into its output. The
notebooks keep them, for Colab; the book and the slides call `localise` so that
a page asks no other host for anything.
"""

import re
import shutil
from pathlib import Path

# path under node_modules: name of the copy in the library folder
LIBRARIES = {
    "requirejs/require.js": "require.min.js",
    "d3/dist/d3.min.js": "d3.min.js",
    "jquery/dist/jquery.min.js": "jquery.min.js",
}

# require.js appends ".js" to the paths of a module, so d3 and jQuery are
# named without it there; a <script src> names the file in full.
_CDN = re.compile(
    r"https?://(?:cdnjs\.cloudflare\.com/ajax/libs|cdn\.jsdelivr\.net/npm|unpkg\.com"
    r"|code\.jquery\.com|d3js\.org)"
    r"/[\w./@+-]*?\b(?P<library>require|d3|jquery)(?:[-.](?:v?\d+(?:\.\d+)*))?"
    r"(?P<min>\.min)?(?P<js>\.js)?(?=['\"\\])"
)


def localise(html: str, lib_prefix: str) -> str:
    r"""Point the CDN addresses in a stored output to local copies.

    Args:
        html: a page, or a piece of one.
        lib_prefix: address of the library folder as seen from the page.

    >>> localise('<script src="https://cdnjs.cloudflare.com/ajax/libs/'
    ...          'require.js/2.3.6/require.min.js"></script>', "lib")
    '<script src="lib/require.min.js"></script>'
    >>> localise("d3: 'https://cdnjs.cloudflare.com/ajax/libs/d3/5.7.0/d3.min',", "lib")
    "d3: 'lib/d3.min',"
    """
    prefix = lib_prefix.rstrip("/")

    def local(found: re.Match) -> str:
        return f"{prefix}/{found['library']}.min{found['js'] or ''}"

    return _CDN.sub(local, html)


def copy_libraries(
    node_modules: Path, destination: Path, libraries: dict[str, str] = LIBRARIES
) -> None:
    """Copy browser libraries, files or whole folders, where they are newer.

    Raises:
        FileNotFoundError: if a library is not installed; says what to run.
    """
    absent = [name for name in libraries if not (node_modules / name).exists()]
    if absent:
        raise FileNotFoundError(
            f"browser libraries should be in {node_modules}, but "
            f"{', '.join(absent)} is absent; run `python -m tools setup`"
        )
    for name, target in libraries.items():
        source = node_modules / name
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if path.is_dir():
                continue
            # for a file, relative_to gives "." and the target is the file itself
            to = destination / target / path.relative_to(source)
            if not to.exists() or to.stat().st_mtime < path.stat().st_mtime:
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, to)
