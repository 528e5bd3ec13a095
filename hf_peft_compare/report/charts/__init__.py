"""One file per chart: each is one Vega-Lite specification, printed to files and live in the page."""
