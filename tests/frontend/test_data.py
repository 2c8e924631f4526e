import gzip
import lzma
import os
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lgc.errors import LgcError, ToolMissingError
from lgc.frontend import bundled, data, uci
from lgc.ir.encoder import FixedPoint

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("LGC_DATA", ROOT.parent / "shared" / "data"))
MNIST, UCI = DATA / "mnist", DATA / "uci"
needs_mnist = pytest.mark.skipif(not MNIST.is_dir(), reason=f"the real MNIST is not at {MNIST}; set LGC_DATA")
needs_uci = pytest.mark.skipif(not UCI.is_dir(), reason=f"the UCI sets are not at {UCI}; set LGC_DATA")

Array = npt.NDArray[np.generic]


def idx_bytes(array: Array) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small idx folder: 20 training and 10 test images of 3x2 pixels, two classes."""
    rng = np.random.default_rng(0)
    for part, n in (("train", 20), ("t10k", 10)):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(rng.integers(0, 256, (n, 3, 2))))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(np.arange(n) % 2))
    return tmp_path


def npz(path: Path, **changes: object) -> Path:
    rng = np.random.default_rng(0)
    arrays: dict[str, object] = {
        "x_train": rng.normal(size=(12, 4)),
        "y_train": np.arange(12) % 3,
        "x_test": rng.normal(size=(6, 4)),
        "y_test": np.arange(6) % 3,
    }
    arrays |= changes
    out = path / "set.npz"
    np.savez(out, **{key: np.asarray(value) for key, value in arrays.items() if value is not None})
    return out


def test_digits_are_split_once_and_for_all() -> None:
    digits = data.load("digits")
    assert (digits.train_x.shape, digits.test_x.shape) == ((1437, 8, 8), (360, 8, 8))
    assert digits.format == FixedPoint(5)
    assert int(digits.train_x.max()) == 16
    assert np.bincount(digits.test_y).tolist() == DIGITS_TEST_COUNTS
    # the split is part of every reported accuracy: it must never move
    assert int(digits.test_x.astype(np.int64).sum()) == DIGITS_TEST_SUM
    assert digits.class_names == tuple("0123456789")


DIGITS_TEST_SUM = 112559
DIGITS_TEST_COUNTS = [36, 37, 35, 37, 36, 36, 36, 36, 35, 36]


def test_digits_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ToolMissingError, match=r'pip install "lgc\[train\]"'):
        data.load("digits")


@needs_mnist
def test_mnist_is_read_as_published() -> None:
    mnist = data.load(MNIST)
    assert (mnist.train_x.shape, mnist.test_x.shape) == ((60000, 28, 28), (10000, 28, 28))
    assert np.bincount(mnist.train_y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert (mnist.format, mnist.image_shape, mnist.features) == (FixedPoint(8), (28, 28), 784)


@needs_mnist
def test_names_are_looked_up_in_lgc_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LGC_DATA", str(MNIST.parent))
    assert len(data.load("mnist").test_y) == 10000


def test_idx_raw_and_gzipped_read_alike(folder: Path) -> None:
    raw = data.load(folder)
    for path in list(folder.iterdir()):
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    packed = data.load(folder)
    assert np.array_equal(raw.train_x, packed.train_x)
    assert np.array_equal(raw.test_y, packed.test_y)
    assert raw.image_shape == (3, 2)


def test_missing_sources(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(LgcError, match="^There is no data set 'nowhere'"):
        data.load("nowhere")
    with pytest.raises(
        LgcError, match=r"^There is no data set 'digit'\. Did you mean digits or iris\? Give breast_cancer"
    ):
        data.load("digit")
    with pytest.raises(LgcError, match="is not a data set lgc can read"):
        data.load(folder / "train-images-idx3-ubyte")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(LgcError, match=r"holds no t10k labels\. Expected t10k-labels-idx1-ubyte"):
        data.load(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(LgcError, match="holds no train images"):
        data.load(tmp_path / "empty")


BAD_IDX = {
    "empty": (b"", "is not an idx file"),
    "text": (b"<html>not found</html>", "is not an idx file"),
    "type": (bytes([0, 0, 13, 3]) + bytes(100), "of type 0x0d"),
    "rank": (bytes([0, 0, 8, 1]) + bytes(100), "holds 1-dimensional data"),
    "header": (bytes([0, 0, 8, 3, 0, 0]), "is truncated"),
    "huge": (bytes([0, 0, 8, 3]) + b"\xff" * 12, "is truncated"),
    "short": (idx_bytes(np.zeros((20, 3, 2)))[:-1], "is truncated|should hold 120 bytes"),
    "long": (idx_bytes(np.zeros((20, 3, 2))) + b"x", "has more"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["raw", "gz"])
@pytest.mark.parametrize("case", sorted(BAD_IDX))
def test_bad_idx(folder: Path, case: str, packed: bool) -> None:
    content, message = BAD_IDX[case]
    path = folder / "train-images-idx3-ubyte"
    path.unlink()
    if packed:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content)
    with pytest.raises(LgcError, match=message):
        data.load(folder)


def test_gzip_cut_short_or_garbled(folder: Path) -> None:
    path = folder / "train-images-idx3-ubyte"
    whole = gzip.compress(np.random.default_rng(0).bytes(5000))
    packed = path.with_name(path.name + ".gz")
    path.unlink()
    for content in (whole[:200], whole[:-4], b"\x1f\x8b" + b"garbage" * 20, b"not gzip at all"):
        packed.write_bytes(content)
        with pytest.raises(LgcError):
            data.load(folder)


def test_npz_reals_get_sixteen_bits(tmp_path: Path) -> None:
    loaded = data.load(npz(tmp_path, class_names=["a", "b", "c"]))
    assert loaded.class_names == ("a", "b", "c")
    assert (loaded.format.width, loaded.format.signed, loaded.image_shape) == (16, True, None)
    error = np.abs(np.ldexp(loaded.format.quantise(loaded.train_x), -loaded.format.fraction) - loaded.train_x)
    assert error.max() <= 2.0**-loaded.format.fraction


NAN = np.full((12, 4), np.nan)
BAD_NPZ: dict[str, tuple[dict[str, object], str]] = {
    "missing array": ({"y_test": None}, r"lacks y_test\. Needed: x_train"),
    "nan": ({"x_train": NAN}, "^The training features hold NaN"),
    "text": ({"x_train": np.full((12, 4), "a")}, "not numbers"),
    "one dimension": ({"x_train": np.zeros(12)}, r"have shape \(12,\)"),
    "no samples": ({"x_test": np.zeros((0, 4)), "y_test": np.zeros(0, int)}, r"have shape \(0, 4\)"),
    "feature count": ({"x_test": np.zeros((6, 5))}, r"^Training samples are \(4,\), test samples \(5,\)"),
    "label count": ({"y_train": np.arange(11) % 3}, "12 samples but labels of shape"),
    "negative": ({"y_train": np.arange(12) % 3 - 1}, "labels reach -1"),
    "fraction": ({"y_train": np.arange(12) / 4}, "^The training labels are not integers"),
    "test label": ({"y_test": np.arange(6)}, "^The test labels reach 5, but there are 3 classes"),
    "empty class": ({"y_train": np.arange(12) % 3 * 2}, "^Class 1 has no training sample"),
    "huge label": ({"y_train": np.full(12, 1 << 60)}, "^Class 0 has no training sample"),
    "one class": (
        {"y_train": np.zeros(12, int), "y_test": np.zeros(6, int)},
        "^There is only one class",
    ),
    "names": ({"class_names": ["a", "b"]}, "^The training labels reach 2, but there are 2 classes"),
    "wide": ({"x_train": np.full((12, 4), 1 << 40)}, "31 bits is the limit"),
    "pickle": ({"x_train": np.array([{}] * 12, object)}, "Cannot read"),
}


@pytest.mark.parametrize("case", sorted(BAD_NPZ))
def test_bad_npz(tmp_path: Path, case: str) -> None:
    changes, message = BAD_NPZ[case]
    with pytest.raises(LgcError, match=message):
        data.load(npz(tmp_path, **changes))


def test_npz_that_is_none(tmp_path: Path) -> None:
    path = npz(tmp_path)
    whole = path.read_bytes()
    for content in (b"", b"PK\x03\x04 no archive", whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(content)
        with pytest.raises(LgcError, match="Cannot read"):
            data.load(path)


def test_npz_bomb_is_refused(tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", b"\0" * 5_000_000)
    raw = path.read_bytes().replace((5_000_000).to_bytes(4, "little"), (4_000_000_000).to_bytes(4, "little"))
    path.write_bytes(raw)
    with pytest.raises(LgcError, match="claims to unpack to 4000000000 bytes"):
        data.load(path)


@given(st.lists(st.integers(0, 4), min_size=10, max_size=200), st.integers(0, 2**32), st.data())
def test_validation_is_stratified(labels: list[int], seed: int, draw: st.DataObject) -> None:
    y = np.array(labels)
    size = draw.draw(st.integers(1, len(labels) - 1))
    chosen = data.held_out(y, size, seed)
    assert chosen.sum() == size
    assert np.array_equal(chosen, data.held_out(y, size, seed))
    counts, taken = np.bincount(y, minlength=5), np.bincount(y[chosen], minlength=5)
    assert (np.abs(taken - counts * size / len(y)) < 1 + 1e-9).all()


def test_validation_never_touches_the_test_set() -> None:
    digits = data.load("digits")
    train_x, train_y, val_x, val_y = data.split_validation(digits, 200, seed=3)
    assert (len(train_x), len(val_x), len(train_y), len(val_y)) == (1237, 200, 1237, 200)
    both = np.concatenate([train_x, val_x]).reshape(1437, -1)
    assert sorted(map(bytes, both)) == sorted(map(bytes, digits.train_x.reshape(1437, -1)))
    with pytest.raises(LgcError, match="^Cannot hold out 1437 of 1437 samples"):
        data.split_validation(digits, 1437, seed=3)


@example([0.0, 5e-324])
@example([1e18, -1e-18])
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_fixed_point_covers_the_data(values: list[float]) -> None:
    x = np.array(values)[:, None]
    form = data.fixed_point(x)
    back = np.ldexp(form.quantise(x).astype(float), -form.fraction)
    assert (np.abs(back - x) <= np.ldexp(1.0, -form.fraction)).all()


def test_formats_that_a_checkpoint_can_hold() -> None:
    tiny = data.fixed_point(np.array([[0.0], [1e-300]]))
    assert tiny == FixedPoint(16, fraction=64)
    with pytest.raises(LgcError, match=r"^The features reach 1e\+300\. Scale them"):
        data.fixed_point(np.array([[0.0], [1e300]]))


@pytest.mark.parametrize(
    ("x", "form"),
    [
        (np.array([[0, 255]], np.uint8), FixedPoint(8)),
        (np.array([[0, 1000]]), FixedPoint(10)),
        (np.array([[-3, 4]]), FixedPoint(4, signed=True)),
        (np.array([[0, 0]]), FixedPoint(1)),
    ],
)
def test_fixed_point_is_exact_for_integers(x: npt.NDArray[np.int64], form: FixedPoint) -> None:
    assert data.fixed_point(x) == form
    assert np.array_equal(form.quantise(x), x)


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [("iris", (120, 4), 3), ("wine", (142, 13), 3), ("breast_cancer", (455, 30), 2)],
)
def test_scikit_learn_tables(name: str, shape: tuple[int, int], classes: int) -> None:
    table = data.load(name)
    assert (table.train_x.shape, len(table.class_names), len(table.feature_names)) == (
        shape,
        classes,
        shape[1],
    )
    share = np.bincount(table.test_y) / len(table.test_y) - np.bincount(table.train_y) / len(table.train_y)
    assert np.abs(share).max() < 0.02
    again = data.load(name)
    assert np.array_equal(again.test_x, table.test_x)
    # features of very different range share one format, and each keeps its resolution
    steps = np.ptp(table.format.quantise(table.train_x), axis=0)
    assert steps.min() >= data.RESOLUTION - 1


def test_openml_without_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("http_proxy", "https_proxy"):  # nothing listens on port 9
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    for source in ("openml:no-such-set", "openml:jsc@3", "openml:42468"):
        with pytest.raises(LgcError, match=r"^Cannot fetch '[^']*' from OpenML: .*Check the network"):
            data.load(source)


def test_what_openml_returns() -> None:
    from sklearn.utils import Bunch

    names = ["a", "b"]
    x = np.arange(12.0).reshape(6, 2)
    target = np.array(["yes", "no", "no", "yes", "no", "yes"], object)
    raw = bundled.from_bunch(Bunch(data=x, target=target, feature_names=names), "set")
    assert raw.class_names == ("no", "yes")
    assert raw.train_y.tolist() == [1, 0, 0, 1, 0, 1]
    numbers = Bunch(data=x, target=np.array(["10", "9", "10", "9", "2", "2"], object), feature_names=names)
    assert bundled.from_bunch(numbers, "set").class_names == ("2", "9", "10")
    with pytest.raises(LgcError, match="^The target of 'set' is a measure, not a class"):
        bundled.from_bunch(Bunch(data=x, target=x[:, 0] / 4, feature_names=names), "set")
    with pytest.raises(LgcError, match="^The OpenML set 'set' has no single target"):
        bundled.from_bunch(Bunch(data=x, target=None, feature_names=names), "set")


def test_npy_folder(tmp_path: Path) -> None:
    with np.load(npz(tmp_path)) as packed:
        for name in packed:
            np.save(tmp_path / f"{name}.npy", packed[name])
    loaded, other = data.load(tmp_path), data.load(tmp_path / "set.npz")
    assert np.array_equal(loaded.train_x, other.train_x)
    assert np.array_equal(loaded.test_y, other.test_y)
    (tmp_path / "y_test.npy").write_bytes(b"nothing")
    with pytest.raises(LgcError, match=r"^Cannot read .*y_test\.npy"):
        data.load(tmp_path)


def cifar(folder: Path) -> Path:
    """Six small batches in CIFAR-10's binary format: image n of class c is one colour."""
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for name in names:
        records = np.zeros((20, 3073), np.uint8)
        records[:, 0] = np.arange(20) % 10
        records[:, 1:1025] = 10 * records[:, :1]  # red plane
        records[:, 1025 + 33] = 7  # green, row 1, column 1
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    return folder


def test_cifar_batches(tmp_path: Path) -> None:
    loaded = data.load(cifar(tmp_path))
    assert (loaded.train_x.shape, loaded.test_x.shape) == ((100, 32, 32, 3), (20, 32, 32, 3))
    assert np.array_equal(loaded.train_x[:, 0, 0, 0], 10 * loaded.train_y)
    assert (loaded.train_x[:, 1, 1, 1] == 7).all()
    assert int(loaded.train_x[..., 1].sum()) == 700
    assert (loaded.class_names[0], loaded.image_shape) == ("airplane", (32, 32, 3))
    batch = tmp_path / "data_batch_3.bin"
    whole = batch.read_bytes()
    for content, message in ((whole[:-1], "not a multiple of 3073"), (b"\x0a" + whole[1:], "has a label 10")):
        batch.write_bytes(content)
        with pytest.raises(LgcError, match=message):
            data.load(tmp_path)
    batch.unlink()
    with pytest.raises(LgcError, match=r"^Cannot read .*data_batch_3\.bin"):
        data.load(tmp_path)


def save_images(folder: Path, *, mode: str = "L", size: tuple[int, int] = (4, 6), parts: int = 2) -> Path:
    """Image folder with classes cat and dog; dogs are brighter."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed: pip install pillow")
    rng = np.random.default_rng(0)
    for part in ("train", "test")[:parts] if parts else ("",):
        for level, name in ((0, "cat"), (128, "dog")):
            (folder / part / name).mkdir(parents=True)
            for i in range(5):
                shape = (size[1], size[0], *((3,) if mode == "RGB" else ()))
                pixels = rng.integers(level, level + 128, shape).astype(np.uint8)
                image.fromarray(pixels).save(folder / part / name / f"{i}.png")
    return folder


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("parts", [0, 1, 2])
def test_image_folder(tmp_path: Path, mode: str, parts: int) -> None:
    loaded = data.load(save_images(tmp_path, mode=mode, parts=parts))
    shape = (6, 4) if mode == "L" else (6, 4, 3)
    assert (loaded.image_shape, loaded.class_names) == (shape, ("cat", "dog"))
    assert (len(loaded.train_y), len(loaded.test_y)) == ((10, 10) if parts == 2 else (8, 2))
    bright = loaded.train_x.reshape(len(loaded.train_x), -1).min(axis=1) >= 128
    assert np.array_equal(bright, loaded.train_y == 1)


def test_image_folder_mixes_grey_and_colour(tmp_path: Path) -> None:
    save_images(tmp_path)
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.full((6, 4, 3), (1, 2, 3), np.uint8)).save(tmp_path / "test" / "cat" / "9.png")
    loaded = data.load(tmp_path)
    assert loaded.train_x.shape == (10, 6, 4, 3)
    assert (loaded.train_x[..., 0] == loaded.train_x[..., 2]).all()
    assert (loaded.test_x[5] == [1, 2, 3]).all()


def test_bad_image_folders(tmp_path: Path) -> None:
    folder = save_images(tmp_path)
    image = pytest.importorskip("PIL.Image")
    extra = folder / "train" / "cat" / "9.png"
    image.fromarray(np.zeros((6, 5), np.uint8)).save(extra)
    with pytest.raises(
        LgcError, match=r"^Images differ in size: .*0\.png is 6 x 4 pixels, .*9\.png is 6 x 5"
    ):
        data.load(folder)
    image.fromarray(np.zeros((6, 4), np.uint16)).save(extra)
    with pytest.raises(LgcError, match=r"9\.png has pixels of type I;16.*8 bits per channel"):
        data.load(folder)
    for content in (b"", b"no image", (folder / "train" / "cat" / "0.png").read_bytes()[:60]):
        extra.write_bytes(content)
        with pytest.raises(LgcError, match=r"^Cannot read the image .*9\.png"):
            data.load(folder)
    extra.unlink()
    (folder / "test" / "dog").rename(folder / "test" / "dogs")
    with pytest.raises(LgcError, match=r"^The training set has no class 'dogs'\. Did you mean dog"):
        data.load(folder)
    (folder / "train" / "cow").mkdir()
    with pytest.raises(LgcError, match=r"^The class folder .*cow holds no image"):
        data.load(folder)


def test_images_without_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ToolMissingError, match=r"Pillow, which is not installed\. pip install pillow"):
        data.load(tmp_path)


@needs_uci
def test_adult_is_the_papers_116_features() -> None:
    adult = data.load(UCI / "adult")
    assert (adult.train_x.shape, adult.test_x.shape) == ((30162, 116), (15060, 116))
    assert np.bincount(adult.train_y).tolist() == [22654, 7508]
    assert adult.format == FixedPoint(1)
    # every attribute has exactly one value: 8 categorical ones and 4 binned ones
    groups: dict[str, list[int]] = {}
    for i, name in enumerate(adult.feature_names):
        groups.setdefault(name.split("=")[0].split("[")[0], []).append(i)
    assert len(groups) == 12
    assert all((adult.train_x[:, group].sum(axis=1) == 1).all() for group in groups.values())
    # the first sample of adult.data: 39, State-gov, Bachelors, ..., 2174, 0, 40, United-States
    ones = {adult.feature_names[i] for i in np.flatnonzero(adult.train_x[0])}
    assert {"age[2]", "workclass=State-gov", "capital-gain[1]", "capital-loss[0]", "hours-per-week[3]"} < ones


@needs_uci
def test_monk_1_follows_its_rule() -> None:
    """Class 1 exactly if attributes 1 and 2 are equal or attribute 5 is 1 (Thrun 1991)."""
    monk = data.load(UCI / "monks-1")
    column = {name: monk.test_x[:, i] for i, name in enumerate(monk.feature_names)}
    same = np.sum([column[f"a1={v}"] & column[f"a2={v}"] for v in (1, 2, 3)], axis=0)
    assert np.array_equal((same | column["a5=1"]).astype(np.int64), monk.test_y)


def test_bad_uci(tmp_path: Path) -> None:
    train, test = tmp_path / "monks-1.train", tmp_path / "monks-1.test.xz"
    train.write_text(" 1 1 1 1 1 3 1 data_5\n 0 1 1 1 1 3 2 data_6\n")
    with lzma.open(test, "wt") as file:
        file.write(" 1 1 1 1 1 3 1 data_5\n")
    assert uci.files(tmp_path / "monks-1") is None  # one plain, one packed: not a pair
    (tmp_path / "monks-1.test").write_text(" 1 1 1 1 1 3 1 data_5\n")
    assert data.load(tmp_path / "monks-1").train_y.tolist() == [1, 0]
    for text, message in ((" 1 1 1", "line 1: expected a class"), (" 1 1 1 1 4 3 1 x", "out of range")):
        train.write_text(text)
        with pytest.raises(LgcError, match=message):
            data.load(tmp_path / "monks-1")
    for name in ("adult", "wine-quality"):
        (tmp_path / f"{name}.data").write_text("1, 2\n")
        (tmp_path / f"{name}.test").write_text("1, 2\n")
    with pytest.raises(LgcError, match=r"adult\.data, line 1: expected fourteen attributes"):
        data.load(tmp_path / "adult")
    with pytest.raises(LgcError, match="no recipe for the UCI set 'wine-quality'"):
        data.load(tmp_path / "wine-quality")
