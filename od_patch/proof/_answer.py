"""What a proof found: checks in four parts, the verdict that follows from them, and the same as JSON.

Not for: finding it, nor for showing it.
"""
import collections
import typing

from od_patch import _version

SCHEMA = 1
PARTS = ('files', 'weights', 'outputs', 'portability')

OK = 'ok'
NOTE = 'note'
WRONG = 'wrong'
SKIPPED = 'not checked'

SAME = 'the same'
NOT_THE_SAME = 'not the same'
NOTHING = 'nothing to compare'


class Check(typing.NamedTuple):
    """One question and its answer."""

    part: str  # one of ``PARTS``
    name: str  # what was looked at, such as 'saved_model.pb'
    status: str  # 'ok'; 'note' (worth knowing, and no fault); 'wrong'; 'not checked'
    text: str  # what was found, in words
    details: typing.Tuple[str, ...] = ()  # one a line: the variables, nodes or outputs that it is about


class Answer:
    """What ``verify`` found.

    Attributes:
        subject: ``Subject``.
        checks: list of ``Check``.
        runs: list of ``_outputs.Run``: both models on the same images.
        pictures: list of ``_images.Picture`` that they ran on.
        seconds: float; tensorflow: str, the version that it ran under.
    """

    def __init__(self, subject):
        self.subject = subject
        self.checks, self.runs, self.pictures = [], [], []
        self.seconds, self.tensorflow = 0.0, ''

    def of(self, part):
        """The checks of one part."""
        return [check for check in self.checks if check.part == part]

    @property
    def wrong(self):
        return [check for check in self.checks if check.status == WRONG]

    @property
    def verdict(self):
        if self.wrong:
            return NOT_THE_SAME
        compared = any(check.status == OK and check.part in ('weights', 'outputs') for check in self.checks)
        return SAME if compared else NOTHING

    @property
    def exit_code(self):
        """0 all the same, 1 something is not; 2 where there was nothing that could be compared."""
        return {SAME: 0, NOT_THE_SAME: 1, NOTHING: 2}[self.verdict]

    @property
    def counts(self):
        """Status -> number of checks."""
        return collections.Counter(check.status for check in self.checks)

    def as_json(self):
        """Plain dicts and lists as docs/verify.md describes them."""
        counts = self.counts
        return collections.OrderedDict([
            ('schema', SCHEMA), ('verdict', self.verdict), ('od_patch', _version.__version__),
            ('tensorflow', self.tensorflow), ('seconds', round(self.seconds, 3)),
            ('subject', self.subject.as_json()),
            ('counts', collections.OrderedDict(
                (status, counts[status]) for status in (OK, NOTE, WRONG, SKIPPED))),
            ('checks', [collections.OrderedDict([
                ('part', check.part), ('name', check.name), ('status', check.status), ('text', check.text),
                ('details', list(check.details))]) for check in self.checks]),
            ('images', [picture.as_json() for picture in self.pictures]),
            ('runs', [run.as_json() for run in self.runs])])


def number(count, noun):
    """'1 variable', '2 variables'."""
    return '{:,} {}{}'.format(count, noun, '' if count == 1 else 's')


def few(names, most=4):
    """The first names of many, as a list in words."""
    names = list(names)
    return ', '.join(names[:most]) + (', … ({:,} in all)'.format(len(names)) if len(names) > most else '')
