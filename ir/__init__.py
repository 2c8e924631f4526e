"""Netlists of k-input LUTs: representation, simulation, passes. Knows neither torch nor Amaranth."""
