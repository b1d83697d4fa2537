"""Text files as people's editors leave them: decoded whatever their encoding; what is wrong is said with its line.

Pipeline configs and label maps are protobuf's text form, ASCII but for comments and for what stands in quotes. That is
why an encoding that is not known can be read all the same where it is only in comments.

Not for: what the fields mean (``_config``, ``serving._labels``).
"""
import codecs
import re
import unicodedata

# An encoding by the bytes that a file begins with; the longer ones first.
_MARKS = ((codecs.BOM_UTF8, 'utf-8'), (codecs.BOM_UTF32_LE, 'utf-32-le'), (codecs.BOM_UTF32_BE, 'utf-32-be'),
          (codecs.BOM_UTF16_LE, 'utf-16-le'), (codecs.BOM_UTF16_BE, 'utf-16-be'))
# A comment, a text in quotes that ends in its line, or anything else, one character at a time; of bytes, those of
# characters that are not ASCII together.
_QUOTED = r'''#[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|'''
_PIECE = re.compile(_QUOTED + r'[\s\S]')
_PIECE_OF_BYTES = re.compile((_QUOTED + r'[\x80-\xff]+|[\s\S]').encode('ascii'))
# Blanks that protobuf does not take for blanks, and marks that are not seen.
_UNSEEN = '\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u200c\u200d' \
    '\u200e\u200f\u202f\u205f\u2060\u3000\ufeff\u2028\u2029\x85'
_CURLY = '\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2032\u2033\u00ab\u00bb\u300c\u300d\uff02\uff07`\u00b4'


class Unreadable(Exception):
    """A file that is no text of this kind; the text says where and why.

    Attributes:
        remedy: str, what to do about it.
    """

    def __init__(self, problem, remedy):
        super().__init__(problem)
        self.remedy = remedy


def decode(content):
    """Returns the text of a file, without a byte order mark, with line ends as they are.

    Args:
        content: bytes.

    Raises:
        Unreadable: there are bytes in it, outside of comments, that are no UTF-8, or it is no text at all.
    """
    for mark, encoding in _MARKS:
        if content == mark and encoding != 'utf-8':
            break  # two bytes, and nothing says that they are a mark
        if content.startswith(mark):
            return _decoded(content[len(mark):], encoding)
    guessed = _without_mark(content)
    if guessed:
        return _decoded(content, guessed)
    if b'\0' in content or len(content) == 2 and content[:1] in b'\xff\xfe':
        raise Unreadable('it is not a text file', '')
    try:
        return content.decode('utf-8')
    except UnicodeDecodeError:
        return _decoded_but_for_comments(content)


def _without_mark(content):
    """Returns UTF-16 of which order a file without a mark is in, by its zero bytes; None for neither."""
    if len(content) < 4 or len(content) % 2:
        return None
    zeros = [content[start::2].count(0) * 10 for start in (0, 1)]
    if zeros[1] > 4 * len(content) and not zeros[0]:
        return 'utf-16-le'
    if zeros[0] > 4 * len(content) and not zeros[1]:
        return 'utf-16-be'
    return None


def _decoded(content, encoding):
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise Unreadable('it begins like {}, and is none from byte {:,} on'.format(encoding.upper(), error.start),
                         'Save it as UTF-8.')
    if '\0' in text:
        raise Unreadable('it is not a text file', '')
    return text


def _decoded_but_for_comments(content):
    """Returns a text of an unknown encoding, such as Latin-1 or GBK, in which only comments are not ASCII or UTF-8."""
    if len(_bytes_of_control(content)) * 20 > len(content):
        raise Unreadable('it is not a text file', '')
    text, line = [], 1
    for piece in _PIECE_OF_BYTES.findall(content):
        try:
            text.append(piece.decode('utf-8'))
        except UnicodeDecodeError:
            if not piece.startswith(b'#'):
                whole = content.split(b'\n')[line - 1].decode('utf-8', 'replace')
                raise Unreadable(
                    'line {} has bytes that are no UTF-8 ("{}"): it was saved in another encoding, such as Latin-1 or '
                    'GBK'.format(line, whole.strip()[:80]),
                    'Save it as UTF-8: in the editor, or with  iconv -f GBK -t UTF-8 FILE > OTHER  (or LATIN1, or what '
                    'it was saved in).')
            text.append(piece.decode('ascii', 'replace'))
        line += piece.count(b'\n')
    return ''.join(text)


def _bytes_of_control(content):
    return [byte for byte in content[:4096] if byte < 32 and byte not in b'\t\n\r\f\v\x1a']


def plain(text):
    """Returns a text with the characters that protobuf stumbles over and nobody sees made blanks, outside of quotes.

    Args:
        text: str, as ``decode`` returns it.
    """
    return ''.join(' ' if len(piece) == 1 and piece in _UNSEEN else piece for piece in _PIECE.findall(text))


def slips(text):
    """Returns [(line number, what is wrong in it, what to do)] of slips of an editor or a hand; empty for none.

    Args:
        text: str, in protobuf's text form.
    """
    found, line, before, opened = [], 1, '', []
    for piece in _PIECE.findall(text):
        if piece in ('"', "'"):
            found.append((line, 'the quote {} is not closed in that line'.format(piece),
                          'Close it. An apostrophe stands between double quotes, or as \\\' between single ones.'))
            break  # what follows was read the wrong way round
        if len(piece) > 1 and piece[0] in '"\'' and before and (before.isalnum() or before == '_'):
            found.append(_slip_of_apostrophe(line, piece))
            break
        if len(before) > 1 and before[0] in '"\'' and (piece.isalnum() or piece == '_'):
            found.append(_slip_of_apostrophe(line, before))
            break
        if len(piece) == 1 and piece in _CURLY:
            found.append((line, 'the quotes are curly ({}, {})'.format(piece, _name(piece)),
                          'Write straight ones: " or \'.'))
        elif len(piece) == 1 and ord(piece) > 126 and piece not in _UNSEEN:
            found.append((line, 'the character {} ({}) stands outside of quotes and comments'.format(
                piece, _name(piece)), 'Write it in plain ASCII{}.'.format(_ascii_of(piece))))
        elif before + piece in ('//', '/*'):
            found.append((line, 'a comment begins with {}'.format(before + piece), 'Comments begin with #.'))
        elif piece == '{':
            opened.append(line)
        elif piece == '}' and not opened:
            found.append((line, 'this } ends no block', 'Remove it, or look for a { that is missing before it.'))
            break
        elif piece == '}':
            opened.pop()
        line += piece.count('\n')
        before = piece
    else:
        if opened:
            found.append((opened[-1], 'the block that begins here has no end', 'Add the } that ends it.'))
    return found


def _slip_of_apostrophe(line, piece):
    return (line, 'text goes on behind {}, where the quote {} ends it'.format(piece[:40], piece[0]),
            'Write the text between double quotes, "fisher\'s hook", or \\\' for an apostrophe between single ones.'
            if piece[0] == "'" else 'Write \\" for a quote inside of a text.')


def _ascii_of(character):
    """Returns what a wide or dressed-up character is in ASCII, in words; '' where it is nothing."""
    plain_one = {'\u2010': '-', '\u2011': '-', '\u2012': '-', '\u2013': '-', '\u2014': '-', '\u2212': '-'}.get(
        character, unicodedata.normalize('NFKC', character))
    return ': {}'.format(plain_one) if len(plain_one) == 1 and ord(plain_one) < 127 else ''


def _name(character):
    return unicodedata.name(character, 'U+{:04X}'.format(ord(character)))


def looks_like(text):
    """Returns what else a text is, in words: a web page, JSON, a list of names; '' for protobuf's text form.

    Args:
        text: str.
    """
    stripped = text.lstrip()
    if re.match(r'(?i)<(!doctype|html|\?xml)', stripped):
        return 'a web page or XML, not the file itself'
    if stripped.startswith('version https://git-lfs'):
        return 'a pointer of Git LFS, not the file itself'
    if stripped[:1] in ('[', '{') and re.match(r'[\[{]\s*["\[{\]}\d]', stripped):
        return 'JSON'
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith('#')]
    if lines and not re.search(r'[{}<>]', ' '.join(lines)) and not any(re.match(r'\w+\s*:\s*\S', line) and not re.match(
            r'\d', line) for line in lines):
        return 'a list of plain names'
    return ''
