"""The programs of examples/batch, as a user starts them: each gives the detections of a single process.

Not for: batches, sizes and memory (``tests/serving/test_batch``).
"""
import glob
import json
import os
import re
import subprocess
import sys

import numpy
import pytest

import od_patch

pyarrow = pytest.importorskip('pyarrow')

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(od_patch.__file__)))
# Ray gives its own processes 30 seconds to start, and on a machine with other work to do that is too little.
_RAY_WAS_LATE = 'timed out during startup'


def started(program, *arguments):
    """Runs a program of examples/batch; returns what it printed."""
    environment = dict(os.environ, PYTHONPATH=_PACKAGE, TF_CPP_MIN_LOG_LEVEL='2', RAY_USAGE_STATS_ENABLED='0')
    for _ in range(3):
        result = subprocess.run(
            [sys.executable, os.path.join(_ROOT, 'examples', 'batch', program)] + list(arguments), env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, universal_newlines=True,
            timeout=800)
        if result.returncode == 0 or _RAY_WAS_LATE not in result.stderr:
            break
    assert result.returncode == 0, result.stderr[-4000:]
    return result.stdout


def lines_of(pattern):
    """The rows in all files of JSON lines of a pattern."""
    rows = []
    for path in glob.glob(pattern):
        with open(path, encoding='utf-8') as file:
            rows += [json.loads(line) for line in file]
    return rows


def parquet_rows(folder):
    """(detections, bad) of a folder of Parquet files that is divided by the column ``bad``."""
    import pyarrow.dataset
    return tuple(pyarrow.dataset.dataset(os.path.join(folder, 'bad=' + bad), format='parquet').to_table().to_pylist()
                 for bad in ('false', 'true'))


def check(detections, bad, expected, told, images, never_seen=()):
    """Whether these are the rows of a single process, and the printed counts theirs."""
    def below(row):
        path = re.sub(r'^file:/*', '/', row['file'])
        return os.path.relpath(path, images) if os.path.isabs(path) else path
    whole = {name for name, row in expected.items() if row['error'] is None}
    assert sorted(map(below, detections)) == sorted(whole)
    assert sorted(map(below, bad)) == sorted(set(expected) - whole - set(never_seen))
    assert len(whole) == 12 and len(expected) == 15
    assert 'detections: {}\nbad: {}\n'.format(len(detections), len(bad)) in told
    for row in bad:
        assert 'is no image' in row['error'] and not row['detections']
    classes = set()
    for row in detections:
        alone = expected[below(row)]
        assert [row[key] for key in ('width', 'height', 'error')] == [alone[key] for key in ('width', 'height', 'error')]
        for key in ('class', 'name'):
            assert [found[key] for found in row['detections']] == [found[key] for found in alone['detections']]
        for key in ('score', 'box'):
            numpy.testing.assert_allclose([found[key] for found in row['detections']],
                                          [found[key] for found in alone['detections']], atol=1e-4)
        classes.update(found['name'] for found in row['detections'])
    assert classes == {'circle', 'square', 'triangle', 'star'}


def test_beam(export, images, expected, tmp_path):
    told = started('beam_detect.py', '--saved_model=' + export, '--images=' + images + '/**',
                   '--output={}/shapes'.format(tmp_path))
    check(lines_of('{}/shapes-detections-*.jsonl'.format(tmp_path)), lines_of('{}/shapes-bad-*.jsonl'.format(tmp_path)),
          expected, told, images)


def test_beam_on_records(export, images, expected, tmp_path):
    import tensorflow
    for shard in (0, 1):
        with tensorflow.io.TFRecordWriter('{}/train.record-{}'.format(tmp_path, shard)) as writer:
            for name in sorted(expected)[shard::2]:
                example = tensorflow.train.Example()
                features = example.features.feature
                features['image/filename'].bytes_list.value.append(name.encode('utf-8'))
                with open(os.path.join(images, name), 'rb') as file:
                    features['image/encoded'].bytes_list.value.append(file.read())
                writer.write(example.SerializeToString())
    told = started('beam_detect.py', '--saved_model=' + export, '--records={}/train.record-*'.format(tmp_path),
                   '--output={}/shapes'.format(tmp_path))
    check(lines_of('{}/shapes-detections-*.jsonl'.format(tmp_path)), lines_of('{}/shapes-bad-*.jsonl'.format(tmp_path)),
          expected, told, images)


def test_ray(export, images, expected, tmp_path):
    told = started('ray_detect.py', '--saved_model=' + export, '--images=' + images, '--output={}/ray'.format(tmp_path))
    check(*parquet_rows('{}/ray'.format(tmp_path)), expected, told, images)


def test_spark(export, images, expected, tmp_path):
    told = started('spark_detect.py', '--saved_model=' + export, '--images=' + images, '--master=local[1]',
                   '--output={}/spark'.format(tmp_path))
    # Spark's source never shows a file without a byte: docs/batch.md says so.
    check(*parquet_rows('{}/spark'.format(tmp_path)), expected, told, images, never_seen=['empty.png'])
