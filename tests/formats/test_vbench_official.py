"""Result files of the official VBench tool: what is read, and what is refused with the file."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats.errors import FormatError
from formats.vbench import I2V, T2V, Protocol, total
from formats.vbench_official import PERCENT, UNIT, Found, read_results
from tests.formats.test_vbench_totals import RAW_I2V, RAW_T2V


def videos(*values: Any) -> list[dict[str, Any]]:
    return [
        {"video_path": f"/out/a dog runs-{n}.mp4", "video_results": value}
        for n, value in enumerate(values)
    ]


def official(raw: dict[str, float]) -> dict[str, Any]:
    """As the tool writes it: percent for the videos of imaging quality alone."""
    return {
        key: [value, videos(value * (100 if key == "imaging_quality" else 1))]
        for key, value in raw.items()
    }


def read(*contents: Any, protocol: Protocol = T2V, scale: str = UNIT) -> Found:
    files = [
        (f"r{n}_eval_results.json", each if isinstance(each, bytes) else json.dumps(each).encode())
        for n, each in enumerate(contents)
    ]
    return read_results(files, protocol, scale=scale)


@pytest.mark.parametrize(
    ("protocol", "raw", "expected"), [(T2V, RAW_T2V, 0.825941), (I2V, RAW_I2V, 0.861617)]
)
def test_a_complete_file_gives_the_total_of_the_vector(
    protocol: Protocol, raw: dict[str, float], expected: float
) -> None:
    found = read(official(raw), protocol=protocol)
    values = {key: each.raw for key, each in found.measured.items()}
    assert values == raw
    assert total(values, protocol) == pytest.approx(expected, abs=1e-6)
    assert found.notes == []


def test_one_file_for_each_dimension_is_one_result() -> None:
    """The tool is mostly run once for each dimension."""
    found = read(*({key: value} for key, value in official(RAW_T2V).items()))
    assert total({k: v.raw for k, v in found.measured.items()}, T2V) == pytest.approx(
        0.825941, abs=1e-6
    )
    assert found.measured["scene"].file == "r12_eval_results.json"


def test_percent_is_read_where_it_is_said() -> None:
    contents = {key: [100 * value, []] for key, value in RAW_T2V.items()}
    found = read(contents, scale=PERCENT)
    assert total({k: v.raw for k, v in found.measured.items()}, T2V) == pytest.approx(
        0.825941, abs=1e-6
    )


def test_blanks_and_the_long_names_of_the_scripts_are_understood() -> None:
    found = read(
        {"Video-Image Subject Consistency": 0.97, "Video-Text Camera Motion": [0.4, {}, []]},
        protocol=I2V,
    )
    assert set(found.measured) == {"i2v_subject", "camera_motion"}
    assert "subject_consistency" in read({"subject consistency": 0.9}).measured


def test_flickering_stands_beside_the_nine_dimensions_of_image_to_video() -> None:
    assert read({"temporal_flickering": 0.97}, protocol=I2V).measured["temporal_flickering"].raw


def test_camera_motion_may_lack_a_kind_of_motion() -> None:
    """The tool takes the mean of no value there, and writes NaN."""
    contents = (
        b'{"camera_motion": [0.5, {"pan_left": NaN}, [{"video_path": "a", "video_results": 0.5}]]}'
    )
    assert read(contents, protocol=I2V).measured["camera_motion"].raw == 0.5


def test_booleans_of_videos_count_as_one_and_zero() -> None:
    found = read({"dynamic_degree": [0.5, videos(True, False)]})
    assert list(found.measured["dynamic_degree"].of_videos.values()) == [1.0, 0.0]


def test_a_cosine_may_lie_below_zero() -> None:
    assert read({"overall_consistency": -0.01}).measured["overall_consistency"].raw == -0.01


def test_the_same_twice_is_said_once() -> None:
    found = read({"scene": 0.5}, {"scene": 0.5})
    assert "scene is in r0_eval_results.json too" in "\n".join(found.notes)


def test_an_aggregate_that_its_videos_do_not_give_is_kept_and_said() -> None:
    found = read({"scene": [0.5, videos(0.9, 0.9)]})
    assert found.measured["scene"].raw == 0.5
    assert found.notes == ["r0_eval_results.json: scene is 0.5000, the mean of its videos 0.9000"]


def test_frame_weighting_is_no_contradiction() -> None:
    assert read({"subject_consistency": [0.9621, videos(0.96, 0.968)]}).notes == []


BAD: list[tuple[Any, str]] = [
    (b"", "not JSON"),
    (b"{", "r0_eval_results.json:1: not JSON"),
    (b"\xff\xfe{}", "not UTF-8"),
    (b"[]", "this looks like .*full_info.json"),
    (b'"x"', "expected an object from dimension"),
    (b"[" * 200_000, "nested too deeply"),
    ({}, "names no dimension"),
    (b'{"scene": 0.5, "scene": 0.6}', "the key 'scene' stands there twice"),
    ({"scene": 0.5, "Scene": 0.5}, "scene stands there twice"),
    ({"sceen": 0.5}, "VBench has no dimension 'sceen'; did you mean 'scene'"),
    ({"total": 0.8}, "VBench has no dimension 'total'"),
    ({"proxy:motion_amount": 0.8}, "VBench has no dimension"),
    ({"i2v_subject": 0.9}, "is a dimension of VBench-I2V, not of VBench; .* protocol i2v"),
    (b'{"scene": NaN}', "scene must be a finite number, got nan"),
    (b'{"scene": [Infinity, []]}', "must be a finite number, got inf"),
    ({"scene": None}, "must be a finite number, got null"),
    ({"scene": "0.5"}, "must be a finite number, got 0.5"),
    ({"scene": True}, "must be a finite number, got True"),
    ({"scene": [0.5]}, "scene must be .aggregate, videos."),
    ({"scene": [0.5, {}]}, "scene must be .aggregate, videos."),
    ({"scene": 52.0}, "scene is 52; expected 0 to 1; where all values .* say scale 0-100"),
    ({"scene": 520.0}, "scene is 520; expected 0 to 1$"),
    ({"scene": -0.1}, "scene is -0.1; expected 0 to 1$"),
    ({"overall_consistency": -1.5}, "overall_consistency is -1.5; expected -1 to 1"),
    (
        {"imaging_quality": [67.0, videos(67.0)]},
        "its aggregate is the mean of its videos divided by 100",
    ),
    (
        {"imaging_quality": [0.67, videos(0.67, 0.67)]},
        "imaging_quality of the videos is 0 to 100 .* another scale",
    ),
    ({"subject_consistency": [0.9, videos(96.0)]}, "of the video .* is 96; expected 0 to 1"),
    ({"scene": [0.5, [{"video_results": 0.5}]]}, "a video without a video_path"),
    ({"scene": [0.5, ["a.mp4"]]}, "a video without a video_path"),
    ({"scene": [0.5, videos(None)]}, "of the video .* must be a finite number, got null"),
    ({"scene": [0.5, [*videos(0.5), *videos(0.5)]]}, "has the video .* twice"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "sentence"), BAD, ids=range(len(BAD)))
def test_a_bad_file_is_refused_by_its_name(content: Any, sentence: str) -> None:
    with pytest.raises(FormatError, match=sentence) as caught:
        read(content)
    assert str(caught.value).startswith("r0_eval_results.json")


def test_another_value_of_a_dimension_names_both_files() -> None:
    with pytest.raises(FormatError) as caught:
        read({"scene": 0.5}, {"color": 0.8, "scene": 0.6})
    assert str(caught.value) == (
        "r1_eval_results.json: scene is 0.6 here and 0.5 in r0_eval_results.json;"
        " keep the file of one measurement"
    )


def test_percent_that_is_none_is_refused() -> None:
    with pytest.raises(FormatError, match="no value is above 1, so the file is not on the scale"):
        read({"scene": 0.5, "color": 0.9}, scale=PERCENT)
    with pytest.raises(FormatError, match="scale must be one of 0-1, 0-100, got '1-5'"):
        read({"scene": 0.5}, scale="1-5")


def test_no_file_at_all_is_refused() -> None:
    with pytest.raises(FormatError, match="there is no file of results"):
        read()


def test_a_huge_number_is_no_number() -> None:
    assert math.isinf(json.loads("1e999"))
    with pytest.raises(FormatError, match="must be a finite number"):
        read(b'{"scene": 1e999}')
    with pytest.raises(FormatError, match="scene"):
        read(b'{"scene": ' + b"9" * 9000 + b"}")


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
_NAMES = st.sampled_from([*T2V.names, *I2V.names, "total", "video_path", "video_results", ""])


@given(content=_JSON | st.dictionaries(_NAMES, _JSON | st.lists(_JSON, min_size=2, max_size=3)))
def test_whatever_a_file_holds_it_is_read_or_refused_by_its_name(content: Any) -> None:
    refused, found = "", None
    try:
        found = read(json.dumps(content).encode())
    except FormatError as error:
        refused = str(error)
    assert found is not None or refused.startswith("r0_eval_results.json")
    assert found is None or all(-1.01 < each.raw < 1.01 for each in found.measured.values())


@given(data=st.binary(max_size=40))
def test_whatever_bytes_come_they_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match=r"^r0_eval_results\.json"):
        read(data)
