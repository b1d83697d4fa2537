"""Sphinx settings of the documentation site; ``tools/site.py`` makes what they are used on."""
import od_patch

project = 'od-patch'
author = 'the od-patch authors'
copyright = author  # pylint: disable=redefined-builtin
release = od_patch.__version__

extensions = ['myst_parser', 'sphinx_copybutton']
source_suffix = {'.md': 'markdown'}
exclude_patterns = ['docs/site']
# GitHub makes an anchor of every heading, and pages link to those.
myst_heading_anchors = 4
myst_enable_extensions = ['colon_fence']

html_theme = 'furo'
html_title = 'od-patch ' + release
html_static_path = []
html_show_sourcelink = False
html_copy_source = False
copybutton_exclude = '.linenos, .gp'
