"""One reason for which two graphs differ."""

# What a cause does to the result, worst first.
EFFECTS = ('weights', 'result', 'interface', 'unknown', 'numeric', 'cosmetic')


class Cause:
    """One reason for which two graphs differ.

    Attributes:
        kind: str, a stable word for it (the table is in docs/compare.md).
        title: str, one sentence.
        effect: str, one of ``EFFECTS``.
        scope: str, where: the innermost name scope that holds it.
        left, right: sorted lists of positions in the rewritten graphs.
        option: str, what in pipeline.config or on the command line makes it; may be empty.
        revision: str, which revision of the OD API, or tool, makes it; may be empty.
        values: tuple (left, right) or None: what a setting is on the two sides.
    """

    def __init__(self, kind, title, effect, left=(), right=(), scope='', option='', revision='', values=None,
                 detail=None):
        self.kind, self.title, self.effect = kind, title, effect
        self.left, self.right = sorted(set(left)), sorted(set(right))
        self.scope, self.option, self.revision, self.values = scope, option, revision, values
        self.detail = detail or {}

    @property
    def side(self):
        """'both', 'left' or 'right': which graph holds nodes of it."""
        if self.left and self.right:
            return 'both'
        return 'left' if self.left else 'right' if self.right else 'both'

    @property
    def cosmetic(self):
        return self.effect == 'cosmetic'
