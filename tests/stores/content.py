"""What lies in a folder, to be compared with what lies in a store."""
import os


def files(folder, below=''):
    """{path: bytes} of a local folder, each path behind ``below``."""
    found = {}
    for place, _, names in os.walk(str(folder)):
        for name in names:
            path = os.path.join(place, name)
            with open(path, 'rb') as file:
                found[below + os.path.relpath(path, str(folder))] = file.read()
    return found
