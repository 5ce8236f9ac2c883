"""Pages by themselves, as somebody sees them."""

from collections.abc import Callable

import pyarrow
from streamlit.testing.v1 import AppTest

from app.access import Person, Role
from app.services.services import Services

ANYBODY = frozenset(Role)


def page(
    render: Callable[[Services, Person], None], here: Services, name: str = "rita", roles: frozenset[Role] = ANYBODY
) -> AppTest:
    """A page as one person sees it, run once."""

    def script(render, here, person):  # Without types: its source is run where none of them is known.
        render(here, person)

    told = {"render": render, "here": here, "person": Person(name, roles)}
    return AppTest.from_function(script, kwargs=told, default_timeout=60).run()


def words_of(page: AppTest) -> str:
    """All that is written on a page outside of tables and charts."""
    kinds = (page.header, page.subheader, page.markdown, page.caption, page.info, page.warning, page.error)
    return "\n".join(str(one.value) for kind in kinds for one in kind)


def rows_of(page: AppTest) -> list[dict[str, object]]:
    """What is drawn in all charts together."""
    sets = [one for chart in page.get("vega_lite_chart") for one in chart.proto.datasets]
    return [row for one in sets for row in pyarrow.ipc.open_stream(one.data.data).read_all().to_pylist()]
