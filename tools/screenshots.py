"""Screenshots of the landing page: `make screenshots` retakes them."""

import tempfile
from pathlib import Path

from tests.support import browser
from tests.support.spaces import TYPICAL, shown

IMAGES = Path(__file__).parent.parent / "docs" / "images"


def write() -> None:
    """Take a picture of a desktop and of a phone."""
    with tempfile.TemporaryDirectory() as folder, browser.page(folder) as page, shown(TYPICAL) as url:
        page.open(url, width=1_100)
        (IMAGES / "page.png").write_bytes(page.screenshot())
        page.open(url, width=360, height=780, scheme="dark", scale=1.5)
        (IMAGES / "page-phone.png").write_bytes(page.screenshot(whole=False))


if __name__ == "__main__":
    write()
