"""Phantoms of nuclei: what is in the picture is what the formula says."""

import numpy as np
import pytest
from scipy import ndimage

from datasets.image import Intensity
from datasets.phantoms.nuclei import NucleiPhantom, Nucleus, nuclei_phantom


def test_areas_are_those_of_the_ellipses() -> None:
    phantom = nuclei_phantom(4, count=30, mpp=0.1, shape_px=(1600, 1200))
    counted = np.bincount(phantom.instances().ravel())[1:] * 0.1**2
    np.testing.assert_allclose(counted, [nucleus.area_um2 for nucleus in phantom.nuclei], rtol=0.01)


@pytest.mark.parametrize("seed", range(4))
def test_every_nucleus_is_one_region_apart_from_the_others(seed: int) -> None:
    phantom = nuclei_phantom(seed)
    numbers = phantom.instances()
    assert len(phantom.nuclei) == 40
    regions, found = ndimage.label(numbers > 0, structure=np.ones((3, 3)))
    assert found == 40
    assert all(len(np.unique(regions[numbers == number])) == 1 for number in range(1, 41))
    assert not numbers[[0, -1]].any()
    assert not numbers[:, [0, -1]].any()


def test_an_ellipse_lies_where_it_should() -> None:
    lying = Nucleus((20.0, 10.0), (8.0, 3.0), 0.0, 1.0)
    numbers = NucleiPhantom((80, 40), 0.5, (lying,), "fluorescence", 0).instances()
    rows, columns = np.nonzero(numbers)
    # Half a pixel is 0.25 um: centres of pixels from 12 to 28 um, and from 7 to 13 um.
    assert (columns.min(), columns.max()) == (24, 55)
    assert (rows.min(), rows.max()) == (14, 25)
    standing = Nucleus((20.0, 10.0), (8.0, 3.0), np.pi / 2, 1.0)
    turned = NucleiPhantom((80, 40), 0.5, (standing,), "fluorescence", 0).instances()
    assert (np.nonzero(turned)[0].max(), np.nonzero(turned)[1].max()) == (35, 45)


@pytest.mark.parametrize(("stain", "brighter"), [("fluorescence", True), ("haematoxylin", False)])
def test_nuclei_stand_out_as_their_stain_does(stain: str, brighter: bool) -> None:
    phantom = nuclei_phantom(7, stain=stain)
    image = phantom.image()
    assert (image.intensity, image.channels) == ((Intensity.GREY, 1) if brighter else (Intensity.COLOUR, 3))
    assert image.shape == (320, 256, 1)
    assert image.grid.spacing_mm[:2] == pytest.approx((0.0005, 0.0005))
    red, inside = image.array[0, :, :, 0].T.astype(float), phantom.instances() > 0
    assert (red[inside].mean() - red[~inside].mean() > 40) == brighter
    assert abs(red[inside].mean() - red[~inside].mean()) > 40


def test_a_seed_gives_one_phantom_and_no_nuclei_an_empty_field() -> None:
    np.testing.assert_array_equal(nuclei_phantom(3).image().array, nuclei_phantom(3).image().array)
    assert (nuclei_phantom(3).image().array != nuclei_phantom(5).image().array).any()
    assert nuclei_phantom(3, count=0).nuclei == ()
    assert not nuclei_phantom(3, count=0).instances().any()
    assert nuclei_phantom(3, shape_px=(8, 8)).nuclei == ()
