"""The console that everything is shown on: what files say is shown as it is, and nothing in it is obeyed.

Not for: what to show; ``_summary`` and ``compare/_report`` do that.
"""
import rich.console
import rich.segment

from od_patch import _text


class Console(rich.console.Console):
    """A rich console without markup in its strings, and with the controls in them written out."""

    def __init__(self, **options):
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render(self, renderable, options=None):
        for segment in super().render(renderable, options):
            if not segment[2]:  # else it is a control sequence of rich's own
                text = _text.plain(segment[0])
                if text != segment[0]:
                    segment = rich.segment.Segment(text, segment[1])
            yield segment


def of_width(most, stream=None, piped=None):
    """A console as wide as its terminal, of ``most`` columns at most; else of ``piped``, default ``most``, columns."""
    made = Console(file=stream, soft_wrap=False)
    width = min(most, made.width) if made.is_terminal else piped or most
    return Console(file=stream, width=width)


def show_refusal(error, stream):
    """Prints a refusal: what is wrong, and what to do."""
    console = Console(file=stream, soft_wrap=True)
    console.print(rich.text.Text.assemble(('od-patch: ', 'bold red'), error.problem))
    if error.remedy:
        console.print(rich.text.Text(error.remedy))
