"""Parity with other software's live code; needs the extra `parity`."""
