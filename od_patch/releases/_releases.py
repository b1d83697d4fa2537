"""The releases of the models repo that od-patch is pinned to, as data.

Not for: deciding what to do with an exporter; that is the room ``patch``.

A release is known by the git blob id of its ``exporter.py`` with LF line ends
(``git hash-object exporter.py``), so that anybody can check a row with git
alone, and so that a package with CRLF line ends is the same release. The ids
were read from the history of the models repo.
"""
import collections
import hashlib
import typing


class Release(typing.NamedTuple):
    """One pinned state of ``research/object_detection``."""

    name: str  # what people call it: a tag such as ``r1.12.0``, else the date
    commit: str  # abbreviated commit of the models repo
    date: str  # ISO date of the commit
    exporter_blob: str  # git blob id of ``exporter.py``
    script_blob: str  # git blob id of ``export_inference_graph.py``; None where it was not read
    line_count: int  # lines of ``exporter.py``; where ``patches/`` append theirs
    patched_blob: str  # git blob id of ``exporter.py`` with ``PATCH_TRAILER`` appended
    # whether ``exporter.py`` uses ``tf.contrib``, which only TensorFlow 1.x has; the others go through
    # ``tf.compat.v1`` (1.15 and later).
    needs_contrib: bool


RELEASES = tuple(Release(*row) for row in (
    ('2017-10-27', '78cf0ae0', '2017-10-27', '2149994969333f3be4bed497d59b43be0df0a064',
     '5a5f712dac725bf35014c8b74fcf1146f60125dc', 427, 'b7d3bba210bace1e470489754e2b5dd495c7d251', True),
    ('2018-01-04', 'da98beae', '2018-01-04', '8b57ef4ea828b2e81de1d6cadeceeb7753ec2fdc',
     '279d1d165ad037d4e7e1f268084de25975ddf244', 427, '8396323d6a3a33375fc363822afcd21a778522ff', True),
    ('2018-01-10', '9ccb6622', '2018-01-10', 'ef8fe194302b8f17b0ce113c8f4c66535d2e3b57',
     '279d1d165ad037d4e7e1f268084de25975ddf244', 427, 'b8f48b849e3948efb079e385cb67425885bf7236', True),
    ('2018-01-31', '7a9934df', '2018-01-31', 'dac1f1d8327e93b8dc11765593aca869b3f3dfdd',
     '5d0699f199848255c2989f7f46f4282ee4674765', 428, 'c6696e1aa081759bed13a4ceac1b90331ef00bb5', True),
    ('2018-02-09', '1efe98bb', '2018-02-09', 'baf299446425a0de184a112c4251d54813e8d949',
     '5d0699f199848255c2989f7f46f4282ee4674765', 435, '89d928b37b1653bc8aca9938b14caa0008e94222', True),
    ('2018-02-27', '78d5f8f8', '2018-02-27', '45d58c9c85ecb7256102fdaa0a8c966f626efe75',
     '5d0699f199848255c2989f7f46f4282ee4674765', 458, '2cc6d55557e367847a0a7b552173b715b197541f', True),
    ('2018-05-10', '324d6dc3', '2018-05-10', '05b09b1f72ae12682c77bbe4e790469ab5864b43',
     '5d0699f199848255c2989f7f46f4282ee4674765', 465, '70202ae9e1652676d7c74cc4cf089735749b141d', True),
    ('2018-07-02', '32e7d660', '2018-07-02', '16ff79a35f670cfdbb64af4b50e5fb28aed36c52',
     '1e9fcbda912d5d45f12ee54fb714e996f5a4140c', 476, '2470b61aa78ce0cfb1bbb6b744a91ca93b182f6d', True),
    ('2018-08-01', '02a9969e', '2018-08-01', 'ed62fac21270130993e080c2fdbbaf17bcd373a7',
     '6b5257be79c1d07499ec3b018196e96c9d7811d8', 439, 'e54d3bdb8c3d19a4a80b1bae77b3c9cc66a8623e', True),
    ('r1.12.0', 'd7ce21fa', '2018-11-07', 'a0add28271146276ce205a6be2efb3567fe58894',
     '6b5257be79c1d07499ec3b018196e96c9d7811d8', 487, '800ea5ca4a63e965f1dd9319b4071fc08cef6f00', True),
    ('r1.13.0', '57e07520', '2019-02-06', '9aaf012b6bd8f98b616255cd0e4f1490a6d9046b',
     '6b5257be79c1d07499ec3b018196e96c9d7811d8', 489, '6ea7c3bf55e78e88162ace08e42d11c5c6812a13', True),
    ('2019-03-07', '05584085', '2019-03-07', '79e6bc09376419565b0225dc124fa69ed8a79a9a',
     '73af8fccee7d9524ad0885a75c74f2141f45d995', 498, 'eb64531aed1888b2e2a9f64dade71039619f0ea2', True),
    ('2019-05-30', '9bbf8015', '2019-05-30', '54e105b897ca7ba19b28f221c837d16ba270717d',
     '73af8fccee7d9524ad0885a75c74f2141f45d995', 508, 'f1e348e056531d74f20132d50e09c097b7ecca55', True),
    ('2019-07-15', 'fe748d4a', '2019-07-15', '97053a49efa4028b84d628dd453a41104f51f934',
     'bc56475546d5d8c6d3cc2e2da88589be22f1ae33', 522, '0e22f44562554b044435878c6d9a849962421114', True),
    ('2019-10-17', '0ba83cf0', '2019-10-17', 'b9937192966152277e3d3a84de1cc7aa7dc4de14',
     'bc56475546d5d8c6d3cc2e2da88589be22f1ae33', 530, 'f2491ba5e7bba8043baedbfccdc7771385207d0a', True),
    ('2019-11-13', 'b968a6ce', '2019-11-13', 'a109d3b9fe414861447c59cae9347b75aab1cd97',
     'bc56475546d5d8c6d3cc2e2da88589be22f1ae33', 543, '08e3626b1f5ca7612e726592fdb5d6d3cb3989a8', True),
    ('2020-05-12', '8518d053', '2020-05-12', '62c0ee4aab88aa96e245c7099d2db5cb1dd7d4f1',
     '662cf1f182f9c6c082bd9a5e968f44d04e415549', 558, 'b8eb4594206c8b87dcac67b35d407b6cfcbc91f8', True),
    ('2020-05-26', '451906e4', '2020-05-26', '676e34debea179e0c772bc392362f1a43b24bc75',
     'bcb5c40b3b8c2b3bbfc95c00baa348889954dbb8', 558, '98905d7386fa15e228eacccbe7d0ed3a9c2f8338', False),
    ('2020-06-17', '420a7253', '2020-06-17', '61c5f7f22db46c88c8bc5c1803b281da4c020967',
     '5a0ee0dde056afacca9a876c7456cb82a82f3192', 656, '146ba0bb72747d95fd4c1b4da60d473d152af978', False),
    ('2021-04-13', 'bf2d1354', '2021-04-13', 'a4848e35b52bc87d1e752927b0faeaf41dc9cca3',
     None, 656, '2dba37f325e559aaf2ddff0dfb2cf03e050815b3', False),
    ('2022', 'after 2021', '2022', '884bcda6a344a591546267bb4cd8223f5fa2cfd7',
     'bc4bca1d0626eb9a95b7c0fee0ad01426c4e68c0', 663, 'd2095bc818c527c28a32a14a7c4d19b55e148c95', False),
))

# Feature extractors of the TF 1 half, by the first of the pinned releases whose model_builder has them; none was
# dropped since. Read from the history of the models repo. Those of TensorFlow 2, which end in _keras, are left out.
_EXTRACTORS = collections.OrderedDict((
    ('2017-10-27', 'faster_rcnn_inception_resnet_v2 faster_rcnn_resnet101 faster_rcnn_resnet152 faster_rcnn_resnet50 '
                   'ssd_inception_v2 ssd_mobilenet_v1'),
    ('2018-01-04', 'embedded_ssd_mobilenet_v1 faster_rcnn_inception_v2 faster_rcnn_nas ssd_inception_v3'),
    ('2018-02-09', 'ssd_resnet101_v1_fpn ssd_resnet152_v1_fpn ssd_resnet50_v1_fpn'),
    ('2018-05-10', 'faster_rcnn_pnas ssd_mobilenet_v2'),
    ('2018-08-01', 'ssd_mobilenet_v1_fpn ssd_mobilenet_v1_ppn ssd_resnet101_v1_ppn ssd_resnet152_v1_ppn '
                   'ssd_resnet50_v1_ppn'),
    ('r1.12.0', 'ssd_mobilenet_v2_fpn ssd_pnasnet'),
    ('2019-10-17', 'ssd_mobilenet_v3_large ssd_mobilenet_v3_small'),
    ('2019-11-13', 'ssd_mobilenet_edgetpu'),
    ('2020-05-12', 'ssd_mobilenet_v2_mnasfpn'),
    ('2020-05-26', 'ssd_mobiledet_cpu ssd_mobiledet_dsp ssd_mobiledet_edgetpu'),
    ('2020-06-17', 'ssd_mobiledet_gpu'),
    ('2022', 'ssd_spaghettinet'),
))

# What patches/*.patch append to exporter.py. Taken off again before hashing, so
# that an exporter with the patch applied is still the release that it was.
PATCH_TRAILER = b'\n\nimport od_patch\nod_patch.install(__name__)\n'


def blob_id(source):
    """Returns the git blob id (40 hex digits) of a source text.

    Args:
        source: bytes; CRLF line ends count as LF, and the lines that a patch of
            ``patches/`` appends do not count.
    """
    text = source.replace(b'\r\n', b'\n')
    if text.endswith(PATCH_TRAILER):
        text = text[:-len(PATCH_TRAILER)]
    return hashlib.sha1(b'blob %d\0' % len(text) + text).hexdigest()


# Where that is not what needs_contrib says: which TensorFlow a release runs on. Found by running each.
_RUNS_ON = {
    # Its script does not start there, and 1.5 and later do not freeze its graphs.
    '2017-10-27': 'TF 1.4, from Python only',
    '2020-05-12': 'TF 1.15',  # it asks TensorFlow at import whether it is 2
}
# The vintages of tools/assemble_models.py, by the release that they are: the tests run these end to end.
VINTAGES = {'r1.13.0': 'A', '2019-03-07': 'B', '2019-07-15': 'C', '2022': 'D'}


def runs_on(release):
    """Returns in words which TensorFlow a ``Release`` runs on."""
    return _RUNS_ON.get(release.name) or ('TF 1.x' if release.needs_contrib else 'TF 1.15, TF 2')


def run_on(release):
    """Returns in words where a ``Release`` was run end to end: an export with moving averages, bit for bit."""
    if release.name in VINTAGES:
        return 'the tests, {}'.format(VINTAGES[release.name])
    if release.name == '2017-10-27':
        return 'TF 1.4.1'
    return 'TF 1.12.0' if release.date < '2020' else 'TF 1.15.5'


def first_with(extractor):
    """Returns the name of the first pinned release that has a feature extractor; None where none is known to."""
    return next((name for name, extractors in _EXTRACTORS.items() if extractor in extractors.split()), None)


def find(exporter_blob):
    """Returns the ``Release`` whose ``exporter.py`` has this blob id, or None."""
    for release in RELEASES:
        if release.exporter_blob == exporter_blob:
            return release
    return None
