"""What every test may ask for."""

import ast
import os
import shutil
from pathlib import Path

import pytest

# Before torch is imported: spinning OpenMP threads starve each other on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = ("app", "pipelines", "networks", "datasets")
IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images beside the checkout; the test is skipped, saying so, where it is absent."""
    folder = Path(os.environ.get("DENSELENS_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real images are not at hand: {folder} does not exist (set DENSELENS_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def modules() -> dict[str, Path]:
    """The modules of the four packages: dotted name -> file."""
    return {
        ".".join(file.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): file
        for package in PACKAGES
        for file in sorted((REPOSITORY / package).rglob("*.py"))
    }


@pytest.fixture(scope="session")
def trees(modules: dict[str, Path]) -> dict[str, ast.Module]:
    """The syntax trees of the four packages: dotted name -> tree."""
    return {name: ast.parse(file.read_text(encoding="utf-8"), str(file)) for name, file in modules.items()}


def _lacks_cuda() -> bool:
    import torch  # noqa: PLC0415 - only the tests that need a device pay for it

    return not torch.cuda.is_available()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose system program or device is missing, in plain view; a missing program fails in CI."""
    for mark in item.iter_markers("needs"):
        for tool in mark.args:
            if shutil.which(tool) is None:
                reason = f"{tool} is not installed: run `make test-deps`"
                if IN_CI:
                    pytest.fail(reason, pytrace=False)
                pytest.skip(reason)
    if item.get_closest_marker("cuda") is not None and _lacks_cuda():
        pytest.skip("no CUDA device at hand")
