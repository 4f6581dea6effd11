"""The measurements behind `isthmus bench`."""
