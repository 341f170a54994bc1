"""How `make site` makes a site of the pages in this directory. No page of it needs anything from another server."""

import re
from typing import Any

from ccm_orchestrator import __version__

project = "ccm-orchestrator"
author = "The ccm-orchestrator authors"
copyright = "the ccm-orchestrator authors, Apache-2.0"
version = release = __version__

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
exclude_patterns = ["conf.py"]
myst_heading_anchors = 4
nitpicky = True

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["openapi.json"]
html_copy_source = False
html_show_sphinx = False
html_use_index = False

_MERMAID = re.compile(r"^```mermaid\n(.*?)^```$", re.M | re.S)
_DRAWN = (
    "![States of an agent](diagrams/agent-states.svg)\n\nWith the signals that lead from each to the next:\n\n```text\n"
)


def _draw(app: Any, name: str, source: list[str]) -> None:
    """Mermaid needs a program of somebody else's in the browser: the site shows our own drawing, and the text."""
    source[0] = _MERMAID.sub(lambda found: f"{_DRAWN}{found[1]}```", source[0])


def setup(app: Any) -> None:
    app.connect("source-read", _draw)
