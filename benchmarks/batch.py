"""Images a second, by one worker and by two: bare processes with od_patch.Detector, Beam, Ray Data and Spark.

    python -m benchmarks.batch --saved_model=EXPORT --count=400

For the environment that ``tox -e batch`` makes. Each way is run on the same drawings of three sizes, each worker with one
thread of TensorFlow. What starting takes is in it for the engines, and told beside it for the bare processes.
"""
import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_SIZES = [(160, 160), (200, 150), (150, 200)]
_BARE = '''
import json, os, sys, time
import od_patch
saved_model, folder, part, parts = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
with od_patch.Detector(saved_model, batch_size=16, min_score=0.5, threads=1) as detector:
    loaded, cpu = time.time(), time.process_time()
    paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder))][part::parts]
    rows = list(detector.detect((path, open(path, 'rb').read()) for path in paths))
    print(json.dumps([len(rows), loaded, time.time(), time.process_time() - cpu]))
'''


def draw(folder, count):
    """Writes as many drawings of shapes, of three sizes."""
    sys.path.insert(0, os.path.join(ROOT, 'examples', 'shapes'))
    import drawings
    for number in range(count):
        drawings.draw(3000000 + number).image.resize(_SIZES[number % 3]).save(
            os.path.join(folder, '{:06d}.{}'.format(number, 'png' if number % 2 else 'jpg')), quality=90)


def bare(saved_model, folder, workers, environment):
    """(seconds of all from the first that has loaded, seconds of loading, CPU seconds of all)."""
    began = time.time()
    processes = [subprocess.Popen([sys.executable, '-c', _BARE, saved_model, folder, str(part), str(workers)],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
                 for part in range(workers)]
    found = [json.loads(process.communicate()[0].decode().strip().splitlines()[-1]) for process in processes]
    first = min(loaded for _, loaded, _, _ in found)
    return (max(done for _, _, done, _ in found) - first, max(loaded for _, loaded, _, _ in found) - began,
            sum(cpu for _, _, _, cpu in found))


def engine(name, saved_model, folder, workers, environment):
    """(seconds, CPU seconds) of a program of examples/batch."""
    with tempfile.TemporaryDirectory() as output:
        arguments = {
            'beam': ['--images=' + folder + '/*', '--threads=1', '--direct_num_workers={}'.format(workers),
                     '--direct_running_mode=' + ('in_memory' if workers == 1 else 'multi_processing')],
            'ray': ['--images=' + folder, '--workers={}'.format(workers)],
            'spark': ['--images=' + folder, '--master=local[{}]'.format(workers)]}[name]
        began, before = time.time(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, os.path.join(ROOT, 'examples', 'batch', name + '_detect.py'),
                        '--saved_model=' + saved_model, '--output=' + output + '/found'] + arguments,
                       check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.time() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--saved_model', required=True)
    parser.add_argument('--count', type=int, default=400)
    parser.add_argument('--ways', default='bare,beam,ray,spark')
    given = parser.parse_args()
    environment = dict(os.environ, PYTHONPATH=ROOT, TF_CPP_MIN_LOG_LEVEL='3')
    with tempfile.TemporaryDirectory() as folder:
        draw(folder, given.count)
        for way in given.ways.split(','):
            for workers in (1, 2):
                if way == 'bare':
                    seconds, loading, cpu = bare(given.saved_model, folder, workers, environment)
                    remark = 'loading {:.1f} s'.format(loading)
                else:
                    seconds, cpu = engine(way, given.saved_model, folder, workers, environment)
                    remark = 'with starting'
                print('{:<6} {} workers: {:7.1f} s {:7.1f} images/s {:7.1f} ms of CPU an image, {}; load average {:.1f}'.format(
                    way, workers, seconds, given.count / seconds, 1000 * cpu / given.count, remark, os.getloadavg()[0]),
                    flush=True)


if __name__ == '__main__':
    main()
