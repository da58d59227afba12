"""The stages as plain functions, one module each: options in, a typed result out. No Typer, no printing."""
