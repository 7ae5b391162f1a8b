"""Files of MNIST and FashionMNIST (IDX) and of CIFAR-10 (binary version), read as their authors define them."""

import gzip
from pathlib import Path

import numpy as np

IDX = (
    "in IDX format: train-images-idx3-ubyte and train-labels-idx1-ubyte, as they are or with .gz (big-endian header: "
    "two zero bytes, type 8, number of axes, sizes)"
)
CIFAR = (
    "in the binary version of CIFAR-10: data_batch_1.bin to data_batch_5.bin (records of one label byte and 3072 "
    "pixels: red, green, blue, each 32 x 32)"
)
_RECORD = 1 + 3 * 32 * 32


def read_idx(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, height, width, 1) and labels (N,) of a folder in MNIST's format."""
    pixels = _idx(_present(folder, "train-images-idx3-ubyte", IDX), axes=3)
    labels = _idx(_present(folder, "train-labels-idx1-ubyte", IDX), axes=1)
    if len(pixels) != len(labels) or not len(labels):
        raise ValueError(
            f"{folder} holds {len(pixels)} images and {len(labels)} labels: files do not match, or are empty."
        )
    return pixels[..., None], labels.astype(np.int64)


def read_cifar(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 32, 32, 3) and labels (N,) of a folder in CIFAR-10's binary format."""
    paths = [_present(folder, f"data_batch_{batch}.bin", CIFAR) for batch in range(1, 6)]
    records = []
    for path in paths:
        content = np.frombuffer(path.read_bytes(), np.uint8)
        if not content.size or content.size % _RECORD:
            raise ValueError(
                f"{path} has {content.size} bytes, no whole number of records of {_RECORD}: it must be {CIFAR}."
            )
        records.append(content.reshape(-1, _RECORD))
        if records[-1][:, 0].max() > 9:
            raise ValueError(f"{path} has a label of {records[-1][:, 0].max()}, above 9: it must be {CIFAR}.")
    record = np.concatenate(records)
    return record[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), record[:, 0].astype(np.int64)


def _present(folder: Path, name: str, described: str) -> Path:
    found = next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
    if found is None:
        raise FileNotFoundError(f"{folder / name} is missing: the folder must hold the files {described}.")
    return found


def _idx(path: Path, axes: int) -> np.ndarray:
    """Bytes of an IDX file of that many axes."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, EOFError) as error:
        raise ValueError(f"{path} is no gzip file, or is cut: {error}.") from error
    header = 4 + 4 * axes
    if len(content) < header or content[:4] != bytes([0, 0, 8, axes]):
        raise ValueError(f"{path} does not begin with the bytes 0, 0, 8, {axes}: it must be {IDX}.")
    sizes = np.frombuffer(content, ">u4", axes, 4).astype(int)
    if len(content) - header != sizes.prod():
        raise ValueError(
            f"{path} holds {len(content) - header} bytes for sizes {tuple(sizes)}: it is cut, or too long."
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(sizes)
