"""Every error this project raises on purpose.

    DenseLensError                 expected, got, advice
    |-- InputRefused               one input cannot be used honestly; carries a `RefusalCode`
    |-- ConfigError                settings, a command line or a YAML that does not hold together
    |-- WeightsError               a weights file that is missing, damaged or made for another network
    `-- DownloadError              (datasets.downloads) a file that cannot be fetched, or is not what it should be

The doors translate it: the command line prints one line and exits with 2, or notes the refusal of one study and goes
on; a page shows the message. Anything that is not a `DenseLensError` is a bug.
"""

from datasets.codes import RefusalCode


class DenseLensError(Exception):
    """An error with three parts: what was expected, what came, what to do.

    Args:
        expected: What would have been right, in words a user knows.
        got: What came instead: the value, shape or file.
        advice: What to do about it.
    """

    def __init__(self, expected: str, got: str, advice: str) -> None:
        super().__init__(expected, got, advice)
        self.expected = expected
        self.got = got
        self.advice = advice

    @property
    def message(self) -> str:
        """What was expected and what came, in one line."""
        return f"expected {self.expected}; got {self.got}"

    def __str__(self) -> str:
        return f"{self.message}; {self.advice}"


class InputRefused(DenseLensError):
    """An input that cannot be used without guessing: refused with a coded reason.

    Args:
        code: The stable code, listed in `docs/codes.md`.
        expected: What would have been right.
        got: What came instead.
        advice: What to do about it.
    """

    def __init__(self, code: RefusalCode, expected: str, got: str, advice: str) -> None:
        super().__init__(expected, got, advice)
        self.code = code
        # Exception.__reduce__ replays `args`, so they must be the constructor's: refusals cross process borders.
        self.args = (code, expected, got, advice)


class ConfigError(DenseLensError):
    """Settings, a command line or a YAML file that does not hold together."""


class WeightsError(DenseLensError):
    """A weights file that is missing, damaged or made for another network."""
