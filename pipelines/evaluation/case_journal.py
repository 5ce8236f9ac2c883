"""Cases that were compared before a run was cut short; the next one goes on behind them."""

import json
from pathlib import Path

from pydantic import ValidationError

from datasets.errors import ConfigError
from pipelines.evaluation.cases import Case


class CaseJournal:
    """One line per compared case, written as each ends; failures are tried again.

    Args:
        path: The file; made when missing.
        key: What must be the same for its cases to count: model, settings, version.
        fresh: Forget what stands there.

    Raises:
        ConfigError: What stands there belongs to another evaluation, or cannot be read.
    """

    def __init__(self, path: Path, key: str, *, fresh: bool = False) -> None:
        self._path = path
        self._done: dict[str, Case] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and not fresh:
            self._read(key)
        # Whole lines alone, whatever a crash left.
        lines = [json.dumps({"key": key}), *(case.model_dump_json() for case in self._done.values())]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def get(self, name: str) -> Case | None:
        """A case that was compared before."""
        return self._done.get(name)

    def append(self, case: Case) -> None:
        """Note a case that has been compared."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(case.model_dump_json() + "\n")

    def _read(self, key: str) -> None:
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
            told = json.loads(lines[0]).get("key") if lines else key
        except (OSError, ValueError, AttributeError) as error:
            raise self._other("a journal that cannot be read") from error
        if told != key:
            raise self._other("an evaluation of another model, or by other rules")
        for line in lines[1:]:
            try:
                case = Case.model_validate_json(line)
            except ValidationError:
                break  # The line that was being written when the run was cut short.
            self._done[case.name] = case

    def _other(self, got: str) -> ConfigError:
        wanted = "an output folder of this evaluation, or a new one"
        return ConfigError(wanted, f"{got} in {self._path.parent}", "choose another --out, or start over with --fresh")
