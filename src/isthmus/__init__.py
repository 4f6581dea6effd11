"""Isthmus: the land bridge between operational technology and information technology."""

from pathlib import Path

__version__ = "0.1.0"

MATERIALS = Path(__file__).parent / "sbom.cdx.json"
"""The bill of materials (CycloneDX); a wheel has it, a source tree after `make setup`."""
