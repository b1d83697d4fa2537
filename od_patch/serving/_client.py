"""Asks a server what the detector sees in images, and prints it.

    python client.py                     sends the image of request.json
    python client.py photo.jpg …         sends these instead
    python client.py --grpc …            over gRPC instead of REST
    python client.py --help              where the server is, which version of the model, …

Needs Python 3.6 or later; for REST nothing else, but Pillow where the model takes pixels and is sent image files.
gRPC needs two packages, with the TensorFlow that they bring:

    python -m pip install grpcio tensorflow-serving-api
"""
import argparse
import array
import base64
import itertools
import json
import os
import sys
import urllib.error
import urllib.request

# What is asked of which model: written here by od-patch, from the SavedModel's signature and its label map.
SETTINGS = {}
REQUEST = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'request.columns.json')
# numpy's names of types -> (TensorFlow's number of the type, Python's letter of it).
TYPES = {'uint8': (4, 'B'), 'int8': (6, 'b'), 'uint16': (17, 'H'), 'int16': (5, 'h'), 'int32': (3, 'i'),
         'int64': (9, 'q'), 'float32': (1, 'f'), 'float64': (2, 'd')}
STRING = 7
MODES = {1: 'L', 3: 'RGB', 4: 'RGBA'}  # Pillow's, by the number of channels


def main():
    arguments = parse()
    try:
        batch = [read(path) for path in arguments.images] or batch_of_the_example()
        if arguments.grpc:
            found = ask_grpc(batch, arguments)
        else:
            found = ask_rest(batch, arguments)
    except (OSError, ValueError, ImportError) as error:
        sys.exit('client.py: {}'.format(plain(str(error))))
    if arguments.json:
        print(json.dumps(found))
        return
    for name, detections in zip(arguments.images or ['request.json'] * len(found), found):
        show(name, detections, arguments.threshold)


def parse():
    parser = argparse.ArgumentParser(description='Asks a server what {} sees in images.'.format(SETTINGS['model']))
    parser.add_argument('images', nargs='*', metavar='IMAGE')
    parser.add_argument('--host', default='localhost')
    parser.add_argument('--rest_port', type=int, default=8501)
    parser.add_argument('--grpc_port', type=int, default=8500)
    parser.add_argument('--grpc', action='store_true', help='gRPC instead of REST')
    parser.add_argument('--url', help='REST: where to send the request, in place of host, port and model')
    parser.add_argument('--columns', action='store_true', help='REST\'s column format')
    parser.add_argument('--model', default=SETTINGS['model'])
    parser.add_argument('--version', type=int, help='of the model; default: the one that the server takes')
    parser.add_argument('--timeout', type=float, default=60, help='seconds')
    parser.add_argument('--threshold', type=float, default=0.5, help='leave out detections with a lower score')
    parser.add_argument('--json', action='store_true', help='print all outputs, one object for each image')
    return parser.parse_args()


# What is sent: for each image its file's bytes, or rows of pixels of as many numbers as the model takes.

def read(path):
    if SETTINGS['kind'] == 'image_tensor':
        return pixels(path)
    with open(path, 'rb') as image:
        data = image.read()
    return example(data) if SETTINGS['kind'] == 'tf_example' else data


def pixels(path):
    channels = (SETTINGS['shape'] or [None] * 4)[3] or 3
    if path.endswith('.npy'):
        import numpy
        rows = numpy.load(path).tolist()
        if not isinstance(rows[0][0], list):
            rows = [[[value] for value in row] for row in rows]
        if len(rows[0][0]) != channels:
            raise ValueError('{} has {} channels, and the model takes {}'.format(path, len(rows[0][0]), channels))
        return rows
    if channels not in MODES:
        raise ValueError('The model takes images of {} channels, which image files do not have: give it .npy files of '
                         'numpy, uint8 [height, width, {}]'.format(channels, channels))
    try:
        from PIL import Image
    except ImportError:
        raise ImportError('The model takes pixels, and Pillow, which reads them, is missing: '
                          'python -m pip install pillow')
    image = Image.open(path).convert(MODES[channels])
    height, width = (SETTINGS['shape'] or [None] * 4)[1:3]
    if height or width:
        image = image.resize((width or image.width, height or image.height), Image.BILINEAR)
    data, step = image.tobytes(), channels * image.width
    return [[list(data[at:at + channels]) for at in range(row, row + step, channels)]
            for row in range(0, len(data), step)]


def example(data):
    """A serialized tf.Example with the image's bytes, as protobuf writes one: each message is in the next as field 1,
    but for the value of a map's entry, which is field 2."""
    def field(content, number=1):
        return bytes([number << 3 | 2]) + varint(len(content)) + content
    feature = field(field(data))
    entry = field(b'image/encoded') + field(feature, 2)
    return field(field(entry))


def varint(number):
    data = bytearray()
    while number > 127:
        data.append(number & 127 | 128)
        number >>= 7
    data.append(number)
    return bytes(data)


def batch_of_the_example():
    with open(REQUEST, encoding='utf-8') as request:
        inputs = json.load(request)['inputs']
    if isinstance(inputs, dict):
        inputs = [inputs]
    return [base64.b64decode(value['b64']) if isinstance(value, dict) else value for value in inputs]


# REST

def ask_rest(batch, arguments):
    values = [{'b64': base64.b64encode(value).decode('ascii')} if isinstance(value, bytes) else value
              for value in batch]
    body = {'signature_name': SETTINGS['signature']}
    if arguments.columns or not SETTINGS['rows']:
        body['inputs'] = values if SETTINGS['batched'] else values[0]
    else:
        body['instances'] = [{SETTINGS['input']: value} for value in values]
    url = arguments.url or 'http://{}:{}/v1/models/{}{}:predict'.format(
        arguments.host, arguments.rest_port, arguments.model,
        '/versions/{}'.format(arguments.version) if arguments.version is not None else '')
    request = urllib.request.Request(url, json.dumps(body).encode('ascii'), {'Content-Type': 'application/json'})
    try:
        with urllib.request.urlopen(request, timeout=arguments.timeout) as response:
            answer = json.loads(response.read().decode('utf-8'))
    except urllib.error.HTTPError as error:
        raise ValueError('{} answered {}: {}'.format(url, error.code, error.read().decode('utf-8', 'replace')[:500]))
    except urllib.error.URLError as error:
        raise ValueError('{} does not answer: {}'.format(url, error.reason))
    return of_rows(answer['predictions']) if 'predictions' in answer else of_columns(answer, len(batch))


def of_rows(rows):
    """Of a model with one output, a row is that output itself."""
    return [row if isinstance(row, dict) else {SETTINGS['outputs'][0]: row} for row in rows]


def of_columns(answer, count):
    for key in ('outputs', 'result'):  # TensorFlow Serving's name for it; another server's
        if key in answer:
            outputs = answer[key]
            break
    else:
        raise ValueError('the answer has no outputs: {}'.format(json.dumps(answer)[:500]))
    if not isinstance(outputs, dict):
        outputs = {SETTINGS['outputs'][0]: outputs}
    if not SETTINGS['batched']:
        return [outputs]
    return [{name: values[number] for name, values in outputs.items()} for number in range(count)]


# gRPC

def ask_grpc(batch, arguments):
    try:
        import grpc
        import tensorflow
        from tensorflow_serving.apis import predict_pb2
        from tensorflow_serving.apis import prediction_service_pb2_grpc
    except ImportError as error:
        raise ImportError('{}: python -m pip install grpcio tensorflow-serving-api'.format(error))
    request = predict_pb2.PredictRequest()
    request.model_spec.name = arguments.model
    request.model_spec.signature_name = SETTINGS['signature']
    if arguments.version is not None:
        request.model_spec.version.value = arguments.version
    fill(request.inputs[SETTINGS['input']], batch)
    # Clients take answers of 4 MiB, unless they are told otherwise; masks of a batch are more.
    options = [('grpc.max_receive_message_length', -1), ('grpc.max_send_message_length', -1)]
    with grpc.insecure_channel('{}:{}'.format(arguments.host, arguments.grpc_port), options) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        try:
            response = stub.Predict(request, arguments.timeout)
        except grpc.RpcError as error:
            raise ValueError('{}:{} answered {}: {}'.format(
                arguments.host, arguments.grpc_port, error.code().name, error.details()))
    outputs = {name: tensorflow.make_ndarray(tensor).tolist() for name, tensor in response.outputs.items()}
    return of_columns({'outputs': outputs}, len(batch))


def fill(tensor, batch):
    """Fills a TensorProto with a batch."""
    sizes = [len(batch)] if SETTINGS['batched'] else []
    if SETTINGS['kind'] == 'image_tensor':
        sizes += [len(batch[0]), len(batch[0][0]), len(batch[0][0][0])]
        tensor.dtype, letter = TYPES[SETTINGS['dtype']]
        numbers = itertools.chain.from_iterable(itertools.chain.from_iterable(itertools.chain.from_iterable(batch)))
        values = array.array(letter, numbers)
        if sys.byteorder == 'big':
            values.byteswap()
        tensor.tensor_content = values.tobytes()
    else:
        tensor.dtype = STRING
        tensor.string_val.extend(batch)
    for size in sizes:
        tensor.tensor_shape.dim.add(size=size)


# What came back

def show(name, found, threshold):
    scores = found.get('detection_scores')
    if scores is None:
        print(plain('{}: the model gives {}'.format(name, ', '.join(sorted(found)))))
        return
    kept = [number for number in range(int(found.get('num_detections', len(scores)))) if scores[number] >= threshold]
    print(plain('{}: {} detection{} of {} or more'.format(name, len(kept), '' if len(kept) == 1 else 's', threshold)))
    for number in kept:
        label = int(found['detection_classes'][number]) if 'detection_classes' in found else None
        box = found['detection_boxes'][number] if 'detection_boxes' in found else None
        print(plain('  {:.3f}  {}{}'.format(
            scores[number], '' if label is None else SETTINGS['names'].get(label, 'class {}'.format(label)),
            '' if box is None else '  ymin {:.3f}  xmin {:.3f}  ymax {:.3f}  xmax {:.3f}'.format(*box))))


def plain(text):
    """Names come from a label map or a server: what a terminal would obey in them, or cannot show, is written out."""
    text = ''.join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    encoding = sys.stdout.encoding or 'ascii'
    return text.encode(encoding, 'backslashreplace').decode(encoding)


if __name__ == '__main__':
    main()
