"""Results as whoever works in Python wants them: tables, readable as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from ccs_exp.errors import CcsError
from ccs_exp.evidence.from_evaluation import Table
from ccs_exp.report.evidence import MapTables, causal_map, findings
from ccs_exp.run_folder.evidence_summary import EvidenceSummary

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


class Evaluated(dict[str, dict[str, float]]):
    """``{condition: {metric: value}}``: accuracies and recalls are fractions, ranks in items; of several tasks their mean."""

    def __init__(self, values: Mapping[str, dict[str, float]], rows: list[dict[str, Any]]):
        super().__init__(values)
        self._rows = rows

    def to_frame(self) -> pandas.DataFrame:
        """A row for each task, condition and metric, with the difference to the original: the columns of ``accuracy.csv``."""
        import pandas

        return pandas.DataFrame(self._rows)

    def __repr__(self) -> str:
        return self._table().to_string(float_format="{:.4f}".format)

    def _repr_html_(self) -> str:
        return self._table().to_html(float_format="{:.4f}".format)

    def _table(self) -> pandas.DataFrame:
        import pandas

        table = pandas.DataFrame.from_dict(dict(self), orient="index")
        pruned = {row["condition"]: row["num_pruned"] for row in self._rows}
        table.insert(0, "heads silenced", [pruned[name] for name in table.index])
        return table


class Evidence(dict[str, "pandas.DataFrame"]):
    """Tables by the names of a run's files: ``causal_map``, ``evidence``, ``represents``, ``effects``, ``nulls``, ``detection`` ...

    Costs are in logits, `standardised` ones in standard deviations of the task's own margins. `summary` is what ``summary.json`` says.
    """

    def __init__(self, tables: Mapping[str, Table], summary: dict[str, Any]):
        """`tables` by the names of their files."""
        import pandas

        frames = {file.removesuffix(".csv"): pandas.DataFrame(list(it.rows), columns=list(it.columns)) for file, it in tables.items()}
        super().__init__(frames)
        self.summary = summary

    def plot(self) -> Figure:
        """The causal map: heads by layer, tasks as columns. Raises `CcsError` where not every scored head was silenced alone."""
        if "causal_map" not in self:
            raise CcsError("There is no causal map: it takes every scored head alone, as prune=evidence has them.")
        from ccs_exp.report.figures import causal_map_figure

        return causal_map_figure(causal_map([MapTables(self["causal_map"], self["evidence"])]))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} ({len(table)} rows)" for name, table in self.items())
        return "\n".join([*findings(cast(EvidenceSummary, self.summary)), f"Tables: {sizes}"])
