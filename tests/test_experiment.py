"""Trained networks beside peeled models: small experiments, files of data sets, the control, bad input."""

import dataclasses
import gzip
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from command_line import run

import lpmjax as lpm
from lpmjax.cli import experiments as command
from lpmjax.experiment import Experiment, Settings, compared, errors, load
from lpmjax.experiment.cell import prepared, stacked_tasks, trained_cell
from lpmjax.experiment.comparison import halves
from lpmjax.experiment.control import _deep, control
from lpmjax.experiment.decoupling import decoupled
from lpmjax.experiment.nets import convolutional, perceptron, rounded_relu
from lpmjax.experiment.sampling import Profile, class_counts, drawn
from lpmjax.experiment.training import residual, train

TINY = Settings(ratios=(30.0,), decays=(0.03, 0.2), depths=(2,), seeds=1, samples=15, width=16)


@pytest.fixture(scope="module")
def images():
    return load("digits")


@pytest.fixture(scope="module")
def tiny(images):
    return Experiment(images, TINY).complete()


def test_networks_are_trained_measured_and_predicted(tiny):
    ds = tiny.dataset()
    assert tiny.done == tiny.total == 2
    assert (ds["residual"] <= TINY.tol).all() and (ds["converged"] == 1).all()
    assert (ds["NC0"] < 1e-6).all()  # the gradient's rows sum to zero, so a stationary classifier's do
    assert (ds["weight_imbalance"] < 0.02).all()  # homogeneous layers, but for the rounded corner
    weak, strong = (ds.sel(depth=2, ratio=30.0, decay=decay, seed=0) for decay in TINY.decays)
    found = compared(ds).sel(depth=2, ratio=30.0, seed=0, half="minority")
    assert float(strong["objective"]) > float(weak["objective"])
    assert found["cosine"].sel(decay=0.2) > 0.9 and found["test_accuracy"].sel(decay=0.2) < 0.05
    # What was measured is what the models were told, and each of them is certified.
    assert (ds["predicted_status"] == lpm.Status.certified).all()
    # A network's classifier and features are a point of each two-factor model, whose optimum bounds it from below.
    assert (ds["predicted_value"] <= (1 + 1e-6) * ds["predicted_observed_value"]).all()
    relu, free = (ds["predicted_value"].sel(predictor=name) for name in ("ReluFeatures", "UnconstrainedFeatures"))
    assert (relu >= (1 - 1e-9) * free).all()
    slack = strong["predicted_slack"].sel(predictor="UnconstrainedFeatures").values
    counts = strong["samples"].values
    threshold = counts.sum() ** 2 * 0.2 * float(strong["lambda_H"])
    assert np.allclose(slack, 0.5 * np.log(counts / threshold), atol=1e-9)
    budget = strong["predicted_w_norm2"].sel(predictor="LayerPeeled").mean()
    assert float(budget) == pytest.approx(float(strong["w_norm2"].mean()), rel=1e-6)


def test_training_says_what_is_not_done(tiny, images):
    cell = tiny.cells[2, 30.0]
    samples, decays = prepared(images, TINY, cell.counts)
    tasks = stacked_tasks(images, samples, decays, np.ones((2, 10)), 2)
    moved = jax.tree.map(lambda weight: 1.01 * weight, cell.trained.network)
    broken = jax.tree.map(lambda weight: jnp.nan * weight, moved)
    assert not train(broken, tasks, TINY.tol).converged.any()
    assert (jax.jit(jax.vmap(residual))(moved, tasks) > TINY.tol).all()


def test_rounded_relu():
    x = jnp.array([-1.0, 0.0, 0.05, 0.1, 2.0])
    assert np.allclose(rounded_relu(x), [0, 0, 0.0125, 0.05, 1.95])
    assert np.allclose(jax.vmap(jax.grad(rounded_relu))(x), [0, 0, 0.5, 1, 1])


def test_convolutions_are_homogeneous_where_no_corner_is():
    key = jax.random.key(0)
    inputs = 1e4 * jax.random.normal(key, (3, 7, 8, 2), jnp.float32)
    network = convolutional(key, (7, 8, 2), 5, 3, 4)
    assert [h.shape for h in network.hidden(inputs)] == [(3, 64), (3, 16)] and network.logits(inputs).shape == (3, 5)
    doubled = dataclasses.replace(network, weights=tuple(2 * w for w in network.weights))
    assert np.allclose(doubled.logits(inputs), 8 * network.logits(inputs), rtol=1e-3)
    assert [w.shape for w in perceptron(key, (7, 8, 2), 5, 3, 4).weights] == [(4, 112), (4, 4), (5, 4)]


def test_the_control_lands_on_the_optimum():
    counts = np.array([12, 12, 3, 3])
    (found,) = control(counts, np.array([[0.03]]), np.array([1e-3]))
    assert abs(found.value_error) <= 1e-6 and found.gram_error <= 1e-3 and found.known
    # against the solver at another decay it is not
    other = lpm.solve(lpm.UnconstrainedFeatures(lpm.ClassGroups.from_counts(counts.tolist()), 0.03, 1.01e-3))
    assert abs(found.value / float(other.value) - 1) > 1e-4


@pytest.mark.slow
def test_the_deep_control_ends_in_known_structures():
    found = control(np.full(6, 4), np.array([[0.02, 0.02], [0.1, 0.1]]), np.array([2e-3, 2e-3]))
    assert [one.structure for one in found] == ["ETF", "[4, 2]"] and all(one.known for one in found)
    assert all(one.value_error > 0.04 for one in found)  # two stationary points that are no optima
    weights = [np.eye(24, 16), np.eye(16), np.eye(6, 16)]
    groups, decays = lpm.ClassGroups.balanced(6, 4.0), np.array([2e-3, 0.02, 0.02])
    off = _deep(groups, decays, weights, np.repeat(np.arange(6), 4), found[0].value * (1 + 1e-4))
    assert not off.known and off.structure == "A A A A A A"


def test_counts_and_samples(images):
    assert class_counts(10, 60, 60, Profile.two_groups).tolist() == [60] * 5 + [1] * 5
    tail = class_counts(10, 100, 100, Profile.long_tail)
    assert tail[0] == 100 and tail[-1] == 1 and (np.diff(tail) < 0).all()
    few, many = (drawn(images, np.full(10, n), 60, seed=3) for n in (2, 60))
    assert set(few.rows) <= set(many.rows) and not set(many.rows) & set(many.test_rows)
    assert np.array_equal(few.test_rows, many.test_rows)
    digit = {place: set(images.labels[many.rows[many.labels == place]]) for place in range(10)}
    assert all(len(own) == 1 for own in digit.values()) and set().union(*digit.values()) == set(range(10))
    assert all(set(images.labels[many.test_rows[many.test_labels == place]]) == digit[place] for place in range(10))


def test_onset_and_errors_of_a_table_made_by_hand(tiny):
    ds = tiny.dataset().isel(decay=[0])
    ds = xr.concat([ds.assign_coords(ratio=[10.0]), ds], "ratio")
    for prefix, minority in (("", (0.6, 0.9)), ("predicted_", (0.1, 0.9))):
        cosines = ds[f"{prefix}cosines"].copy(deep=True)
        for i, value in enumerate(minority):
            cosines[{"ratio": i, "class": slice(5, 10), "other_class": slice(5, 10)}] = value
        ds[f"{prefix}cosines"] = cosines
    found = compared(ds)
    assert found["onset"].item() == 10.0 and (found["predicted_onset"] == 30.0).all()
    spread, row, *_ = errors(ds, found)
    assert spread["model"] == "seeds" and spread["cosine_minority"] == spread["value"] == 0  # of one seed
    assert row["cosine_minority"] == pytest.approx(0.25)
    assert (row["agree"], row["missed"], row["false"]) == (0.5, 0.5, 0.0)
    unfinished = xr.concat([ds, ds.assign_coords(ratio=[40.0, 50.0]).where(False)], "ratio", join="outer")
    assert compared(unfinished)["onset"].item() == 10.0
    odd = halves(xr.DataArray(np.arange(5.0), dims="class"))
    assert odd.values.tolist() == [1.0, 3.5]
    with pytest.raises(ValueError, match="lacks cosines"):
        compared(ds.drop_vars("cosines"))


def _idx(array):
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()


def test_idx_files(tmp_path, rng):
    pixels, labels = rng.integers(0, 256, (20, 4, 5)), np.arange(20) % 3
    (tmp_path / "train-images-idx3-ubyte").write_bytes(_idx(pixels))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(_idx(labels)))
    found = load("fashion-mnist", tmp_path)
    assert found.num_classes == 3 and np.array_equal(found.labels, labels) and found.pixels.dtype == np.float32
    centred = pixels - pixels.mean(0)
    assert np.allclose(found.pixels[..., 0], centred / np.sqrt((centred**2).mean()), atol=1e-5)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(_idx(pixels)[:-1])
    with pytest.raises(ValueError, match="it is cut"):
        load("mnist", tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(_idx(labels))
    with pytest.raises(ValueError, match="does not begin with the bytes 0, 0, 8, 3"):
        load("mnist", tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(_idx(pixels[:5]))
    with pytest.raises(ValueError, match="5 images and 20 labels"):
        load("mnist", tmp_path)


def test_cifar_files(tmp_path, rng):
    pixels, labels = rng.integers(0, 256, (10, 32, 32, 3)), np.arange(10)
    for batch in range(5):
        part = slice(2 * batch, 2 * batch + 2)
        records = np.concatenate([labels[part, None], pixels[part].transpose(0, 3, 1, 2).reshape(2, -1)], axis=1)
        (tmp_path / f"data_batch_{batch + 1}.bin").write_bytes(records.astype(np.uint8).tobytes())
    found = load("cifar10", tmp_path)
    centred = pixels - pixels.mean(0)
    assert np.array_equal(found.labels, labels)
    assert np.allclose(found.pixels, centred / np.sqrt((centred**2).mean()), atol=1e-5)
    (tmp_path / "data_batch_3.bin").write_bytes(b"\x0b" * 3073)
    with pytest.raises(ValueError, match="a label of 11"):
        load("cifar10", tmp_path)
    (tmp_path / "data_batch_3.bin").write_bytes(b"\x01" * 3000)
    with pytest.raises(ValueError, match="no whole number of records"):
        load("cifar10", tmp_path)


def test_bad_input(images, tmp_path):
    for name, folder, error, words in (
        ("svhn", None, ValueError, "data = 'svhn' is unknown: choose from digits, mnist"),
        ("mnist", None, ValueError, "folder is missing: .*IDX"),
        ("mnist", tmp_path, FileNotFoundError, "train-images-idx3-ubyte is missing: .*IDX format"),
        ("cifar10", tmp_path, FileNotFoundError, "data_batch_1.bin is missing: .*binary version"),
        ("digits", tmp_path, ValueError, "folder = .* is without effect"),
    ):
        with pytest.raises(error, match=words):
            load(name, folder)
    with pytest.raises(ValueError, match=r"ratio = 200 leaves class 5 empty: 60 samples .* at most 120"):
        Experiment(images, Settings(ratios=(1.0, 200.0)))
    with pytest.raises(ValueError, match=r"samples = 174 is out of range: .*Choose at most 173"):
        Experiment(images, Settings(samples=174))
    for change, words in (
        ({"ratios": ()}, "ratios is empty"),
        ({"decays": (0.1, -1.0)}, r"decays\[1\] = -1"),
        ({"depths": (1,)}, "depths = 1 is out of range"),
        ({"seeds": 0}, "seeds = 0"),
        ({"profile": "step"}, "profile = 'step' is unknown: choose from two-groups, long-tail"),
        ({"tol": 0.0}, "tol = 0"),
    ):
        with pytest.raises(ValueError, match=words):
            Settings(**change)
    with pytest.raises(ValueError, match=r"ratio = 0\.5 is out of range"):
        Experiment(images, Settings(ratios=(0.5,)))


@pytest.mark.usefixtures("kept_by_nobody")
def test_command_refuses_and_keeps_what_is_finished(capsys, monkeypatch, tmp_path, tiny):
    code, _, said = run(capsys, "experiment", "svhn", "--out", tmp_path)
    assert code == 2 and "choose from digits, mnist, fashion-mnist, cifar10" in said
    assert run(capsys, "experiment", "digits", "--depths", "2.5", "--out", tmp_path)[0] == 2

    def interrupted(self, progress):
        self._predictions, self.cells = tiny._predictions, tiny.cells
        raise KeyboardInterrupt

    monkeypatch.setattr(Experiment, "complete", interrupted)
    monkeypatch.setattr(command, "load", lambda *_: tiny.images)
    arguments = "--ratios 10,30 --decays 0.03,0.2 --depths 2 --seeds 1 --samples 15 --width 16 --json".split()
    left = []
    monkeypatch.setattr(lpm.cli, "leave", left.append)
    _, out, _ = run(capsys, "experiment", "digits", *arguments, "--out", tmp_path)
    assert left == [130]
    record = json.loads(out)
    assert (record["networks"], record["of"]) == (2, 4)
    ds = xr.open_dataset(tmp_path / "experiment.nc", engine="h5netcdf")
    assert ds["loss"].notnull().sum() == 2 and ds.attrs["networks_finished"] == 2
    assert (tmp_path / "experiment.png").stat().st_size > 10_000


def test_figure(tiny):
    ds = tiny.dataset()
    axes = lpm.plot.trained_networks(ds)
    assert axes.shape == (1, 2)
    networks = axes[0, 1].containers[0].lines[0]
    assert np.allclose(networks.get_ydata(), compared(ds)["cosine"].sel(half="minority", decay=0.2).values.ravel())
    with pytest.raises(ValueError, match="axes have shape"):
        lpm.plot.trained_networks(ds, axes[0])
    with pytest.raises(ValueError, match="ds lacks"):
        lpm.plot.trained_networks(ds.drop_vars("cosines"))


@pytest.mark.slow
def test_balanced_network_of_two_layers_collapses(images):
    settings = Settings(ratios=(1.0,), decays=(1e-3, 1e-2), depths=(2,), seeds=2, samples=3)
    cell = trained_cell(images, settings, 2, 1.0)
    apart = ~np.eye(10, dtype=bool)
    for measures in cell.measures:
        deviation = measures.cosines[apart] + 1 / 9
        assert np.sqrt(np.mean(deviation**2)) < 0.05 and np.abs(deviation).max() < 0.1
    course = decoupled(images, settings, 2).mean("seed")
    first, last = (course.isel(step=i, decay=1) for i in (0, -1))
    for name in ("NC0", "NC1", "NC2", "NC3"):
        assert last[name].sel(kind="coupled") < first[name].sel(kind="coupled"), name
    assert last["NC0_relative"].sel(kind="coupled") < 0.01 < 0.1 < last["NC0_relative"].sel(kind="decoupled")


@pytest.mark.slow
@pytest.mark.usefixtures("kept_by_nobody")
def test_a_small_grid_by_the_command(capsys, tmp_path):
    arguments = "--ratios 1,20 --decays 0.01,0.1 --depths 2,3 --seeds 2 --samples 20 --width 32".split()
    code, out, _ = run(capsys, "experiment", "digits", *arguments, "--out", tmp_path)
    assert code == 0 and "16 of 16 networks" in out
    assert max(map(len, out.splitlines())) <= 130 and "inverse frequency" in out
    held = xr.open_dataset(tmp_path / "control.nc", engine="h5netcdf").sel(depth=2)
    assert (abs(held["value_error"]) <= 1e-6).all() and (held["gram_error"] <= 1e-3).all()
    assert (tmp_path / "reweighting.nc").exists() and (tmp_path / "decoupling.nc").exists()


@pytest.mark.slow
def test_convolutional_network_and_long_tail(images):
    settings = Settings(
        (10.0,), (0.03,), (3,), 1, samples=20, width=4, profile=Profile.long_tail, architecture="convolutional"
    )
    ds = Experiment(images, settings).complete().dataset()
    assert (ds["residual"] <= settings.tol).all() and ds["predicted_value"].notnull().all()
    assert (ds["predicted_status"] <= lpm.Status.converged).all()
