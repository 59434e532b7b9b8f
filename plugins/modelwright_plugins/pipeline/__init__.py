"""Pipelines: several runs, one after another, each taking what those before it made (docs/pipelines.md).

A recipe that has the key `pipeline:` is a pipeline: an ordered list of phases, each of which is a name, overrides as on the command line,
and the phase that it builds on.
"""
