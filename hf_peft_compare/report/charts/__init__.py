"""One file per chart: one Vega-Lite specification each, rendered to files and interactive in the page."""
