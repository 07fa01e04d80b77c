"""The notebook runs from the first cell to the last, on digits."""

import copy

import nbformat
from nbclient import NotebookClient

from study import sweep_folder
from tests.conftest import ROOT

NOTEBOOK = ROOT / "study/notebooks/three_norms.ipynb"


def test_the_notebook_is_short_and_holds_no_outputs():
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert len(cells) <= 15
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert max(len(cell.source.splitlines()) for cell in cells) <= 20


def test_the_notebook_runs_on_digits_and_again_with_other_epochs(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    [parameters] = [
        cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())
    ]
    parameters.source += '\nDATASET, EPOCHS = "digits", 1'
    trains = next(i for i, cell in enumerate(notebook.cells) if "loop.train(" in cell.source)
    # Whoever goes on with other values trains into another folder.
    again = copy.deepcopy(notebook.cells[notebook.cells.index(parameters) + 1 : trains + 1])
    notebook.cells += [nbformat.v4.new_code_cell("EPOCHS = 2"), *again]
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
    outputs = [out for cell in notebook.cells if "outputs" in cell for out in cell.outputs]
    pictures = [out for out in outputs if "image/png" in out.get("data", {})]
    assert len(pictures) == 7  # the norms by hand, twice, both graphs, three grids
    printed = "".join(out.text for out in outputs if out.output_type == "stream")
    assert "'bn_l1': 7684, 'ln': 7684, 'gn': 7684" in printed
    assert "- " in printed and "Finding(" not in printed
    first, second = (
        sweep_folder.find(tmp_path / f"runs/three_norms_digits_{epochs}_1") for epochs in (1, 2)
    )
    assert [run.config.norm for run in first] == ["batch", "group", "layer"]
    assert [run.config.epochs for run in second] == [2, 2, 2]
    for run in first:
        assert f"{run.summary['test_accuracy_last']:.2f} % at the last" in printed
