"""Reports of citizens and of the 12345 line, by the Open311 GeoReport v2 standard."""
