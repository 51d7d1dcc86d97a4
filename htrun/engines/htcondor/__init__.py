"""The engine of HTCondor pools: jobs that HTCondor runs, followed by the event log that it writes for a map."""

from htrun.engines.htcondor.engine import HTCondorEngine

__all__ = ["HTCondorEngine"]
