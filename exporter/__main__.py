"""`python -m exporter` is `har-exporter`."""

import sys

from exporter.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
