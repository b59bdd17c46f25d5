"""Durations and sizes: read exactly, never without a unit."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tailrace.quantities import QuantityError, duration_ms, duration_text, size_bytes


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("80ms", 80),
        ("1.5s", 1500),
        ("2m", 120_000),
        ("1h", 3_600_000),
        ("250us", 0.25),
        ("250µs", 0.25),
        (" 80 ms ", 80),
        (timedelta(seconds=2), 2000),
        (timedelta(microseconds=250), 0.25),
    ],
)
def test_a_duration(text: object, milliseconds: float) -> None:
    assert duration_ms(text) == milliseconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("4MiB", 4 << 20), ("16KiB", 16384), ("500KB", 500_000), ("512B", 512), ("0.5KiB", 512)],
)
def test_a_size(text: str, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize(
    ("value", "code", "hint"),
    [
        (80, "TR001", 'did you mean "80ms"?'),
        (0.5, "TR001", 'did you mean "0.5s"?'),
        ("80", "TR001", 'did you mean "80ms"?'),
        ("80MS", "TR002", 'did you mean "80ms"?'),
        ("80secs", "TR002", 'did you mean "80s"?'),
        ("80 parsecs", "TR002", "units: us, µs, ms, s, m, h"),
        ("fast", "TR002", 'write "80ms", "1.5s" or "2m"'),
        ("", "TR002", 'write "80ms", "1.5s" or "2m"'),
        (True, "TR002", 'write "80ms", "1.5s" or "2m"'),
        (None, "TR002", 'write "80ms", "1.5s" or "2m"'),
        ("0ms", "TR003", "a limit of nothing refuses every request"),
        ("-1ms", "TR003", "a limit of nothing refuses every request"),
        ("25h", "TR003", "the most that limits is 24h"),
        (timedelta(days=2), "TR003", "the most that limits is 24h"),
        ("9" * 400 + "h", "TR003", "the most that limits is 24h"),
    ],
)
def test_what_is_not_a_duration_says_what_to_write(value: object, code: str, hint: str) -> None:
    with pytest.raises(QuantityError) as caught:
        duration_ms(value)
    assert (caught.value.code, caught.value.hint) == (code, hint)


@pytest.mark.parametrize(
    ("value", "code"), [(4096, "TR001"), ("4M", "TR002"), ("0.3B", "TR002"), ("5GiB", "TR003")]
)
def test_what_is_not_a_size(value: object, code: str) -> None:
    with pytest.raises(QuantityError) as caught:
        size_bytes(value)
    assert caught.value.code == code


def test_zero_only_where_it_means_something() -> None:
    assert duration_ms("0s", zero=True) == 0
    with pytest.raises(QuantityError):
        duration_ms("-1s", zero=True)


@given(st.integers(1, 10_000_000))
def test_what_is_shown_is_read_back(microseconds: int) -> None:
    milliseconds = microseconds / 1000
    assert duration_ms(duration_text(milliseconds)) == pytest.approx(milliseconds, rel=1e-5)


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_a_clear_refusal(text: str) -> None:
    try:
        assert duration_ms(text) > 0
    except QuantityError as error:
        assert error.hint
        assert error.code in ("TR001", "TR002", "TR003")
