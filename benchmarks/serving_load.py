#!/usr/bin/env python
"""How long requests to a served detector take: the first one, and then on, with warm-up requests and without.

    python -m benchmarks.serving_load [--requests 200] [--concurrency 1,4] [--rounds 3]
    OD_PATCH_TFS=/path/to/tensorflow_model_server python -m benchmarks.serving_load
    python -m benchmarks.serving_load --table     # writes docs/serving.md again from results/serving_load.json

Exports the shapes detector, publishes it, and starts a server on loopback: tensorflow_model_server where OD_PATCH_TFS
names one, which runs the warm-up requests of the SavedModel before it serves; else tfserver of the package index, which
does not know of them, so that they are sent to it as the first requests, and not counted. Each round starts a server of
its own.

Asked over gRPC; never more than so many requests at a time, and so many in all. Needs requirements/serving.txt.
"""
import argparse
import collections
import concurrent.futures
import contextlib
import json
import os
import platform
import statistics
import sys
import tempfile
import time

from tools import readers

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RESULTS = os.path.join(ROOT, 'benchmarks', 'results', 'serving_load.json')
MARK = '<!-- load: python -m benchmarks.serving_load -->', '<!-- /load -->'
MOST_REQUESTS, MOST_CONCURRENT = 5000, 16
_MODEL = 'shapes'

DOCUMENT = readers.DOCUMENT


def published(folder):
    """Exports and publishes the detector with warm-up requests; returns (base of versions, [``PredictRequest``])."""
    from tensorflow_serving.apis import prediction_log_pb2
    from od_patch import _tensorflow
    from od_patch.serving import _publish
    from od_patch.serving import _warmup
    export = readers.export('resource', os.path.join(folder, 'export'))
    base = os.path.join(folder, 'models', _MODEL)
    _publish.publish(export, _publish.PublishRequest(base), lambda copy: _warmup.write(copy, []))
    requests = []
    for record in _tensorflow.tf1().python_io.tf_record_iterator(os.path.join(base, '1', _warmup.FILE)):
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        request.model_spec.name = _MODEL
        request.model_spec.signature_name = request.model_spec.signature_name or 'serving_default'
        requests.append(request)
    return base, requests


@contextlib.contextmanager
def serving(base, warm):
    """Context: ``Server`` of a fresh one; without warm-up, on a version that has no such requests."""
    import shutil
    from od_patch.serving import _warmup
    from tests.serving import servers
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        models = os.path.join(folder, 'models')
        shutil.copytree(os.path.dirname(base), models)
        if not warm:
            os.remove(os.path.join(models, _MODEL, '1', _warmup.FILE))
        work = os.path.join(folder, 'server')
        os.mkdir(work)
        if servers.TFS:
            with servers.tensorflow_model_server({_MODEL: os.path.join(models, _MODEL)}, work) as server:
                yield server
        else:
            with servers.tfserver(models, work) as server:
                yield server


def measure(base, requests, warm, count, concurrent_requests):
    """Returns {'first': seconds, 'steady': {concurrency: [seconds]}, 'per_second': {concurrency: requests}}."""
    import grpc
    from tensorflow_serving.apis import prediction_service_pb2_grpc
    from tests.serving import servers
    with serving(base, warm) as server, grpc.insecure_channel(
            '127.0.0.1:{}'.format(server.grpc_port), [('grpc.max_receive_message_length', -1)]) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        grpc.channel_ready_future(channel).result(timeout=60)

        def ask(number):
            began = time.perf_counter()
            stub.Predict(requests[number % len(requests)], 120)
            return time.perf_counter() - began
        if warm and not servers.TFS:
            for number in range(len(requests)):
                ask(number)
        found = {'first': ask(0), 'steady': {}, 'per_second': {}}
        for width in concurrent_requests:
            with concurrent.futures.ThreadPoolExecutor(width) as pool:
                began = time.perf_counter()
                found['steady'][width] = list(pool.map(ask, range(count)))
                found['per_second'][width] = count / (time.perf_counter() - began)
        return found


def run(options):
    """Returns what benchmarks/results/serving_load.json holds."""
    import tensorflow
    from tests.serving import servers
    widths = [int(width) for width in options.concurrency.split(',')]
    if not 0 < options.requests <= MOST_REQUESTS or not all(0 < width <= MOST_CONCURRENT for width in widths):
        sys.exit('No more than {} requests, {} at a time.'.format(MOST_REQUESTS, MOST_CONCURRENT))
    results = collections.OrderedDict([
        ('server', 'tensorflow_model_server' if servers.TFS else 'tfserver 0.3.10'),
        ('tensorflow', tensorflow.__version__),
        ('python', platform.python_version()), ('processors', os.cpu_count()), ('requests', options.requests),
        ('rounds', options.rounds), ('rows', [])])
    with tempfile.TemporaryDirectory() as folder:
        base, requests = published(folder)
        results['request_bytes'] = max(request.ByteSize() for request in requests)
        for warm in (False, True):
            rounds = [measure(base, requests, warm, options.requests, widths) for _ in range(options.rounds)]
            row = collections.OrderedDict([
                ('warm_up', warm), ('first_ms', [round(1000 * one['first'], 1) for one in rounds]), ('steady', [])])
            for width in widths:
                times = sorted(1000 * seconds for one in rounds for seconds in one['steady'][width])
                row['steady'].append(collections.OrderedDict([
                    ('concurrency', width), ('median_ms', round(statistics.median(times), 1)),
                    ('p95_ms', round(times[int(0.95 * (len(times) - 1))], 1)), ('largest_ms', round(times[-1], 1)),
                    ('per_second', round(statistics.median(one['per_second'][width] for one in rounds), 1))]))
            results['rows'].append(row)
            print(json.dumps(row))
    return results


def table(results):
    """The lines of the document, from what was measured."""
    widths = [one['concurrency'] for one in results['rows'][0]['steady']]
    head = ['', 'first request'] + ['{} at a time: median, 95th percentile'.format(width) for width in widths] + [
        'requests a second, {} at a time'.format(width) for width in widths]
    lines = ['| ' + ' | '.join(head) + ' |', '|---' * len(head) + '|']
    for row in results['rows']:
        cells = ['with warm-up' if row['warm_up'] else 'without warm-up',
                 '{:.0f} ms'.format(statistics.median(row['first_ms']))]
        cells += ['{median_ms:.0f} ms, {p95_ms:.0f} ms'.format(**one) for one in row['steady']]
        cells += ['{per_second:.0f}'.format(**one) for one in row['steady']]
        lines.append('| ' + ' | '.join(cells) + ' |')
    return lines + ['', (
        '{server}, TensorFlow {tensorflow}, Python {python}, {processors} processors, shared with other work; gRPC on '
        'loopback, requests of {request_bytes:,} bytes (480 x 360 pixels), {requests} of them at each width in each of '
        '{rounds} rounds; the first request: the median of the rounds.').format(**results)]


def in_document(text, results):
    """Returns the document with the table between its marks."""
    return readers.between(text, MARK, table(results))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--requests', type=int, default=200, help='of each round, for each number at a time')
    parser.add_argument('--concurrency', default='1,4', help='numbers of requests at a time')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--table', action='store_true', help='measure nothing; write the table from what was measured')
    options = parser.parse_args()
    if not options.table:
        readers.keep(run(options), RESULTS)
    readers.tell(RESULTS, in_document)


if __name__ == '__main__':
    main()
