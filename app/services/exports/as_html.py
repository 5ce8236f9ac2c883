"""The review record as one HTML file that needs no other: style and key images are in it, scripts are not."""

import base64
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.services.exports.export import Export, file_name
from app.services.exports.told import told
from app.services.key_images import KeyImage
from app.services.record import CaseRecord
from app.services.wording import NOTICE
from pipelines.document import writable

# Whatever a file or a person said is shown as text: everything is escaped, and no script may run.
_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
)


def as_html(record: CaseRecord, images: Sequence[KeyImage] = ()) -> Export:
    """The record as HTML in UTF-8; printed it fits A4.

    Args:
        record: The case.
        images: Key images; without any the page says so.
    """
    shown = [
        {"base64": base64.b64encode(image.png).decode(), "size": image.size, "caption": image.caption}
        for image in images
    ]
    text = _PAGES.get_template("review.html").render(told=told(record), notice=NOTICE, images=shown)
    return Export(file_name(record, "-review.html"), "text/html", writable(text).encode())
