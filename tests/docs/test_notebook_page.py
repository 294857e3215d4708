"""The page on notebooks, run as a notebook: its blocks are the cells of one kernel."""

import nbformat
import pages
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

PAGE = pages.ROOT / "docs" / "tutorials" / "notebook.md"


@pytest.mark.full  # scores the bundled model three times
def test_the_page_runs_as_a_notebook(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(pages.ROOT))
    monkeypatch.setenv("CCS_EXP_CACHE", str(tmp_path / "store"))
    cells = [nbformat.v4.new_code_cell(block.text) for block in pages.blocks(PAGE) if block.runs and block.language == "python"]
    assert len(cells) == 4
    notebook = nbformat.v4.new_notebook(cells=[*cells, nbformat.v4.new_code_cell("scores"), nbformat.v4.new_code_cell("values")])
    # sockets of files: the tests may open no other
    kernel = KernelManager(kernel_name="python3", transport="ipc", connection_file=str(tmp_path / "kernel.json"))
    try:
        NotebookClient(notebook, km=kernel, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    finally:
        kernel.shutdown_kernel(now=True)
    *blocks, scores, values = notebook.cells
    printed = ["".join(output.get("text", "") for output in cell.outputs) for cell in blocks]
    assert "images" in "".join(output.text for output in blocks[0].outputs if output.get("name") == "stderr")  # a bar, without widgets
    assert not [line for text in printed for line in text.splitlines() if "Warning" in line]
    told = ("L5.H4", "original", "most_affected", "torch.Size([4, ")
    assert all(text in output for text, output in zip(told, printed, strict=True)), printed
    assert not any(output.output_type == "error" for cell in notebook.cells for output in cell.outputs)
    for cell, said in ((scores, "colors"), (values, "two heads")):  # as Jupyter shows them
        (output,) = cell.outputs
        assert said in output.data["text/plain"] and "<table" in output.data["text/html"]
