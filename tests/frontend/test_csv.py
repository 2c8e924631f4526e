"""CSV files: delimiters, headers, targets, folders; what is refused is named by line and column."""

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.errors import LgcError
from lgc.frontend import data


def table(path: Path, text: str, name: str = "t.csv") -> Path:
    (path / name).write_text(text)
    return path / name


ROWS = "".join(f"{i % 5},{i * 0.5},{'ab'[i % 2]}\n" for i in range(20))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("header", ["", "width,height,kind\n"])
def test_csv(tmp_path: Path, delimiter: str, header: str) -> None:
    loaded = data.load(table(tmp_path, "\ufeff" + (header + ROWS).replace(",", delimiter) + "\n"))
    assert (loaded.train_x.shape, loaded.test_x.shape) == ((16, 2), (4, 2))
    assert loaded.class_names == ("a", "b")
    assert loaded.feature_names == (("width", "height") if header else ())
    together = np.concatenate([loaded.train_x, loaded.test_x])
    assert sorted(map(tuple, together.tolist())) == [(i % 5, i * 0.5) for i in SORTED]
    every = zip([*loaded.train_x[:, 1], *loaded.test_x[:, 1]], [*loaded.train_y, *loaded.test_y], strict=True)
    assert all((x / 0.5) % 2 == y for x, y in every)


SORTED = sorted(range(20), key=lambda i: (i % 5, i))


def test_csv_target_by_name_and_number(tmp_path: Path) -> None:
    path = table(tmp_path, "kind,x,y\n" + "".join(f"{1 + i % 3}, {i}, {-i}\n" for i in range(30)))
    named = data.load(f"{path}#kind")
    assert (named.class_names, named.feature_names) == (("1", "2", "3"), ("x", "y"))
    assert np.array_equal((named.train_x[:, 0] % 3), named.train_y)
    assert named.train_x.dtype == np.int64
    assert named.source == f"{path}#kind"
    assert np.array_equal(data.load(named.source).train_x, named.train_x)
    bare = table(tmp_path, path.read_text().split("\n", 1)[1], "bare.csv")
    assert np.array_equal(data.load(f"{bare}#1").train_x, named.train_x)


def test_csv_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set").mkdir()
    table(tmp_path / "set", "x,y,c\n" + ROWS, "train.csv")
    test = table(tmp_path / "set", "x,y,c\n1,2,b\n3,4,a\n", "test.csv")
    monkeypatch.setenv("LGC_DATA", str(tmp_path))
    loaded = data.load("set#c")
    assert (loaded.train_x.shape, loaded.test_y.tolist()) == ((20, 2), [1, 0])
    test.write_text("x,y,c\n1,2,z\n")
    with pytest.raises(LgcError, match=r"test\.csv, line 2: the training set has no class 'z'"):
        data.load("set")
    test.write_text("x,z,c\n1,2,a\n")
    with pytest.raises(LgcError, match=r"test\.csv has other columns than"):
        data.load("set")


BAD_CSV = {
    "empty": ("", "holds no samples"),
    "header only": ("a,b,c\n", "holds no samples"),
    "one column": ("a\n1\n", "has one column"),
    "ragged": ("a,b\n1,2\n1\n", "line 3: 1 columns instead of 2"),
    "text": ("a,b\n1,2\nx,2\n", "line 3: 'x' in column 'a' is not a number"),
    "gap": ("1,2,3\n1,,3\n", "line 2: '' in column 2 is not a number. Fill gaps"),
    "nan": ("a,b\n1,2\nnan,2\n", "line 3: 'nan' in column 'a' is not a number"),
    "infinite": ("a,b\n1,2\n1e999,2\n", "line 3: '1e999' in column 'a' is not a number"),
    "no class": ("a,b\n1,2\n1,\n", "line 3: no class in column 'b'"),
    "measure": ("a,b\n1,2.5\n", "line 2: the class 2.5 in column 'b' is not whole. lgc classifies"),
    "one class": ("a,b\n1,2\n2,2\n3,2\n", "^There is only one class"),
    "rare class": ("a,b\n1,x\n2,x\n3,y\n", "^Class 1 of .* has one sample"),
    "binary": ("a,b\n\udcff,1\n", "Cannot read the table"),
}


@pytest.mark.parametrize("case", sorted(BAD_CSV))
def test_bad_csv(tmp_path: Path, case: str) -> None:
    text, message = BAD_CSV[case]
    (tmp_path / "t.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(LgcError, match=message):
        data.load(tmp_path / "t.csv")


def test_csv_without_that_column(tmp_path: Path) -> None:
    path = table(tmp_path, "width,height,kind\n" + ROWS)
    with pytest.raises(LgcError, match=r"has no column 'kid'\. Did you mean kind"):
        data.load(f"{path}#kid")
    bare = table(tmp_path, ROWS, "bare.csv")
    for column in ("kind", "0", "4"):
        with pytest.raises(LgcError, match=f"has no header, so there is no column '{column}'.*1 to 3"):
            data.load(f"{bare}#{column}")
    double = table(tmp_path, "a,a,b\n" + ROWS, "double.csv")
    with pytest.raises(LgcError, match="has several columns 'a'"):
        data.load(f"{double}#a")


@given(st.lists(st.tuples(st.integers(-5, 5), st.floats(-1e3, 1e3, width=32)), min_size=10, max_size=40))
def test_csv_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, float]]) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_text("".join(f"{a},{b!r},{i % 2}\n" for i, (a, b) in enumerate(rows)))
    loaded = data.load(path)
    together = np.concatenate([loaded.train_x, loaded.test_x]).astype(float)
    assert sorted(map(tuple, together.tolist())) == sorted((float(a), float(b)) for a, b in rows)


def test_constant_features_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = ",".join(f"f{i}" for i in range(8))
    rows = "".join(f"{i}{',7' * 7},{i % 2}\n" for i in range(20))
    with caplog.at_level(logging.WARNING, logger="lgc.frontend.data"):
        data.load(table(tmp_path, f"{names},c\n{rows}"))
    assert "7 of 8 features never change in training and say nothing: f1, f2, f3, f4, f5 and 2 more" in (
        caplog.text
    )


@given(st.one_of(st.binary(max_size=200), st.text(alphabet='0123ab,;.-"\n\r\t #e\0', max_size=200)))
def test_any_table_is_read_or_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes | str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    try:
        loaded = data.load(path)
    except LgcError:  # anything else would be a traceback
        pass
    else:
        assert np.isfinite(loaded.train_x.astype(float)).all()
        assert set(loaded.test_y) <= set(loaded.train_y) == set(range(len(loaded.class_names)))
