"""Which frames to label: a budget, acquisition functions (utilities), and picking."""
