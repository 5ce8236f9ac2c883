"""Whether the worklist shows what there is."""

import json

from app.store.cases import Cases
from app.store.database import Database
from app.store.queue import Queue


def worklist_state(database: Database) -> str:
    """What is another text as soon as the worklist would look different."""
    jobs = json.dumps(Queue(database).counts(), sort_keys=True)
    return f"{Cases(database).state()} {jobs}"
