"""Git repositories of the models repo's shape: of the vintages, and of small exporters that differ in what is asked.

Not for: what a release exports; ``tests/compare/test_regenerated.py`` runs the vintages.
"""
import os
import subprocess

from od_patch.releases import _releases
from tests.support import exports

API, NETS = 'research/object_detection', 'research/slim/nets'
_IDENTITY = ['-c', 'user.name=Tests', '-c', 'user.email=tests@example.com', '-c', 'commit.gpgsign=false',
             '-c', 'core.autocrlf=false']


def git(folder, *arguments, date='2019-01-01'):
    """Runs git in a folder; returns what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith('GIT_')}
    moment = date if ':' in date else date + 'T12:00:00+0000'
    environment.update(GIT_AUTHOR_DATE=moment, GIT_COMMITTER_DATE=moment, GIT_CONFIG_NOSYSTEM='1')
    done = subprocess.run(['git'] + _IDENTITY + ['-C', str(folder)] + list(arguments), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env=environment)
    assert done.returncode == 0, done.stdout.decode()
    return done.stdout.decode().strip()


def commit(folder, files, date, message='Change'):
    """Writes {path: text or bytes; None removes it} and commits it; returns the hash."""
    for path, text in files.items():
        target = os.path.join(str(folder), *path.split('/'))
        if text is None:
            os.remove(target)
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, 'wb') as file:
            file.write(text if isinstance(text, bytes) else text.encode('utf-8'))
    git(folder, 'add', '--all')
    git(folder, 'commit', '--quiet', '--allow-empty', '-m', message, date=date)
    return git(folder, 'rev-parse', 'HEAD')


def empty(folder):
    """Makes an empty repository; returns its path as str."""
    os.makedirs(str(folder), exist_ok=True)
    git(folder, 'init', '--quiet')
    return str(folder)


def of_vintages(folder, vintages='ABC', only=''):
    """A repository with a commit for each vintage, at its date, of files that end so; returns {vintage: hash}."""
    empty(folder)
    names = {letter: name for name, letter in _releases.VINTAGES.items()}
    found = {}
    for vintage in vintages:
        release = next(row for row in _releases.RELEASES if row.name == names[vintage])
        subprocess.run(['git', '-C', str(folder), 'rm', '-r', '-q', '--ignore-unmatch', '.'], check=True)
        found[vintage] = commit(folder, _files(exports.research(vintage)[0], only), release.date, vintage)
    return found


def _files(research, only):
    files = {}
    for package, place in (('object_detection', API), ('nets', NETS)):
        for folder, _, names in os.walk(os.path.join(research, package)):
            for name in names:
                if name.endswith('.py') and name.endswith(only):
                    path = os.path.join(folder, name)
                    with open(path, 'rb') as file:
                        text = file.read().replace(b'\r\n', b'\n')  # as the history has them
                    files['{}/{}'.format(place, os.path.relpath(path, os.path.join(research, package)))] = text
    return files


# An exporter of two variables, with the flags of the release's; {change} stands where revisions differ.
EXPORTER = '''
import argparse
import os
import sys
import tensorflow as tf
parser = argparse.ArgumentParser()
for flag in ('input_type', 'input_shape', 'pipeline_config_path', 'trained_checkpoint_prefix', 'output_directory'):
    parser.add_argument('--' + flag)
options = parser.parse_args()
open(os.environ.get('HOME', '/') + '/ran', 'a').write(repr((sorted(os.environ), sys.path, os.getcwd())) + '\\n')
graph = tf.Graph()
with graph.as_default():
    image = tf.placeholder(tf.uint8, [None, None, None, 3], name='image_tensor')
    total = tf.reduce_mean(tf.cast(image, tf.float32), axis=[1, 2])
    reader = tf.train.NewCheckpointReader(options.trained_checkpoint_prefix)
    weights = tf.constant(reader.get_tensor('layer/weights'), name='layer/weights')
    {change}
    tf.identity(total, name='detection_boxes')
    tf.reduce_sum(total, axis=1, name='num_detections')
os.makedirs(options.output_directory)
with open(os.path.join(options.output_directory, 'frozen_inference_graph.pb'), 'wb') as file:
    file.write(graph.as_graph_def().SerializeToString())
'''


def small(folder, changes, first='2018-01-01'):
    """A repository of small exporters, a commit for each of ``changes`` (lines of Python), ten days apart."""
    import datetime
    empty(folder)
    begin = datetime.datetime.strptime(first, '%Y-%m-%d')
    found = []
    for number, change in enumerate(changes):
        date = (begin + datetime.timedelta(days=10 * number)).strftime('%Y-%m-%d')
        found.append(commit(folder, {
            API + '/__init__.py': '', NETS + '/__init__.py': '# {}\n'.format(number),
            API + '/export_inference_graph.py': EXPORTER.replace('{change}', change)}, date))
    return found
