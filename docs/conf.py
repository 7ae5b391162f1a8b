"""The site, for `make docs`: Sphinx with MyST-NB.

Every code cell is executed, nothing is fetched, and a warning is an error. Sphinx with MyST-NB is what JAX, optax, flax
and dynamax have; equinox and diffrax have MkDocs, whose pages do not execute their code.
"""

import os
import shutil
import sys
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "lpmjax"
author = "The lpmjax developers"
copyright = author
release = metadata.version("lpmjax")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "docstrings", "references", "theory"]
exclude_patterns = ["_ext", "_ipython", "_static"]
nitpicky = True

# Pages. A link to a file outside `docs` leads to the page that holds it.
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
_PAGE_OF = {
    "(../proofs/THEOREMS.md)": "(theory/index.md)",
}

# Cells. `force` runs them all at every build: no number of an older library is shown. What jax has compiled may be
# older, since its cache is keyed by the program. A cell that raises or writes to standard error breaks the build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_output_stderr = "remove-warn"
nb_merge_streams = True
nb_ipywidgets_js = {}  # no cell makes widgets, and these scripts would be fetched by readers
_BUILD = HERE.parent / "build"
shutil.copytree(HERE / "_ipython", _BUILD / "ipython", dirs_exist_ok=True)  # in the place of the user's own
os.environ.update(
    IPYTHONDIR=str(_BUILD / "ipython"),
    JAX_PLATFORMS="cpu",
    JAX_COMPILATION_CACHE_DIR=str(_BUILD / "jax"),
    JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
    COLUMNS="80",
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
)

autodoc_typehints = "none"  # shapes stand in the text; annotations of jaxtyping are not for readers
autodoc_member_order = "bysource"
add_module_names = False

html_theme = "furo"
html_title = f"lpmjax {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
mathjax_path = "mathjax/tex-chtml-full.js"


def _copy_mathjax(app, failed):
    """MathJax beside the pages, so that they load nothing from elsewhere: the one script and its fonts."""
    if failed or app.builder.format != "html":
        return
    package = "sphinx-mathjax-offline"
    source = Path(str(metadata.distribution(package).locate_file(package))) / "static" / "mathjax"
    target = Path(app.outdir) / "_static" / "mathjax"
    fonts = Path("output", "chtml", "fonts", "woff-v2")
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(source / "tex-chtml-full.js", target)
    shutil.copytree(source / fonts, target / fonts, dirs_exist_ok=True)


def _lead_to_pages(app, name, content):
    for link, page in _PAGE_OF.items():
        content[0] = content[0].replace(link, page)


def setup(app):
    """Sphinx calls it."""
    app.connect("source-read", _lead_to_pages)
    app.connect("build-finished", _copy_mathjax)
