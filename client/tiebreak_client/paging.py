"""Lists that come page by page."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar
from urllib.parse import parse_qs, urlsplit

T_co = TypeVar("T_co", covariant=True)


class Page(Protocol[T_co]):
    @property
    def next(self) -> str | None: ...
    @property
    def results(self) -> Sequence[T_co]: ...


def through(read: Callable[[str | None], Page[T_co]]) -> Iterator[T_co]:
    """All rows: `read` gets the cursor of a page, None for the first."""
    cursor: str | None = None
    while True:
        page = read(cursor)
        yield from page.results
        if page.next is None:
            return
        cursor = parse_qs(urlsplit(page.next).query)["cursor"][0]
