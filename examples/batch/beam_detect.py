"""Detections of any number of images by Apache Beam: on this machine, Dataflow, Flink or Spark.

    python beam_detect.py --saved_model=EXPORT --images='photos/**' --output=found/shapes
    python beam_detect.py --saved_model=EXPORT --records='train.record-*' --output=found/shapes

Writes found/shapes-detections-….jsonl, a line for each image, and found/shapes-bad-….jsonl, a line with the reason for
each file that is no image. At the end it says how many there were of either. docs/batch.md has the lines for clusters.
"""
import argparse
import json

import apache_beam as beam
from apache_beam.io import fileio
from apache_beam.ml.inference import base
from apache_beam.options import pipeline_options

import od_patch


class Handler(base.ModelHandler):
    """An export of od-patch for RunInference: (name, bytes) in, rows of ``od_patch.Detector`` out."""

    def __init__(self, saved_model, min_score=0.5, batch_size=16, threads=None):
        super().__init__(min_batch_size=1, max_batch_size=4 * batch_size)  # so that each size finds its like
        self._given = dict(saved_model=saved_model, min_score=min_score, batch_size=batch_size, threads=threads)

    def load_model(self):  # once in each process
        return od_patch.Detector(**self._given)

    def run_inference(self, batch, model, inference_args=None):
        return list(model.detect(batch))


def to_output(row):
    kind = 'bad' if row['error'] else 'detections'
    beam.metrics.Metrics.counter('images', kind).inc()
    return beam.pvalue.TaggedOutput(kind, json.dumps(row))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--saved_model', required=True)
    parser.add_argument('--images', help='a pattern of image files')
    parser.add_argument('--records', help='a pattern of TFRecord files of tf.Examples')
    parser.add_argument('--output', required=True)
    parser.add_argument('--min_score', type=float, default=0.5)
    parser.add_argument('--threads', type=int, help='of TensorFlow in each process; default: all cores')
    given, rest = parser.parse_known_args(argv)
    if bool(given.images) == bool(given.records):
        parser.error('give --images or --records')
    pipeline = beam.Pipeline(options=pipeline_options.PipelineOptions(rest))
    if given.records:
        files = (pipeline | beam.io.ReadFromTFRecord(given.records) | beam.Reshuffle()
                 | beam.Map(od_patch.image_of_example))
    else:  # Reshuffle spreads names over the workers; a file is read by who looks at it
        files = (pipeline | fileio.MatchFiles(given.images) | beam.Reshuffle() | fileio.ReadMatches()
                 | beam.Map(lambda file: (file.metadata.path, file.read())))
    rows = (files | base.RunInference(Handler(given.saved_model, given.min_score, threads=given.threads))
            | beam.Map(to_output).with_outputs('detections', 'bad'))
    for kind in ('detections', 'bad'):
        rows[kind] | 'write ' + kind >> beam.io.WriteToText(given.output + '-' + kind, file_name_suffix='.jsonl')
    result = pipeline.run()
    result.wait_until_finish()
    for counter in result.metrics().query(beam.metrics.MetricsFilter().with_namespace('images'))['counters']:
        print('{}: {:,}'.format(counter.key.metric.name, counter.committed))


if __name__ == '__main__':
    main()
