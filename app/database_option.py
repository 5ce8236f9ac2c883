"""The option by which commands are told where the store is."""

from typing import Annotated

import typer

DatabaseUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="Of the store; else DENSELENS_DATABASE, or a file of the user's.")
]
