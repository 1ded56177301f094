"""Demo registry on a fixed port that accepts the key in a file; runs in the exporter's image, as a second container."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from exporter.demo.listener import Request
from exporter.demo.server import Registry


class Handler(BaseHTTPRequestHandler):
    """Answers as the demo registry does; its key is read for each request, so that it changes with the file."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query, keep_blank_values=True)
        headers = {name.lower(): value for name, value in self.headers.items()}
        registry = Registry(key=Path(sys.argv[1]).read_text().strip())
        answer = registry.answer(Request(self.command, url.path, query, headers))
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
