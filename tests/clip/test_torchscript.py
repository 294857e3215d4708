"""TorchScript archives are read as data: the same numbers as torch's own reader gives, and no code of theirs runs."""

import pickle
import shutil
import zipfile

import pytest
import torch
from torch import Tensor, nn

from ccs_exp.clip.torchscript import archived_state, is_torchscript


class Part(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Linear(3, 4), nn.Sequential(nn.LayerNorm(4), nn.ReLU())
        self.second = nn.Linear(3, 4, bias=False)
        self.second.weight = self.first.weight
        self.halves = nn.Parameter(torch.randn(4, 6).half().t()[1:, ::2])
        self.register_buffer("context_length", torch.tensor(77))
        self.plain, self.sizes, self.names = torch.ones(2), [1, 2], {"a": 1}

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.first(x)) + self.second(x)


@pytest.mark.parametrize("make", [torch.jit.script, lambda module: torch.jit.trace(module, torch.zeros(1, 3))])
def test_the_state_is_that_of_torchs_own_reader(make, tmp_path):
    path = tmp_path / "module.pt"
    torch.jit.save(make(Part()), path)
    ours, torchs = archived_state(path), torch.jit.load(path).state_dict()
    assert is_torchscript(path) and set(ours) == set(torchs) > {"halves", "first.weight", "norm.0.bias", "context_length"}
    for name, value in torchs.items():
        assert torch.equal(ours[name], value) and ours[name].dtype == value.dtype and ours[name].stride() == value.stride()


class Writes(nn.Module):
    """Its archive, loaded by torch, makes a file."""

    def __init__(self, target: str):
        super().__init__()
        self.target, self.weight = target, nn.Parameter(torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        return x

    @torch.jit.export
    def __getstate__(self):
        return self.target, self.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, Tensor, bool]):
        self.target, self.training = state[0], state[2]
        self.weight = torch.from_file(self.target, shared=True, size=2)


def test_an_archive_that_writes_a_file_when_loaded_is_refused_and_writes_none(tmp_path):
    written, path = tmp_path / "written", tmp_path / "writes.pt"
    torch.jit.save(torch.jit.script(Writes(str(written))), path)
    torch.jit.load(path)
    assert written.exists()
    written.unlink()
    with pytest.raises(pickle.UnpicklingError, match="Writes restores itself by code of its own"):
        archived_state(path)
    assert not written.exists()


class Harmful:
    def __reduce__(self):
        return (print, ("code from an archive ran",))


def altered(path, entry: str, content: bytes):
    """A copy of the archive with other bytes in one of its records."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(path.with_suffix(".new"), "w") as new:
        for record in old.infolist():
            new.writestr(record, content if record.filename.endswith("/" + entry) else old.read(record))
    return shutil.move(path.with_suffix(".new"), path)


@pytest.mark.parametrize(
    ("entry", "content", "error"),
    [
        ("data.pkl", pickle.dumps({"weight": Harmful()}, protocol=2), "asks for __builtin__.print"),
        ("data.pkl", pickle.dumps({"weight": 1}, protocol=2), "holds a dict, not a module"),
        ("data/0", b"\0" * 8, "data/0 has 8 bytes"),
    ],
)
def test_other_objects_and_short_records_are_refused(entry, content, error, tmp_path, capfd):
    path = tmp_path / "module.pt"
    torch.jit.save(torch.jit.script(Part()), path)
    altered(path, entry, content)
    with pytest.raises((pickle.UnpicklingError, ValueError), match=error):
        archived_state(path)
    assert "ran" not in capfd.readouterr().out


def test_a_tensor_that_reaches_beyond_its_storage_is_refused(tmp_path):
    path = tmp_path / "module.pt"
    torch.jit.save(torch.jit.script(nn.Linear(3, 4)), path)
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read("module/data.pkl")
    altered(path, "data.pkl", pickled.replace(b"(K\x04K\x03t", b"(K\x7fK\x03t"))
    with pytest.raises(RuntimeError, match="out of bounds"):
        archived_state(path)
