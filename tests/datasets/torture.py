"""What hospitals send: `CASES[name]()` makes the files of a torture by their names, `ct_files.write` writes them."""

from tests.datasets.torture_broken import BROKEN
from tests.datasets.torture_parts import Make
from tests.datasets.torture_sound import SOUND

CASES: dict[str, Make] = SOUND | BROKEN
