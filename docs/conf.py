"""Sphinx configuration: Markdown pages in furo; `sphinx-build -W -b html docs docs/_build`."""

project = "ProMed"
author = "The ProMed developers"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "ProMed"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
napoleon_use_ivar = True  # attributes are described once, in the class's docstring
default_role = "code"  # `name` in docstrings is code, as in Markdown
napoleon_custom_sections = [
    "Description", "Action Space", "Observation", "Rewards", "Termination", "Registered Configurations",
]  # fmt: skip
