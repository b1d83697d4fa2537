"""Writes one ``<release>.patch`` per pinned release, from the table in ``od_patch/releases/_releases.py``.

    python patches/generate.py          # writes them
    python patches/generate.py --check  # exits with 1 where one is missing or another

A patch only adds lines at the end of ``exporter.py``, so it holds none of
upstream's text and the source is not needed to make it: the line count and the
two blob ids of the table are enough.
"""
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(_HERE))

from od_patch.releases import _releases  # noqa: E402  pylint: disable=wrong-import-position

_PATH = 'research/object_detection/exporter.py'


def patch_text(release):
    """Returns the text of a release's patch.

    Args:
        release: ``_releases.Release``.
    """
    added = _releases.PATCH_TRAILER.decode('ascii').splitlines()
    return '\n'.join(
        ['diff --git a/{0} b/{0}'.format(_PATH),
         'index {}..{} 100644'.format(release.exporter_blob, release.patched_blob),
         '--- a/' + _PATH,
         '+++ b/' + _PATH,
         '@@ -{0},0 +{1},{2} @@'.format(release.line_count, release.line_count + 1, len(added))] +
        ['+' + line for line in added]) + '\n'


def main(arguments):
    """Writes or checks the patches; returns the exit code."""
    wrong = []
    for release in _releases.RELEASES:
        path = os.path.join(_HERE, release.name + '.patch')
        if '--check' in arguments:
            if not os.path.exists(path) or open(path, encoding='utf-8').read() != patch_text(release):
                wrong.append(path)
            continue
        with open(path, 'w', encoding='utf-8', newline='\n') as patch_file:
            patch_file.write(patch_text(release))
    for path in wrong:
        print('{} is not what the table says; run python patches/generate.py'.format(path))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
