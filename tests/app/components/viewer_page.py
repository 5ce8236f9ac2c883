"""What a test does with a viewer in the browser, and where its voxels are on the screen by formula."""

import time
from collections.abc import Sequence
from typing import Any

from playwright.sync_api import Page

from app.services.view import View
from tests.app.components.viewer_server import Case, Server, request_data

# Axes along columns, rows and slices, and whether the rows run against their axis.
AXES = {"axial": (0, 1, 2, False), "coronal": (0, 2, 1, True), "sagittal": (1, 2, 0, True)}
PATIENCE_S = 15.0


class ViewerPage:
    """One page that shows one case."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page = page
        self.server = server
        self.case: Case
        self.base = ""

    def show(self, case: Case, **options: object) -> None:
        """Show a case, and wait until everything of it is there."""
        self.hand_over(case, **options)
        self.wait("viewer()?.ready")
        self.settle()

    def hand_over(self, case: Case, **options: object) -> None:
        """What the page's script does: hand data to the component, the first time or again."""
        if not self.base:
            self.base = self.server.add(f"case-{len(self.server.cases)}", case)
            self.case = case
        self.page.evaluate("data => show(data)", request_data(self.base, case, **options))

    def wait(self, condition: str) -> None:
        """Until an expression holds."""
        end = time.monotonic() + PATIENCE_S
        while not self.page.evaluate(condition):
            assert time.monotonic() < end, f"{condition} did not come to hold"
            time.sleep(0.02)

    def settle(self) -> None:
        """Until everything asked for is drawn."""
        self.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
        self.settle()

    def state(self) -> dict[str, Any]:
        return self.page.evaluate("viewer().state()")

    def events(self) -> list[Any]:
        return self.page.evaluate("events")

    def label(self, voxel: tuple[int, int, int]) -> int:
        return self.page.evaluate("voxel => viewer().label(...voxel)", list(voxel))

    def text(self, selector: str) -> str:
        return self.page.locator(selector).text_content() or ""

    def control(self, label: str) -> Any:
        return self.page.get_by_label(label, exact=True)

    def module(self, name: str, expression: str, argument: object = None) -> Any:
        """The value of an expression over a module of the viewer, called `m`, and an argument, called `x`."""
        source = f"async x => {{ const m = await import('/assets/viewer/{name}.js'); return {expression}; }}"
        return self.page.evaluate(source, argument)

    def point(self, plane: str, voxel: tuple[float, float, float]) -> tuple[float, float]:
        """Where a voxel's centre is in a plane that fits the screen, in CSS pixels from the plane's corner."""
        view: View = self.case.view
        across, down, _, flip = AXES[plane]
        steps = view.spacing_mm or (1.0, 1.0, 1.0)
        box = self.box(plane)
        columns, rows = view.shape[across], view.shape[down]
        scale = min(box["width"] / (columns * steps[across]), box["height"] / (rows * steps[down]))
        row = rows - 1 - voxel[down] if flip else voxel[down]
        return (
            box["width"] / 2 + (voxel[across] + 0.5 - columns / 2) * steps[across] * scale,
            box["height"] / 2 + (row + 0.5 - rows / 2) * steps[down] * scale,
        )

    def box(self, plane: str) -> dict[str, float]:
        found = self.page.locator(f"[data-plane={plane}]").bounding_box()
        assert found is not None
        return dict(found)

    def on_page(self, plane: str, voxel: tuple[float, float, float]) -> tuple[float, float]:
        box = self.box(plane)
        x, y = self.point(plane, voxel)
        return box["x"] + x, box["y"] + y

    def pixels(self, plane: str, voxels: Sequence[tuple[float, float, float]]) -> list[tuple[int, int, int]]:
        """Red, green and blue at the centres of voxels on the lower canvas."""
        source = """([plane, points]) => {
          const canvas = root().querySelector(`[data-plane=${plane}] canvas.pixels`);
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return points.map(([x, y]) => {
            const at = 4 * (Math.floor(y) * canvas.width + Math.floor(x));
            return [data[at], data[at + 1], data[at + 2]];
          });
        }"""
        points = [list(self.point(plane, voxel)) for voxel in voxels]
        return [(red, green, blue) for red, green, blue in self.page.evaluate(source, [plane, points])]

    def pixel(self, plane: str, voxel: tuple[float, float, float]) -> tuple[int, int, int]:
        """The same at one voxel."""
        return self.pixels(plane, [voxel])[0]

    def move(self, plane: str, voxel: tuple[float, float, float]) -> None:
        self.page.mouse.move(*self.on_page(plane, voxel))
        self.settle()

    def drag(self, plane: str, *voxels: tuple[float, float, float], button: Any = "left") -> None:
        """Press at the first voxel, move through the others, let go at the last."""
        self.page.mouse.move(*self.on_page(plane, voxels[0]))
        self.page.mouse.down(button=button)
        for voxel in voxels[1:]:
            self.page.mouse.move(*self.on_page(plane, voxel))
        self.page.mouse.up(button=button)
        self.settle()
