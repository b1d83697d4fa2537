"""Which heading of docs/troubleshooting.md a message is found under: a reader searches that page for what they see.

What stands between « » there, and «…» alone, stands for anything; a heading may have several texts, between commas and
semicolons.

Not for: what a page says under its headings.
"""
import os
import re

_PAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                     'docs', 'troubleshooting.md')


def patterns():
    """Returns {heading: [compiled pattern of each of its texts]}."""
    with open(_PAGE, encoding='utf-8') as page:
        headings = re.findall('^### (.*)$', page.read(), re.MULTILINE)
    return {heading: [re.compile(_pattern(text), re.IGNORECASE) for text in re.split('; |, or (?=[A-Z-])', heading) if text]
            for heading in headings}


def of(message):
    """Returns the headings that a message is found under, a list of str."""
    said = ' '.join(message.split())
    return [heading for heading, texts in patterns().items() if any(text.search(said) for text in texts)]


def _pattern(text):
    parts = re.split('«[^»]*»|…', text.strip().rstrip('.'))
    return '.+?'.join(re.escape(part) for part in parts)
