"""Pages of HTML that are one file: a template beside the module that fills it, and the style that all pages share.

Not for: what is on a page.
"""
import os

_STYLE = os.path.join(os.path.dirname(__file__), 'page.css')


def write(path, template, **parts):
    """Writes a page.

    Args:
        path: str, the file to write.
        template: str, path of an HTML file with ``@STYLE@`` and a mark for each part.
        parts: dict from name to markup, str, for a mark each, such as ``@TITLE@`` for ``title``. They are filled in one
            after the other, so what comes out of a file belongs in the last, where nothing more is filled in.
    """
    texts = []
    for name in (template, _STYLE):
        with open(name, encoding='utf-8') as file:
            texts.append(file.read())
    page = texts[0].replace('@STYLE@', texts[1])
    for name, part in parts.items():
        page = page.replace('@{}@'.format(name.upper()), part)
    with open(path, 'w', encoding='utf-8', newline='\n') as file:
        file.write(page)
