"""Changes files of an export at random and verifies it: whatever they hold by then, verify answers or refuses in words.

    python -m tests.proof.mutations EXPORT_DIR --count 1000 [--seed 0] [--run_every 20]

Prints how many mutations came to which verdict; a crash is printed with its seed and makes the exit code 1.
"""
import argparse
import collections
import os
import random
import shutil
import sys
import tempfile
import traceback

from od_patch import _errors
from od_patch import proof

FILES = ('saved_model/saved_model.pb', 'saved_model/variables/variables.index',
         'saved_model/variables/variables.data-00000-of-00001', 'saved_model/assets.extra/od_patch.json',
         'frozen_inference_graph.pb', 'model.ckpt.index', 'model.ckpt.data-00000-of-00001')


def mutate(data, chance):
    """Bytes with one to four things done to them: bits flipped, a piece cut out, doubled, overwritten or cut off."""
    data = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(data)) if data else 0
        length = min(len(data) - place, 1 << chance.randint(0, 12))
        kind = chance.randrange(6)
        if kind < 2 and data:
            data[place] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del data[place:place + length]
        elif kind == 3:
            data[place:place] = data[place:place + length]
        elif kind == 4:
            data[place:place + length] = bytes(chance.randrange(256) for _ in range(length))
        elif chance.random() < 0.3:
            del data[place:]
    return bytes(data)


def run(export, count, seed=0, run_every=0):
    """Returns (``Counter`` of what came of the mutations, list of (seed, file, traceback) of crashes)."""
    found, crashes = collections.Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, 'export')
        shutil.copytree(export, copy)
        for number in range(seed, seed + count):
            chance = random.Random(number)
            name = FILES[number % len(FILES)]
            path = os.path.join(copy, *name.split('/'))
            with open(path, 'rb') as file:
                whole = file.read()
            try:
                with open(path, 'wb') as file:
                    file.write(mutate(whole, chance))
                found[proof.verify(copy, quick=not (run_every and number % run_every == 0)).verdict] += 1
            except _errors.ODPatchError:
                found['refused'] += 1
            except Exception:  # pylint: disable=broad-except
                crashes.append((number, name, traceback.format_exc()))
            finally:
                with open(path, 'wb') as file:
                    file.write(whole)
    return found, crashes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('export')
    parser.add_argument('--count', type=int, default=1000)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--run_every', type=int, default=0, help='run the models for every so manieth mutation')
    options = parser.parse_args()
    found, crashes = run(options.export, options.count, options.seed, options.run_every)
    for row in crashes:
        print('seed {}, {}:\n{}'.format(*row))
    print('{} mutations: {}; {} crashes'.format(options.count, dict(found), len(crashes)))
    return 1 if crashes else 0


if __name__ == '__main__':
    sys.exit(main())
