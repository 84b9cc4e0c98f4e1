"""Complete loads of unusual and broken files, format by format, on every engine."""
