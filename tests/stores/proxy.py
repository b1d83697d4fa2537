"""A proxy between TensorFlow and a store: it can refuse, delay or drop single requests, and kill who sends one."""
import http.client
import http.server
import os
import signal
import socketserver
import threading

_REFUSAL = (b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code>'
            b'<Message>refused by the test</Message></Error>')
_KEPT = ('content-type', 'etag', 'last-modified', 'content-range', 'accept-ranges')


class Proxy:
    """Forwards to a server on this machine.

    Attributes:
        address: str, host and port, for S3_ENDPOINT.
        requests: list of (method, path) that were seen.
        refuse: function(number, method, path) -> whether the request is answered with 403; numbers count from 1.
        before: function(number, method, path), called before a request is forwarded; it may wait.
    """

    def __init__(self, port):
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_any(self):
                proxy._answer(self, port)

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = do_any

            def log_message(self, *unused):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True

            def handle_error(self, *unused):
                pass  # who was killed has closed its connection

        self._server = Server(('127.0.0.1', 0), Handler)
        self._lock = threading.Lock()
        self.address = '127.0.0.1:{}'.format(self._server.server_port)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.reset()

    def reset(self):
        self.requests = []
        self.refuse = lambda number, method, path: False
        self.before = lambda number, method, path: None

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def kill_at(self, number):
        """Makes the n-th request the last one of whom ``victim`` names; returns a function that tells who that is."""
        known = threading.Event()
        victim = []

        def tell(pid):
            victim.append(pid)
            known.set()

        def before(count, method, path):
            del method, path
            if count == number and known.wait(30):
                os.kill(victim[0], signal.SIGKILL)
                raise ConnectionError('its sender is gone')
        self.before = before
        return tell

    def _answer(self, handler, port):
        body = handler.rfile.read(int(handler.headers.get('Content-Length') or 0))
        with self._lock:
            self.requests.append((handler.command, handler.path))
            number = len(self.requests)
        self.before(number, handler.command, handler.path)
        if self.refuse(number, handler.command, handler.path):
            status, headers, answer = 403, [('Content-Type', 'application/xml')], _REFUSAL
        else:
            connection = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
            headers = {name: value for name, value in handler.headers.items()
                       if name.lower() not in ('host', 'connection', 'expect')}
            connection.request(handler.command, handler.path, body, headers)
            response = connection.getresponse()
            answer = response.read()
            status = response.status
            length = response.headers.get('Content-Length') if handler.command == 'HEAD' else None
            headers = [(name, value) for name, value in response.headers.items() if name.lower() in _KEPT]
            connection.close()
            if length is not None:
                headers.append(('Content-Length', length))
        handler.send_response(status)
        for name, value in headers:
            handler.send_header(name, value)
        if handler.command != 'HEAD':
            handler.send_header('Content-Length', str(len(answer)))
        elif not any(name == 'Content-Length' for name, _ in headers):
            handler.send_header('Content-Length', '0')
        handler.end_headers()
        if handler.command != 'HEAD':
            handler.wfile.write(answer)
