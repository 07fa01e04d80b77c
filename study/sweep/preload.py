"""Imported by the server of workers before its first fork: what all of them need to know alike."""

from study.train import provenance

provenance.look_up()
