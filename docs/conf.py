"""How Sphinx builds the documentation; see ``make docs``."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import htrun

sys.path.insert(0, str(Path(__file__).with_name("_ext")))

project = "htrun"
author = "the htrun developers"
copyright = author  # noqa: A001 (Sphinx's name)
version = release = htrun.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "htrun_docs"]
smartquotes = False  # it would make dashes of the hyphens before options
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(Any|Path|(collections|datetime|enum|os|pathlib|traceback|typing)\..*)"),  # no network, no links there
    ("py:.*", r"(File|Inputs|Record|T|Timeout)"),  # names in annotations for what the text tells
    ("py:.*", r"[a-z ]+"),  # words: "iterable of str, optional"
]

# Pages. Headings have the anchors that GitHub gives them, so that links work in both places.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]
myst_links_external_new_tab = False

# Notebooks are kept without outputs: what the pages show comes of executing them now, on this machine.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # they would be loaded from elsewhere
state = tempfile.TemporaryDirectory(prefix="htrun-docs-")
os.environ.update(HTRUN_ENGINE="local", HTRUN_DIR=state.name)

# The API, from the signatures and the numpy docstrings.
napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_member_order = "groupwise"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"

# What is copied from a page: commands without their prompt, and not what they print.
copybutton_prompt_text = r"\$ |> |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"

html_theme = "furo"
html_title = f"htrun {version}"
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}
html_static_path = ["_static"]
html_css_files = ["htrun.css"]

# The manual page is of one document, which no other builder is to see (make docs gives the tag).
man_pages = [("man", "htrun", "map a Python function over many inputs, here or on an HTCondor pool", [author], 1)]
if tags.has("man"):  # noqa: F821 (Sphinx puts it here)
    root_doc = "man"
    include_patterns = ["man.md"]
else:
    exclude_patterns = ["man.md"]
