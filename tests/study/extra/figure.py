"""All values in the order they came."""

from __future__ import annotations

import plotly.graph_objects as go

from zonesearch.statistics.search_results import SearchResults


def all_values(results: SearchResults) -> go.Figure:
    figure = go.Figure()
    figure.add_scatter(y=[trial.value() for trial in results.trials if trial.complete], mode="markers")
    return figure.update_layout(title="Every value, in order")
