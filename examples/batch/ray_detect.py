"""Detections of any number of images by Ray Data: an actor for each worker, which loads the model once.

    python ray_detect.py --saved_model=EXPORT --images=photos/ --output=found/ --workers=2

Writes Parquet files, found/bad=false/ with the detections and found/bad=true/ with the reason for each file that is no
image, and says how many there are of either.
"""
import argparse

import pyarrow
import pyarrow.dataset
import ray

import od_patch

_DETECTION = pyarrow.struct([('class', pyarrow.int32()), ('name', pyarrow.string()), ('score', pyarrow.float64()),
                             ('box', pyarrow.list_(pyarrow.float64()))])
SCHEMA = pyarrow.schema([('file', pyarrow.string()), ('width', pyarrow.int32()), ('height', pyarrow.int32()),
                         ('error', pyarrow.string()), ('detections', pyarrow.list_(_DETECTION)),
                         ('bad', pyarrow.string())])


class Detect:
    """What an actor does with a batch of files."""

    def __init__(self, **given):
        self._detector = od_patch.Detector(**given)

    def __call__(self, batch):
        rows = list(self._detector.detect(zip(batch['path'], batch['bytes'])))
        for row in rows:
            row['bad'] = 'true' if row['error'] else 'false'
        return pyarrow.Table.from_pylist(rows, schema=SCHEMA)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--saved_model', required=True)
    parser.add_argument('--images', required=True, help='a folder; those below it belong to it')
    parser.add_argument('--output', required=True)
    parser.add_argument('--min_score', type=float, default=0.5)
    parser.add_argument('--workers', type=int, default=1)
    parser.add_argument('--cpus', type=int, default=1, help='cores, and threads of TensorFlow, of each worker')
    given = parser.parse_args(argv)
    detector = dict(saved_model=given.saved_model, min_score=given.min_score, batch_size=16, threads=given.cpus)
    files = ray.data.read_binary_files(given.images, include_paths=True, partitioning=None)
    found = files.map_batches(
        Detect, fn_constructor_kwargs=detector, batch_size=64, num_cpus=given.cpus,
        compute=ray.data.ActorPoolStrategy(size=given.workers))
    found.write_parquet(given.output, partition_cols=['bad'])
    written = pyarrow.dataset.dataset(given.output, format='parquet', partitioning='hive', schema=SCHEMA)
    for kind, bad in (('detections', 'false'), ('bad', 'true')):
        print('{}: {:,}'.format(kind, written.count_rows(filter=pyarrow.dataset.field('bad') == bad)))


if __name__ == '__main__':
    main()
