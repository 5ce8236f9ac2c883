"""From what a table calls a film to the film in a folder, never outside of it."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from datasets.layouts._film_files import FILM_SUFFIXES

_OUTSIDE = re.compile(r"^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:$|[/\\])|\0")


@dataclass(frozen=True)
class FilmPlaces:
    """The films of a folder, to be found by name.

    Attributes:
        films: By path below the folder.
    """

    films: Mapping[str, Path]
    _by_name: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _by_folder: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for place in self.films:
            folder, _, name = place.rpartition("/")
            self._by_folder[folder].append(place)
            self._by_name[name].append(place)
            self._by_name[name.rpartition(".")[0]].append(place)

    def find(self, text: str) -> tuple[str, ...]:
        """The films a cell names.

        Args:
            text: A path, of which the first folders may be missing here (a table is often written where the data set's
                own folder begins), or a bare name with or without its ending, which is looked for in every subfolder;
                or a folder of films that belong together.

        Returns:
            Paths below the folder, in order: one for a film, as many as there are for a folder; none where nothing, or
            more than one film, is called that, and for a path that leads out of the folder.
        """
        bare = self._by_name.get(text, ())
        if len(bare) == 1:
            return (bare[0],)
        if leads_outside(text):
            return ()
        path = PurePosixPath(text.replace("\\", "/"))
        for start in range(len(path.parts)):
            tail = "/".join(path.parts[start:])
            if tail in self.films:
                return (tail,)
            if tail in self._by_folder and path.suffix.lower() not in FILM_SUFFIXES:
                return tuple(self._by_folder[tail])
            endings = [tail + ending for ending in FILM_SUFFIXES if tail + ending in self.films]
            if len(endings) == 1:
                return (endings[0],)
        return ()


def leads_outside(text: str) -> bool:
    """Whether a path is absolute or goes up, on any system."""
    return _OUTSIDE.search(text) is not None
