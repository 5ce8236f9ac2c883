"""The numbers are the same in every export, as other people's software reads them."""

from pathlib import Path

import pytest

from app.services.exports.as_csv import as_csv
from app.services.exports.as_html import as_html
from app.services.exports.as_json import as_json
from app.services.exports.as_pdf import as_pdf
from app.services.exports.as_sr import as_sr
from app.services.record import CaseRecord
from app.services.wording import quantity_text
from tests.app.services.exports import reading, scene
from tests.datasets.report_reading import values_by_dcmqi


@pytest.fixture(scope="module", params=["edited", "decided", "new"])
def record(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CaseRecord:
    planted = scene.liver(tmp_path_factory.mktemp("liver"))
    if request.param != "new":
        scene.decided(planted, edited=request.param == "edited")
    return planted.record()


def test_the_numbers_are_equal_in_all_of_them(record: CaseRecord, tmp_path: Path) -> None:
    told = reading.of_json(as_json(record))
    # Two findings with two probabilities each, seven values and one that could not be measured, three of whole labels.
    assert len(told) == 4 + 8 + 3 + (4 if record.edit else 0)
    assert told["liver tumor 1", "probability"] == "0.988"
    assert told["liver tumor 1", "volume"] == "12.3 ml"
    assert told["liver tumor 2", "mean_attenuation"] == "-14.5 HU"
    assert told["liver tumor 1", "perpendicular_diameter"] == "0.043 mm"
    assert told["liver tumor, all of it", "burden"] == "1234.6 ml"
    assert reading.of_csv(as_csv(record)) == told
    assert reading.of_html(as_html(record)) == told
    assert reading.of_pdf(as_pdf(record), tmp_path) == told
    # What could not be measured is left out of a structured report.
    measured = {key: text for key, text in told.items() if text != "not measured"}
    assert len(measured) == len(told) - 1
    assert reading.of_sr(written(record, tmp_path)) == measured


def test_files_for_programs_have_every_digit(record: CaseRecord, tmp_path: Path) -> None:
    full = {(row.name, one.name): one.value for row in record.rows if row.kind == "finding" for one in row.quantities}
    from_csv = {
        (f"{row['label']} {row['component']}", row["quantity"]): float(row["value"]) if row["value"] else None
        for row in reading.rows_of_csv(as_csv(record))
        if row["kind"] == "finding"
    }
    assert from_csv == full
    theirs = values_by_dcmqi(written(record, tmp_path))
    assert theirs["liver_tumor 1"]["118565006"] == (pytest.approx(12.3456789, rel=1e-6), "ml")
    assert theirs["liver_tumor 2"]["103339001"] == (pytest.approx(31.41592 / 2, rel=1e-6), "mm")
    assert theirs["liver_tumor 1"]["probability"] == (pytest.approx(0.98765, rel=1e-6), "1")


def test_volumes_of_an_edited_mask_are_its_voxels_times_their_size(tmp_path: Path) -> None:
    record = scene.decided(scene.liver(tmp_path)).record()
    edit, grid = record.edit, record.result.grid
    assert edit is not None
    assert grid is not None
    # The spacings are those of the coarse phantom: 6 x 6 x 8 mm.
    voxel_ml = 6.0 * 6.0 * 8.0 / 1000.0
    assert edit.changed == 5
    for index, volume in enumerate(edit.volumes, start=1):
        assert volume.ml == pytest.approx(int((edit.labels.array == index).sum()) * voxel_ml, rel=1e-6)
        assert volume.ml - volume.before_ml == pytest.approx({1: -5, 2: 5}[index] * voxel_ml)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "ml", "not measured"),
        (0.0, "ml", "0 ml"),
        (2.0, "1", "2"),
        (-7.25, "[hnsf'U]", "-7.25 HU"),
        (0.000012345, "mm", "1.23e-05 mm"),
        (0.0421, "mm2", "0.042 mm²"),
        (1234.56, "ml", "1234.6 ml"),
        (55.04, "um2", "55.0 µm²"),
        (3.0, "1/{megapixel}", "3 1/{megapixel}"),
    ],
)
def test_a_value_is_written_with_the_precision_that_its_size_calls_for(
    value: float | None, unit: str, text: str
) -> None:
    assert quantity_text(value, unit) == text


def written(record: CaseRecord, folder: Path) -> Path:
    export = as_sr(record)
    assert export is not None
    (folder / "review.dcm").write_bytes(export.content)
    return folder / "review.dcm"
