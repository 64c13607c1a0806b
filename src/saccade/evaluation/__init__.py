"""How good a run is: numbers first, drawings after."""
