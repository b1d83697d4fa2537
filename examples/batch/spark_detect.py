"""Detections of any number of images by Apache Spark: mapInPandas, with the model loaded once in each Python worker.

    spark-submit spark_detect.py --saved_model=EXPORT --images=photos/ --output=found/
    python spark_detect.py … --master='local[2]'

Writes Parquet files, found/bad=false/ with the detections and found/bad=true/ with the reason for each file that is no
image, and says how many there are of either. Every executor needs od-patch, TensorFlow and Pillow.
"""
import argparse
import os
import sys

import pandas
from pyspark.sql import SparkSession

import od_patch

SCHEMA = ('file string, width int, height int, error string, detections array<struct<class: int, name: string, '
          'score: double, box: array<double>>>, bad string')
_detectors = {}  # of this process: Spark keeps its Python workers for the tasks to come


def detect(frames, saved_model, min_score, threads):
    """Yields frames of ``SCHEMA`` for frames of path and content."""
    key = saved_model, min_score, threads
    if key not in _detectors:
        _detectors[key] = od_patch.Detector(saved_model, min_score=min_score, batch_size=16, threads=threads)
    files = ((path, bytes(content)) for frame in frames for path, content in zip(frame['path'], frame['content']))
    for row in _detectors[key].detect(files):
        row['bad'] = 'true' if row['error'] else 'false'
        yield pandas.DataFrame([row]).astype({'width': 'Int32', 'height': 'Int32'})


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--saved_model', required=True)
    parser.add_argument('--images', required=True, help='a folder; those below it belong to it')
    parser.add_argument('--output', required=True)
    parser.add_argument('--min_score', type=float, default=0.5)
    parser.add_argument('--threads', type=int, default=1, help='of TensorFlow in each worker')
    parser.add_argument('--master', help='such as local[2]; default: what spark-submit says')
    given = parser.parse_args(argv)
    os.environ.setdefault('PYSPARK_PYTHON', sys.executable)  # else local workers run whatever python3 is
    builder = SparkSession.builder.appName('od-patch')
    # Pixels take far more than files: an Arrow batch is what a worker is given at once.
    builder = builder.config('spark.sql.execution.arrow.maxRecordsPerBatch', 64)
    spark = (builder.master(given.master) if given.master else builder).getOrCreate()
    files = (spark.read.format('binaryFile').option('recursiveFileLookup', 'true').load(given.images)
             .select('path', 'content'))
    files.mapInPandas(
        lambda frames: detect(frames, given.saved_model, given.min_score, given.threads), SCHEMA).write.partitionBy(
            'bad').parquet(given.output)
    counts = spark.read.parquet(given.output).groupBy('bad').count().collect()
    counts = {str(row['bad']).lower(): row['count'] for row in counts}
    for kind, bad in (('detections', 'false'), ('bad', 'true')):
        print('{}: {:,}'.format(kind, counts.get(bad, 0)))
    spark.stop()


if __name__ == '__main__':
    main()
